// Waits for a policy, and reads a long list of mailboxes by a stream that is cut: node dist/wait-and-stream.js ADDRESS
import { setTimeout as sleep } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { channelCredentials } from './channel.js';
import { typedError } from './errors.js';
import { ProtectionPolicyStatus, protectionPolicyStatusToJSON } from './stubs/m365/backupstorage/v1/protection_policy.js';
import { ProtectionPolicyServiceClient, WaitProtectionPolicyRequest, type WaitProtectionPolicyResponse } from './stubs/m365/backupstorage/v1/protection_policy_service.js';
import { type ProtectionUnit } from './stubs/m365/backupstorage/v1/protection_unit.js';
import {
  ListExchangeProtectionPolicyUnitsRequest, ListMailboxProtectionUnitsRequest, type ListMailboxProtectionUnitsResponse, ProtectionUnitServiceClient,
} from './stubs/m365/backupstorage/v1/protection_unit_service.js';
import { ProtectionUnitStreamServiceClient } from './stubs/m365/backupstorage/v1/protection_unit_stream_service.js';
import { WaitResult, waitResultToJSON } from './stubs/m365/backupstorage/v1/wait_result.js';

const [address] = process.argv.slice(2);
const credentials = channelCredentials();
const policies = new ProtectionPolicyServiceClient(address, credentials);
const lists = new ProtectionUnitServiceClient(address, credentials);
const streams = new ProtectionUnitStreamServiceClient(address, credentials);

type Method<Q, R> = (request: Q, metadata: grpc.Metadata, options: Partial<grpc.CallOptions>, done: grpc.requestCallback<R>) => grpc.ClientUnaryCall;

/** Makes a call: method, request and milliseconds that it may take. */
function call<Q, R>(method: Method<Q, R>, request: Q, timeout = 20_000): Promise<R> {
  return new Promise((resolve, reject) => {
    method(request, new grpc.Metadata(), { deadline: Date.now() + timeout }, (error, response) => (error ? reject(error) : resolve(response!)));
  });
}

function show(what: string, { result, protectionPolicy }: WaitProtectionPolicyResponse) {
  console.log(`${what}: ${waitResultToJSON(result).replace('WAIT_RESULT_', '')}, ${protectionPolicyStatusToJSON(protectionPolicy!.status)}`);
}

// Create and activate a policy, wait for a second, and then until it is active.
const { protectionPolicy } = await call(policies.createSharePointProtectionPolicy.bind(policies), { displayName: 'Sites', siteProtectionUnits: [] });
const protectionPolicyId = protectionPolicy!.id;
await call(policies.activateProtectionPolicy.bind(policies), { protectionPolicyId });
const wait = policies.waitProtectionPolicy.bind(policies);
// With nothing seen the wait ends at once. Then a change ends it: another content than the one with this revision.
let response = await call(wait, WaitProtectionPolicyRequest.create({ protectionPolicyId }), 60_000);
show('wait with nothing seen', response);
show('wait for a change', await call(wait, WaitProtectionPolicyRequest.create({ protectionPolicyId, seen: response.revision, maxWait: { seconds: 1 } }), 60_000));
do { // A wait lasts at most 45 s. The deadline is longer than that.
  response = await call(wait, WaitProtectionPolicyRequest.create({ protectionPolicyId, until: [ProtectionPolicyStatus.PROTECTION_POLICY_STATUS_ACTIVE] }), 60_000);
} while (response.result === WaitResult.WAIT_RESULT_TIMED_OUT);
show('wait until ACTIVE', response);

/** What was read of a list. With pageToken the next call goes on, whether it is a stream or the list. */
class Read {
  pages = 0;
  units: ProtectionUnit[] = [];
  pageToken = '';

  get request() {
    return ListMailboxProtectionUnitsRequest.create({ pageSize: 500, pageToken: this.pageToken });
  }

  add(page: ListMailboxProtectionUnitsResponse) {
    this.pages++;
    this.units.push(...page.protectionUnits);
    this.pageToken = page.nextPageToken;
  }

  /** Reads from a stream, at most so many pages. Without an error, and not cut, its end says that the list is complete. */
  async stream(most = Infinity) {
    const stream = streams.streamMailboxProtectionUnits(this.request); // No deadline, or one of minutes.
    for await (const page of stream) {
      this.add(page);
      if (this.pages === most) break;
    }
    stream.cancel();
  }

  show(what: string) {
    console.log(`${what}: ${this.pages} pages, ${this.units.length} units, ${new Set(this.units.map((unit) => unit.id)).size} ids`);
  }
}

// The server can end a stream before the list ends: when it stops, and after ten minutes. Another one goes on.
const whole = new Read();
for (let complete = false; !complete;) {
  try {
    await whole.stream();
    complete = true;
  } catch (error) {
    const { reason, retryDelay } = typedError(error as grpc.ServiceError);
    if (reason !== 'STREAM_RESUME') throw error;
    console.log('the stream is to be resumed');
    await sleep(retryDelay);
  }
}
whole.show('stream');

for (const way of ['stream', 'list']) {
  const cut = new Read();
  await cut.stream(2);
  if (way === 'stream') await cut.stream();
  while (cut.pageToken) { // Empty after the last page.
    cut.add(await call(lists.listMailboxProtectionUnits.bind(lists), cut.request));
  }
  cut.show(`cut after 2 pages, resumed with the ${way}`);
}

// The second page of this list fails. The first one is valid.
let pages = 0;
try {
  const request = ListExchangeProtectionPolicyUnitsRequest.create({ protectionPolicyId: whole.units[0].policyId, pageSize: 500 });
  for await (const _ of streams.streamExchangeProtectionPolicyUnits(request)) pages++;
} catch (error) {
  console.log(`error after ${pages} page: ${typedError(error as grpc.ServiceError).reason}`);
}

for (const client of [policies, lists, streams]) client.close();
