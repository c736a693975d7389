// The content of an error, whichever way it came: of a call, of a field in a response, or pasted.
import { fromBinary, toJson, type JsonObject } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { Code, type ConnectError } from '@connectrpc/connect';
import { contract } from './store';

export interface FieldViolation {
  /** Path of the field in the request message, or a key of the call's metadata. */
  field: string;
  description: string;
}

export interface TypedError {
  /** Name of the gRPC code, such as `NOT_FOUND`. */
  code: string;
  message: string;
  /** Empty for an error that a runtime or a proxy made. */
  reason: string;
  domain: string;
  metadata: Record<string, string>;
  /** Such as `10s`; undefined when a repeat cannot help. */
  retryDelay?: string;
  fields: FieldViolation[];
  /** What a precondition, a quota or a resource is about. */
  subjects: { kind: string; subject: string; description: string }[];
  requestId?: string;
  links: { description: string; url: string }[];
  outcomeUnknown: boolean;
}

const codes = Object.entries(Code).filter(([, number]) => typeof number === 'number') as [string, number][];

/** `FailedPrecondition` of Connect as gRPC writes it. */
function codeName(number: number): string {
  if (number === 0) return 'OK';
  if (number === Code.Canceled) return 'CANCELLED';
  const name = codes.find(([, each]) => each === number)?.[0];
  return name ? name.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase() : `code ${number}`;
}

export function fromConnect(error: ConnectError): TypedError {
  const details = error.details.map((detail) => 'type' in detail ? readDetail(detail.type, detail.value) : {});
  return read(codeName(error.code), error.rawMessage, details as JsonObject[]);
}

/** A google.rpc.Status as JSON, such as the field `error` of a protection unit. */
export function fromStatus(status: JsonObject): TypedError {
  return read(codeName(Number(status.code ?? 0)), String(status.message ?? ''), (status.details ?? []) as JsonObject[]);
}

/** The bytes of a google.rpc.Status. It throws when they are none. */
export function fromStatusBytes(bytes: Uint8Array): TypedError {
  const { registry } = contract();
  const schema = registry.getMessage('google.rpc.Status');
  if (!schema) throw new Error('the contract has no google.rpc.Status');
  return fromStatus(toJson(schema, fromBinary(schema, bytes), { registry }) as JsonObject);
}

/** The error of Connect as curl prints it: code, message, and details in base64. */
export function fromConnectJson(json: JsonObject): TypedError {
  const details = ((json.details ?? []) as JsonObject[]).map((detail) => readDetail(String(detail.type), base64Decode(padded(String(detail.value)))));
  return read(String(json.code).toUpperCase().replace('CANCELED', 'CANCELLED'), String(json.message ?? ''), details);
}

/** Base64 of either alphabet, with or without its padding. */
export function padded(text: string): string {
  const plain = text.replace(/\s+/g, '').replace(/-/g, '+').replace(/_/g, '/').replace(/=+$/, '');
  return plain + '='.repeat((4 - (plain.length % 4)) % 4);
}

function readDetail(type: string, value: Uint8Array): JsonObject {
  const { registry } = contract();
  const schema = registry.getMessage(type.split('/').pop() ?? '');
  if (!schema) return { '@type': type };
  return { '@type': type, ...(toJson(schema, fromBinary(schema, value), { registry }) as JsonObject) };
}

const list = (value: unknown) => (value ?? []) as Record<string, string>[];

function read(code: string, message: string, details: JsonObject[]): TypedError {
  const error: TypedError = {
    code, message, reason: '', domain: '', metadata: {}, fields: [], subjects: [], links: [], outcomeUnknown: false,
  };
  for (const detail of details) {
    switch (String(detail['@type'] ?? '').split(/[/]/).pop()) {
      case 'google.rpc.ErrorInfo':
        error.reason = String(detail.reason ?? '');
        error.domain = String(detail.domain ?? '');
        error.metadata = (detail.metadata ?? {}) as Record<string, string>;
        break;
      case 'google.rpc.RetryInfo':
        error.retryDelay = String(detail.retryDelay ?? '0s');
        break;
      case 'google.rpc.BadRequest':
        error.fields = list(detail.fieldViolations).map(({ field = '', description = '' }) => ({ field, description }));
        break;
      case 'google.rpc.PreconditionFailure':
      case 'google.rpc.QuotaFailure':
        for (const { type = 'limit', subject = '', description = '' } of list(detail.violations)) {
          error.subjects.push({ kind: type, subject, description });
        }
        break;
      case 'google.rpc.ResourceInfo':
        error.subjects.push({ kind: String(detail.resourceType ?? ''), subject: String(detail.resourceName ?? ''), description: String(detail.description ?? '') });
        break;
      case 'google.rpc.RequestInfo':
        error.requestId = String(detail.requestId ?? '');
        break;
      case 'google.rpc.Help':
        error.links = list(detail.links).map(({ url = '', description = '' }) => ({ url, description }));
        break;
    }
  }
  error.outcomeUnknown = error.metadata.outcome === 'unknown' || (error.reason === '' && error.code !== 'OK');
  return error;
}
