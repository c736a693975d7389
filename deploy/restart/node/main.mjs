// Makes the calls that it reads, on one channel over all replicas: node main.mjs ADDRESSES CONFIG
//
// ADDRESSES are separated by commas; CONFIG is the file of a service config. Each line of standard input is a call as
// JSON: id, method, request (base64), metadata, deadline (seconds). Each line of standard output is how one ended: id,
// code, message, details (whether the Status has any), peer, response (base64). Nothing is retried.

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import grpc from '@grpc/grpc-js';

const [addresses, config] = process.argv.slice(2);
const client = new grpc.Client(`ipv4:${addresses}`, grpc.credentials.createInsecure(), {
  'grpc.service_config': readFileSync(config, 'utf8'),
  'grpc.enable_retries': 0,
});
const bytes = (value) => value; // Without stubs: messages are already encoded.

function make({ id, method, request, metadata, deadline }) {
  const sent = new grpc.Metadata();
  for (const [key, value] of Object.entries(metadata)) sent.set(key, value);
  let response = '';
  const options = { deadline: Date.now() + deadline * 1000 };
  const call = client.makeUnaryRequest(method, bytes, bytes, Buffer.from(request, 'base64'), sent, options, (error, value) => {
    if (!error) response = value.toString('base64');
  });
  // The status comes after the callback.
  call.on('status', ({ code, details, metadata: trailer }) => {
    const result = { id, code, message: details, details: trailer.get('grpc-status-details-bin').length > 0, peer: call.getPeer(), response };
    process.stdout.write(`${JSON.stringify(result)}\n`);
  });
}

for await (const line of createInterface({ input: process.stdin })) make(JSON.parse(line));
client.close();
