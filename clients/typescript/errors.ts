// Reads the errors of the server: why a call failed, whether and when it can be repeated, which field is wrong, and
// whether a write may have been done.
import type * as grpc from '@grpc/grpc-js';
import { Code } from './stubs/google/rpc/code.js';
import { BadRequest, ErrorInfo, ResourceInfo, RetryInfo } from './stubs/google/rpc/error_details.js';
import { Status } from './stubs/google/rpc/status.js';
import { resolutions } from './stubs/resolutions.js';

/** The content of an error: of a call that failed, or of a field in a response. */
export interface TypedError {
  /** Name of the gRPC code, such as `NOT_FOUND`. */
  code: string;
  /** For people. Programs do not read it. */
  message: string;
  /**
   * Name of an ErrorReason, such as `POLICY_NOT_FOUND`. Empty for an error that the gRPC runtime made. A reason that this
   * version does not know is treated by its code.
   */
  reason: string;
  domain: string;
  /** A sentence for people: what to do about the reason. Empty for a reason that this version does not know. */
  resolution: string;
  /** That of the ErrorInfo. */
  metadata: { [key: string]: string };
  /** Milliseconds to wait before the same request can be sent again. Undefined when it cannot. */
  retryDelay?: number;
  /** Paths of the fields of the request that are wrong. */
  fields: string[];
  /** The resource that the error is about. */
  resource?: ResourceInfo;
  /**
   * The call may have been done, if it was a write: look before you repeat it. True without a reason too: no server says
   * then what was done.
   */
  outcomeUnknown: boolean;
}

/** Reads the error of a call. One that the gRPC runtime made has a code and a message alone. */
export function typedError(error: grpc.ServiceError): TypedError {
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  return typedErrorOf(bytes ? Status.decode(bytes as Buffer) : { code: error.code, message: error.details, details: [] });
}

/** Reads a Status in a field of a response, such as the error of a protection unit. */
export function typedErrorOf(status: Status | undefined): TypedError {
  const result: TypedError = {
    code: Code[status?.code ?? Code.OK], message: status?.message ?? '', reason: '', domain: '', resolution: '', metadata: {}, fields: [], outcomeUnknown: false,
  };
  for (const { typeUrl, value } of status?.details ?? []) {
    switch (typeUrl.split('/').pop()) {
      case 'google.rpc.ErrorInfo': {
        const { reason, domain, metadata } = ErrorInfo.decode(value);
        Object.assign(result, { reason, domain, metadata });
        break;
      }
      case 'google.rpc.RetryInfo': {
        const { retryDelay } = RetryInfo.decode(value);
        result.retryDelay = Number(retryDelay?.seconds ?? 0) * 1000 + (retryDelay?.nanos ?? 0) / 1e6;
        break;
      }
      case 'google.rpc.BadRequest':
        result.fields = BadRequest.decode(value).fieldViolations.map((violation) => violation.field);
        break;
      case 'google.rpc.ResourceInfo':
        result.resource = ResourceInfo.decode(value);
        break;
    }
  }
  result.resolution = resolutions[result.reason] ?? '';
  result.outcomeUnknown = result.metadata.outcome === 'unknown' || (result.reason === '' && result.code !== 'OK');
  return result;
}
