// Creates a policy although the answer to the first call is lost: node dist/repeat-with-key.js ADDRESS
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { channelCredentials } from './channel.js';
import { typedError } from './errors.js';
import {
  type CreateSharePointProtectionPolicyRequest, ListProtectionPoliciesRequest, ProtectionPolicyServiceClient,
} from './stubs/m365/backupstorage/v1/protection_policy_service.js';

const [address] = process.argv.slice(2);
const policies = new ProtectionPolicyServiceClient(address, channelCredentials());
const options = () => ({ deadline: Date.now() + 20_000 });

/** Returns the id of the policy, and whether the call was a repetition of one that was done. */
function create(request: CreateSharePointProtectionPolicyRequest): Promise<{ id: string; repeated: boolean }> {
  return new Promise((resolve, reject) => {
    let id = '';
    const call = policies.createSharePointProtectionPolicy(request, new grpc.Metadata(), options(), (error, response) => {
      if (error) reject(error);
      else id = response.protectionPolicy!.id;
    });
    // The trailers come after the response.
    call.on('status', ({ code, metadata }) => {
      if (code === grpc.status.OK) resolve({ id, repeated: metadata.get('x-idempotent-replay')[0] === 'true' });
    });
  });
}

async function createAtLast(request: CreateSharePointProtectionPolicyRequest): Promise<string> {
  for (let n = 1; ; n++) {
    try {
      const { id, repeated } = await create(request);
      console.log(`call ${n}: OK, repeated: ${repeated}`);
      return id;
    } catch (error) {
      const { reason, outcomeUnknown, retryDelay } = typedError(error as grpc.ServiceError);
      console.log(`call ${n}: ${reason}, outcome unknown: ${outcomeUnknown}`);
      // With a key it is safe to call again when nobody knows what was done. Without one a program looks first.
      if (n === 5 || (!outcomeUnknown && retryDelay === undefined)) throw error;
      await setTimeout(Math.max(retryDelay ?? 0, 100));
    }
  }
}

// A key for this write alone. A program that may die before it is done keeps it, with the request.
const request: CreateSharePointProtectionPolicyRequest = { displayName: 'Sites', siteProtectionUnits: [], idempotencyKey: randomUUID() };
const id = await createAtLast(request);
const again = await create(request);
console.log(`the same again: the same policy: ${again.id === id}, repeated: ${again.repeated}`);
// Another request needs a key of its own.
const other = await create({ ...request, displayName: 'Other sites' }).catch((error: grpc.ServiceError) => error);
console.log(`another request with the key: ${other instanceof Error ? typedError(other).reason : 'OK'}`);
const list = await new Promise<number>((resolve, reject) => {
  policies.listProtectionPolicies(ListProtectionPoliciesRequest.create(), new grpc.Metadata(), options(), (error, response) => {
    if (error) reject(error);
    else resolve(response.protectionPolicies.length);
  });
});
console.log(`policies: ${list}`);
policies.close();
