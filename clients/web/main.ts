// Reads the typed errors of this server over HTTP and prints what it would do about each, as a page in a browser would:
// node dist/main.js URL REQUEST_ID. It has nothing of Node but its arguments, its variables and a file with a token.
import { readFileSync } from 'node:fs';
import { createRegistry } from '@bufbuild/protobuf';
import { anyUnpack, durationMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient, type CallOptions, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web';
import {
  BadRequestSchema, ErrorInfoSchema, HelpSchema, PreconditionFailureSchema, QuotaFailureSchema, RequestInfoSchema, ResourceInfoSchema, RetryInfoSchema,
  type BadRequest, type ErrorInfo, type ResourceInfo, type RetryInfo,
} from './stubs/google/rpc/error_details_pb.js';
import type { Status } from './stubs/google/rpc/status_pb.js';
import { ProtectionPolicyService } from './stubs/m365/backupstorage/v1/protection_policy_service_pb.js';
import { ProtectionUnitService } from './stubs/m365/backupstorage/v1/protection_unit_service_pb.js';
import { RestoreSessionService } from './stubs/m365/backupstorage/v1/restore_session_service_pb.js';
import { ServiceAppService } from './stubs/m365/backupstorage/v1/service_app_service_pb.js';

const tenantC = 'cccccccc-0000-4000-8000-00000000000c';
const unknown = '00000000-0000-4000-8000-000000000404';
const policyC = 'b71df0ed-09d4-41c7-8a7e-362675b6c0c6';
const unitC = 'e0000011-f1af-426c-8b0c-000000000003';
// The token of a user of tenant C, without a signature, which the emulator does not check.
const userC = 'e30.eyJ0aWQiOiJjY2NjY2NjYy0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMGMifQ.';

const [baseUrl, requestId] = process.argv.slice(2);
const { CLIENT_TOKEN_FILE: tokenFile, CLIENT_PROTOCOL: protocol } = process.env;

/** Sends the token of the caller. Each call reads the file, because tokens expire and something else renews them. */
const withToken: Interceptor = (next) => (request) => {
  if (tokenFile) request.header.set('authorization', `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`);
  return next(request);
};
// JSON names the types of the details of an error in a response, which the registry knows. The binary form needs none.
const details = createRegistry(ErrorInfoSchema, RetryInfoSchema, BadRequestSchema, ResourceInfoSchema, RequestInfoSchema, HelpSchema, PreconditionFailureSchema, QuotaFailureSchema);
const transport = (protocol === 'grpc-web' ? createGrpcWebTransport : createConnectTransport)({
  baseUrl, interceptors: [withToken], jsonOptions: { registry: details },
});
const policies = createClient(ProtectionPolicyService, transport);
const restores = createClient(RestoreSessionService, transport);
const apps = createClient(ServiceAppService, transport);
const units = createClient(ProtectionUnitService, transport);

/** The content of an error: of a call that failed, or of a field in a response. */
interface TypedError {
  /** Number of the gRPC code. */
  code: number;
  message: string;
  info?: ErrorInfo;
  retry?: RetryInfo;
  bad?: BadRequest;
  resource?: ResourceInfo;
}

/** Reads the error of a call. */
function typedError(error: ConnectError): TypedError {
  const [info] = error.findDetails(ErrorInfoSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const [bad] = error.findDetails(BadRequestSchema);
  const [resource] = error.findDetails(ResourceInfoSchema);
  return { code: error.code, message: error.rawMessage, info, retry, bad, resource };
}

/** Reads a Status in a field of a response, such as the error of a protection unit. */
function typedErrorOf(status: Status | undefined): TypedError {
  const result: TypedError = { code: status?.code ?? 0, message: status?.message ?? '' };
  for (const detail of status?.details ?? []) {
    const message = anyUnpack(detail, details);
    switch (message?.$typeName) {
      case 'google.rpc.ErrorInfo':
        result.info = message as ErrorInfo;
        break;
      case 'google.rpc.RetryInfo':
        result.retry = message as RetryInfo;
        break;
      case 'google.rpc.BadRequest':
        result.bad = message as BadRequest;
        break;
      case 'google.rpc.ResourceInfo':
        result.resource = message as ResourceInfo;
        break;
    }
  }
  return result;
}

/** Prints the content of an error. */
function show(rpc: string, { code, message, info, retry, bad, resource }: TypedError, trailer: Headers) {
  // gRPC runtimes obey this trailer when a service config allows retries: milliseconds, negative for never.
  const ms = trailer.get('grpc-retry-pushback-ms');
  const pushback = ms === null ? '-' : Number(ms) < 0 ? 'never' : `${Math.floor(Number(ms) / 1000)}s`;
  const seconds = retry?.retryDelay && Math.floor(durationMs(retry.retryDelay) / 1000);
  const fields = bad?.fieldViolations.map((violation) => violation.field) ?? [];

  let next: string;
  switch (info?.reason) { // The name of an ErrorReason.
    case 'POLICY_NOT_FOUND':
      next = 'forget';
      break;
    case 'INVALID_DISPLAY_NAME':
      next = `correct:${fields}`;
      break;
    case 'PROTECTION_UNITS_LIMIT_BREACHED':
      next = `split:${info.metadata.documentedLimit}`;
      break;
    case 'FORBIDDEN':
      next = `ask:${info.metadata.permission}`;
      break;
    default:
      if (!info || info.metadata.outcome === 'unknown') {
        // A write that may have been done: look before calling again.
        next = seconds === undefined ? 'look' : 'look-then-wait';
      } else {
        next = seconds === undefined ? 'report' : 'wait';
      }
  }

  const metadata = Object.entries(info?.metadata ?? {}).filter(([key]) => key !== 'graphDate').sort()
    .map(([key, value]) => `${key}:${value.replaceAll(' ', '_')}`);
  console.log([
    rpc,
    `code=${Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()}`,
    `reason=${info?.reason || '-'}`,
    `domain=${info?.domain || '-'}`,
    `resource=${resource ? `${resource.resourceType}/${resource.resourceName}` : '-'}`,
    `retry=${seconds === undefined ? '-' : `${seconds}s`}`,
    `pushback=${pushback}`,
    `field=${fields.join() || '-'}`,
    `metadata=${metadata.join() || '-'}`,
    `request=${trailer.get('x-request-id') || '-'}`,
    `planted=${info?.metadata.graphRequestId || message.split(' ').pop() || '-'}`,
    `next=${next}`,
  ].join(' '));
}

function options(tenant?: string, user?: string): CallOptions {
  const headers = new Headers({ 'x-request-id': requestId });
  if (tenant) headers.set('x-tenant-id', tenant);
  if (user) headers.set('x-user-assertion', user);
  return { headers, timeoutMs: 20_000 };
}

const tooMany = Array.from({ length: 51 }, (_, i) => ({ directoryObjectId: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}` }));
const calls: [rpc: string, call: () => Promise<unknown>][] = [
  ['GetProtectionPolicy', () => policies.getProtectionPolicy({ protectionPolicyId: unknown }, options())],
  ['CreateExchangeProtectionPolicy', () => policies.createExchangeProtectionPolicy({}, options())],
  ['CreateExchangeProtectionPolicy', () => policies.createExchangeProtectionPolicy({ displayName: 'Mailboxes', mailboxProtectionUnits: tooMany }, options())],
  ['CreateExchangeProtectionPolicy', () => policies.createExchangeProtectionPolicy({ displayName: 'Mailboxes' }, options(tenantC))],
  ['ActivateProtectionPolicy', () => policies.activateProtectionPolicy({ protectionPolicyId: policyC }, options(tenantC))],
  ['ActivateRestoreSession', () => restores.activateRestoreSession({ restoreSessionId: unknown }, options())],
  ['CreateSharePointProtectionPolicy', () => policies.createSharePointProtectionPolicy({ displayName: 'Sites' }, options())],
  ['CreateOneDriveForBusinessProtectionPolicy', () => policies.createOneDriveForBusinessProtectionPolicy({ displayName: 'Drives' }, options())],
  ['ListServiceApps', () => apps.listServiceApps({}, options())],
  ['ListProtectionPolicies', () => policies.listProtectionPolicies({}, options())],
  // Without a user this fails with DELEGATED_TOKEN_REQUIRED.
  ['OffboardProtectionUnit', () => units.offboardProtectionUnit({ protectionUnitId: unitC }, options(tenantC, userC))],
];
for (const [rpc, call] of calls) {
  const error = await call().then(() => { throw new Error(`${rpc} did not fail`); }, ConnectError.from);
  show(rpc, typedError(error), error.metadata);
}

// This call fails only for callers who may not make it. The unit in its response contains an error, which says why it is
// not protected.
let trailer = new Headers();
const found = await units.getProtectionUnit({ protectionUnitId: unitC }, { ...options(tenantC), onTrailer: (all) => { trailer = all; } })
  .then((response) => typedErrorOf(response.protectionUnit?.error), (error) => {
    const failed = ConnectError.from(error);
    trailer = failed.metadata;
    return typedError(failed);
  });
show('GetProtectionUnit', found, trailer);
