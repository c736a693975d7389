// Microsoft's JavaScript client on the emulator. Usage: node main.mjs http://127.0.0.1:50082
import assert from "node:assert/strict";
import { GraphError, PageIterator } from "@microsoft/microsoft-graph-client";
import { connect } from "./emulator.mjs";

// From the emulator's README.
const tenantA = "aaaaaaaa-0000-4000-8000-00000000000a";
const tenantC = "cccccccc-0000-4000-8000-00000000000c";
const policyC = "b71df0ed-09d4-41c7-8a7e-362675b6c0c6";
const users = [1, 2, 3, 7, 8].map((n) => `e0000001-67ef-4440-8a1c-00000000000${n}`);
const unknownPolicy = "00000000-0000-4000-8000-000000000000";

const origin = process.argv[2];
const graph = connect(origin, tenantA);
const root = "/solutions/backupRestore";
const unitsOf = (policy) => `${root}/exchangeProtectionPolicies/${policy}/mailboxProtectionUnits`;
const policyAt = (id) => `${root}/protectionPolicies/${id}`;
const mailboxes = (ids) => ids.map((directoryObjectId) => ({ directoryObjectId }));

// control calls the emulator's own API, which is no part of Graph.
async function control(path, body = {}) {
  const response = await fetch(`${origin}/_emulator/${path}`, { method: "POST", body: JSON.stringify(body) });
  assert.ok(response.ok, `${path}: ${response.status}`);
}

let passed = 0;
let failed = 0;

async function step(name, work) {
  try {
    await work();
    passed++;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}: ${error.stack}`);
  }
}

async function refused(work, status, code) {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof GraphError, error);
    assert.deepEqual([error.statusCode, error.code], [status, code]);
    assert.match(error.requestId, /^[0-9a-f-]{36}$/);
    return true;
  });
}

await control("reset");
await control("clock", { speed: 0 });
let policy;

await step("list: tenant A has no policy", async () => {
  assert.deepEqual((await graph.api(`${root}/protectionPolicies`).get()).value, []);
});

await step("list: a token of tenant C shows that tenant's policy", async () => {
  const list = await connect(origin, tenantC).api(`${root}/protectionPolicies`).get();
  assert.deepEqual(list.value.map((p) => [p.id, p["@odata.type"]]), [[policyC, "#microsoft.graph.exchangeProtectionPolicy"]]);
});

await step("create: an Exchange policy with 5 mailboxes", async () => {
  policy = await graph.api(`${root}/exchangeProtectionPolicies`)
    .post({ displayName: "Mailboxes", mailboxProtectionUnits: mailboxes(users) });
  assert.deepEqual([policy.displayName, policy.status], ["Mailboxes", "inactive"]);
});

await step("page: its units come as 2, 2, 1 through next links", async () => {
  const pages = [];
  for (let page = await graph.api(unitsOf(policy.id)).top(2).get(); page; ) {
    pages.push(page.value.map((unit) => unit.directoryObjectId));
    const next = page["@odata.nextLink"];
    page = next && await graph.api(next).get();
  }
  assert.deepEqual(pages.map((page) => page.length), [2, 2, 1]);
  assert.deepEqual(pages.flat().sort(), users);
});

await step("page: PageIterator reads tenant C's 20 mailboxes, 3 at a time", async () => {
  const client = connect(origin, tenantC);
  const ids = [];
  const first = await client.api(unitsOf(policyC)).top(3).get();
  assert.equal(first.value.length, 3);
  await new PageIterator(client, first, (unit) => ids.push(unit.id)).iterate();
  assert.deepEqual([ids.length, new Set(ids).size], [20, 20]);
});

await step("read: the policy", async () => {
  const read = await graph.api(policyAt(policy.id)).get();
  assert.deepEqual([read.id, read.displayName, read.status], [policy.id, "Mailboxes", "inactive"]);
});

await step("update: PATCH displayName", async () => {
  await graph.api(`${root}/exchangeProtectionPolicies/${policy.id}`).patch({ displayName: "Renamed" });
  assert.equal((await graph.api(policyAt(policy.id)).get()).displayName, "Renamed");
});

await step("activate: updating, and active 5 emulated minutes later", async () => {
  const answer = await graph.api(`${policyAt(policy.id)}/activate`).post({});
  assert.equal(answer.status, "updating");
  await control("clock", { advance: "5m" });
  assert.equal((await graph.api(policyAt(policy.id)).get()).status, "active");
  const units = await graph.api(unitsOf(policy.id)).get();
  assert.deepEqual(units.value.map((unit) => unit.status), users.map(() => "protected"));
});

await step("error: 409 PolicyCreationNotAllowed while a policy is active", async () => {
  const create = () => graph.api(`${root}/exchangeProtectionPolicies`).post({ displayName: "Second", mailboxProtectionUnits: [] });
  await refused(create, 409, "PolicyCreationNotAllowed");
});

await step("error: 404 PolicyNotFound on an unknown GUID", async () => {
  await refused(() => graph.api(policyAt(unknownPolicy)).get(), 404, "PolicyNotFound");
});

await step("deactivate: inactive 2 emulated minutes later", async () => {
  await graph.api(`${policyAt(policy.id)}/deactivate`).post({});
  await control("clock", { advance: "2m" });
  assert.equal((await graph.api(policyAt(policy.id)).get()).status, "inactive");
});

await step("delete: the policy is gone", async () => {
  await graph.api(policyAt(policy.id)).delete();
  await refused(() => graph.api(policyAt(policy.id)).get(), 404, "PolicyNotFound");
});

console.log(`JavaScript: ${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
