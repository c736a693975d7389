// Makes the calls of a list and checks that their errors can be read: node read.mjs PROTOS CASES ADDRESS
import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const [protos, list, address] = process.argv.slice(2);
const schema = protoLoader.loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto'], { includeDirs: [protos] });
const client = new grpc.Client(address, grpc.credentials.createInsecure());
const asIs = (bytes) => bytes; // Takes and returns bytes: errors need no stubs.

/** Makes a call that fails and returns its error. */
function fails({ method, request, metadata }) {
  const md = new grpc.Metadata();
  for (const [key, value] of Object.entries(metadata)) md.set(key, value);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(method, asIs, asIs, Buffer.from(request, 'base64'), md, { deadline: Date.now() + 5000 },
      (error) => (error ? resolve(error) : reject(new Error(`${method}: the call succeeded`))));
  });
}

const cases = JSON.parse(readFileSync(list));
let wrong = 0;
let largest = 0;
for (const wanted of cases) {
  const error = await fails(wanted);
  const [bytes = Buffer.alloc(0)] = error.metadata.get('grpc-status-details-bin');
  const details = (schema['google.rpc.Status'].deserialize(bytes).details ?? []).map((packed) => {
    const name = packed.type_url.split('/').pop();
    return { name, value: schema[name].deserialize(packed.value) };
  });
  const got = {
    code: grpc.status[error.code],
    reason: details[0]?.value.reason,
    retry: details.some(({ name }) => name === 'google.rpc.RetryInfo'),
  };
  largest = Math.max(largest, bytes.length);
  if (Object.keys(got).some((key) => got[key] !== wanted[key]) || bytes.length > 4096) {
    wrong += 1;
    console.log(`want ${wanted.code} ${wanted.reason} ${wanted.retry}, got`, got, `${bytes.length} bytes: ${error.details.slice(0, 200)}`);
  }
}
client.close();
console.log(`Node: ${cases.length - wrong} of ${cases.length} errors read; the largest Status has ${largest} bytes`);
process.exitCode = wrong ? 1 : 0;
