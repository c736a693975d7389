// Reads the typed errors of this server and says what it would do: node main.mjs IMAGE ADDRESS REQUEST_ID
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const [image, address, requestId] = process.argv.slice(2);
// Fields have their names of the protos, with underscores. A misspelt field of a request is left out without a word.
const schema = protoLoader.loadFileDescriptorSetFromBuffer(readFileSync(image), { defaults: true, enums: String, longs: Number });
const { ProtectionPolicyService } = grpc.loadPackageDefinition(schema).m365.backupstorage.v1;
const policies = new ProtectionPolicyService(address, grpc.credentials.createInsecure());

/** Returns the details of an error by the name of their type. */
function detailsOf(error) {
  const details = {};
  for (const bytes of error.metadata.get('grpc-status-details-bin')) {
    for (const packed of schema['google.rpc.Status'].deserialize(bytes).details) {
      const name = packed.type_url.split('/').pop();
      details[name] = schema[name]?.deserialize(packed.value);
    }
  }
  return details;
}

/** Makes a call that fails and prints what the error says. */
async function show(rpc, request) {
  const metadata = new grpc.Metadata();
  metadata.set('x-request-id', requestId);
  const call = promisify(policies[rpc].bind(policies));
  const error = await call(request, metadata, { deadline: Date.now() + 20_000 }).then(
    () => { throw new Error(`${rpc} did not fail`); },
    (reason) => reason,
  );
  const details = detailsOf(error);
  const info = details['google.rpc.ErrorInfo'] ?? { metadata: [] };
  const { graphCode, documentedLimit } = Object.fromEntries(info.metadata.map(({ key, value }) => [key, value]));
  const retryInfo = details['google.rpc.RetryInfo'];
  const resource = details['google.rpc.ResourceInfo'];
  const field = (details['google.rpc.BadRequest']?.field_violations ?? []).map((violation) => violation.field).join();
  // What the gRPC runtime obeys if a service config lets it retry; milliseconds, or -1 for not.
  const [pushback] = error.metadata.get('grpc-retry-pushback-ms');
  let next = retryInfo ? 'wait' : 'report'; // for retryInfo.retry_delay.seconds and .nanos
  switch (info.reason) { // The name of an ErrorReason.
    case 'POLICY_NOT_FOUND':
      next = 'forget';
      break;
    case 'INVALID_DISPLAY_NAME':
      next = `correct:${field}`;
      break;
    case 'PROTECTION_UNITS_LIMIT_BREACHED':
      next = `split:${documentedLimit}`;
      break;
  }
  console.log([
    rpc,
    `code=${grpc.status[error.code]}`,
    `reason=${info.reason || '-'}`,
    `domain=${info.domain || '-'}`,
    `resource=${resource ? `${resource.resource_type}/${resource.resource_name}` : '-'}`,
    `retry=${retryInfo ? 'yes' : 'no'}`,
    `pushback=${pushback === undefined ? '-' : pushback.startsWith('-') ? 'never' : 'allowed'}`,
    `field=${field || '-'}`,
    `metadata.graphCode=${graphCode ?? '-'}`,
    `metadata.documentedLimit=${documentedLimit ?? '-'}`,
    `request=${error.metadata.get('x-request-id').join() || '-'}`,
    `next=${next}`,
  ].join(' '));
}

const units = Array.from({ length: 51 }, (_, i) => ({ directory_object_id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}` }));
await show('GetProtectionPolicy', { protection_policy_id: '00000000-0000-4000-8000-000000000404' });
await show('CreateExchangeProtectionPolicy', {});
await show('CreateExchangeProtectionPolicy', { display_name: 'Mailboxes', mailbox_protection_units: units });
await show('ListProtectionPolicies', {});
policies.close();
