// Reads the typed errors of this server and prints what it would do about each: node dist/main.js ADDRESS REQUEST_ID
import * as grpc from '@grpc/grpc-js';
import { Code } from './stubs/google/rpc/code.js';
import { BadRequest, ErrorInfo, ResourceInfo, RetryInfo } from './stubs/google/rpc/error_details.js';
import { Status } from './stubs/google/rpc/status.js';
import { ProtectionPolicyServiceClient } from './stubs/m365/backupstorage/v1/protection_policy_service.js';
import { type GetProtectionUnitResponse, ProtectionUnitServiceClient } from './stubs/m365/backupstorage/v1/protection_unit_service.js';
import { RestoreSessionServiceClient } from './stubs/m365/backupstorage/v1/restore_session_service.js';
import { ServiceAppServiceClient } from './stubs/m365/backupstorage/v1/service_app_service.js';

const tenantC = 'cccccccc-0000-4000-8000-00000000000c';
const unknown = '00000000-0000-4000-8000-000000000404';
const policyC = 'b71df0ed-09d4-41c7-8a7e-362675b6c0c6';
const unitC = 'e0000011-f1af-426c-8b0c-000000000003';
// The token of a user of tenant C, without a signature, which the emulator does not check.
const userC = 'e30.eyJ0aWQiOiJjY2NjY2NjYy0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMGMifQ.';

const [address, requestId] = process.argv.slice(2);
const credentials = grpc.credentials.createInsecure();
const policies = new ProtectionPolicyServiceClient(address, credentials);
const restores = new RestoreSessionServiceClient(address, credentials);
const apps = new ServiceAppServiceClient(address, credentials);
const units = new ProtectionUnitServiceClient(address, credentials);

/** Returns the Status of a failed call. Errors of the gRPC runtime itself have none: UNAVAILABLE when nothing listens. */
function statusOf(error: grpc.ServiceError): Status {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  return bytes ? Status.decode(bytes as Buffer) : { code: error.code, message: error.details, details: [] };
}

/** Prints the content of an error: of a call that failed, or of a field in a response. */
function show(rpc: string, status: Status | undefined, trailer: grpc.Metadata) {
  let info = ErrorInfo.create();
  let retry: RetryInfo | undefined;
  let resource: ResourceInfo | undefined;
  let fields: string[] = [];
  for (const { typeUrl, value } of status?.details ?? []) {
    switch (typeUrl.split('/').pop()) {
      case 'google.rpc.ErrorInfo':
        info = ErrorInfo.decode(value);
        break;
      case 'google.rpc.RetryInfo':
        retry = RetryInfo.decode(value);
        break;
      case 'google.rpc.BadRequest':
        fields = BadRequest.decode(value).fieldViolations.map((violation) => violation.field);
        break;
      case 'google.rpc.ResourceInfo':
        resource = ResourceInfo.decode(value);
        break;
    }
  }
  // gRPC runtimes obey this trailer when a service config allows retries: milliseconds, negative for never.
  const [ms] = trailer.get('grpc-retry-pushback-ms').map(Number);
  const pushback = ms === undefined ? '-' : ms < 0 ? 'never' : `${Math.floor(ms / 1000)}s`;

  let next: string;
  switch (info.reason) { // The name of an ErrorReason.
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
      if (info.metadata.outcome === 'unknown') {
        // A write that may have been done: look before calling again.
        next = retry ? 'look-then-wait' : 'look';
      } else {
        next = retry ? 'wait' : 'report';
      }
  }

  const metadata = Object.keys(info.metadata).filter((key) => key !== 'graphDate').sort()
    .map((key) => `${key}:${info.metadata[key].replaceAll(' ', '_')}`);
  console.log([
    rpc,
    `code=${Code[status?.code ?? Code.OK]}`,
    `reason=${info.reason || '-'}`,
    `domain=${info.domain || '-'}`,
    `resource=${resource ? `${resource.resourceType}/${resource.resourceName}` : '-'}`,
    `retry=${retry ? `${retry.retryDelay?.seconds ?? 0}s` : '-'}`,
    `pushback=${pushback}`,
    `field=${fields.join() || '-'}`,
    `metadata=${metadata.join() || '-'}`,
    `request=${trailer.get('x-request-id').join() || '-'}`,
    `planted=${info.metadata.graphRequestId || status?.message.split(' ').pop() || '-'}`,
    `next=${next}`,
  ].join(' '));
}

function metadataFor(tenant?: string, user?: string): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set('x-request-id', requestId);
  if (tenant) metadata.set('x-tenant-id', tenant);
  if (user) metadata.set('x-user-assertion', user);
  return metadata;
}

const options = (): grpc.CallOptions => ({ deadline: Date.now() + 20_000 });

/** An rpc with its request. */
type Call = (metadata: grpc.Metadata, options: grpc.CallOptions, done: (error: grpc.ServiceError | null) => void) => void;

const tooMany = Array.from({ length: 51 }, (_, i) => ({ directoryObjectId: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}` }));
const calls: [rpc: string, tenant: string | undefined, call: Call, user?: string][] = [
  ['GetProtectionPolicy', undefined, (...rest) => policies.getProtectionPolicy({ protectionPolicyId: unknown }, ...rest)],
  ['CreateExchangeProtectionPolicy', undefined, (...rest) => policies.createExchangeProtectionPolicy({ displayName: '', mailboxProtectionUnits: [] }, ...rest)],
  ['CreateExchangeProtectionPolicy', undefined, (...rest) => policies.createExchangeProtectionPolicy({ displayName: 'Mailboxes', mailboxProtectionUnits: tooMany }, ...rest)],
  ['CreateExchangeProtectionPolicy', tenantC, (...rest) => policies.createExchangeProtectionPolicy({ displayName: 'Mailboxes', mailboxProtectionUnits: [] }, ...rest)],
  ['ActivateProtectionPolicy', tenantC, (...rest) => policies.activateProtectionPolicy({ protectionPolicyId: policyC }, ...rest)],
  ['ActivateRestoreSession', undefined, (...rest) => restores.activateRestoreSession({ restoreSessionId: unknown }, ...rest)],
  ['CreateSharePointProtectionPolicy', undefined, (...rest) => policies.createSharePointProtectionPolicy({ displayName: 'Sites', siteProtectionUnits: [] }, ...rest)],
  ['CreateOneDriveForBusinessProtectionPolicy', undefined, (...rest) => policies.createOneDriveForBusinessProtectionPolicy({ displayName: 'Drives', driveProtectionUnits: [] }, ...rest)],
  ['ListServiceApps', undefined, (...rest) => apps.listServiceApps({ pageSize: 0, pageToken: '' }, ...rest)],
  ['ListProtectionPolicies', undefined, (...rest) => policies.listProtectionPolicies({ pageSize: 0, pageToken: '' }, ...rest)],
  // Without a user this fails with DELEGATED_TOKEN_REQUIRED.
  ['OffboardProtectionUnit', tenantC, (...rest) => units.offboardProtectionUnit({ protectionUnitId: unitC }, ...rest), userC],
];
for (const [rpc, tenant, call, user] of calls) {
  const error = await new Promise<grpc.ServiceError | null>((resolve) => { call(metadataFor(tenant, user), options(), resolve); });
  if (!error) throw new Error(`${rpc} did not fail`);
  show(rpc, statusOf(error), error.metadata);
}

// This call does not fail. The unit in its response contains an error, which says why it is not protected. The event
// `status` has the trailers.
const { response, trailer } = await new Promise<{ response?: GetProtectionUnitResponse; trailer: grpc.Metadata }>((resolve, reject) => {
  let response: GetProtectionUnitResponse;
  units.getProtectionUnit({ protectionUnitId: unitC }, metadataFor(tenantC), options(), (error, received) => {
    if (error) reject(error);
    response = received;
  }).on('status', ({ metadata }) => resolve({ response, trailer: metadata }));
});
show('GetProtectionUnit', response?.protectionUnit?.error, trailer);

for (const client of [policies, restores, apps, units]) client.close();
