// Makes calls with a service config and prints how they ended: node main.mjs ADDRESS CONFIG CALLS
//
// CONFIG is a file, or empty for none. CALLS is a list of calls as JSON; the program makes them one after the other on
// one channel. It prints a list as JSON, with an object for each call.

import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { repeated Any details = 3; }
  message ErrorInfo { string reason = 1; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message RetryInfo { Duration retry_delay = 1; }
`, { keepCase: true });

// Returns a detail of an error, empty if missing: errors of the runtime itself have no details.
function detail(metadata, name) {
  const [bytes] = metadata.get('grpc-status-details-bin');
  const details = bytes ? root.lookupType('Status').decode(bytes).details : [];
  const found = details.find(({ type_url }) => type_url.endsWith(`/google.rpc.${name}`));
  return root.lookupType(name).decode(found?.value ?? new Uint8Array());
}

function invoke(client, call) {
  const metadata = new grpc.Metadata();
  metadata.set('x-tenant-id', call.tenant);
  metadata.set('x-request-id', call.requestId);
  const bytes = (value) => value; // Without stubs: messages are already encoded.
  const start = performance.now();
  return new Promise((resolve) => {
    const deadline = Date.now() + call.deadline * 1000;
    client
      .makeUnaryRequest(`/${call.method}`, bytes, bytes, Buffer.from(call.request, 'base64'), metadata, { deadline }, () => {})
      .on('status', (status) => {
        const delay = detail(status.metadata, 'RetryInfo').retry_delay;
        resolve({
          code: grpc.status[status.code],
          reason: detail(status.metadata, 'ErrorInfo').reason,
          pushback: status.metadata.get('grpc-retry-pushback-ms')[0] ?? '',
          retryDelay: delay ? Number(delay.seconds) + delay.nanos / 1e9 : 0,
          elapsed: (performance.now() - start) / 1000,
        });
      });
  });
}

const [address, config, calls] = process.argv.slice(2);
const options = config ? { 'grpc.service_config': readFileSync(config, 'utf8') } : {};
const client = new grpc.Client(address, grpc.credentials.createInsecure(), options);
const results = [];
for (const call of JSON.parse(calls)) results.push(await invoke(client, call));
console.log(JSON.stringify(results));
client.close();
