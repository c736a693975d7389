// Markup in all that comes from Graph shows as text: in the emulator's seed, and in every field of every response message.
// Besides: nothing is asked of elsewhere, nothing stands in the page that the policy has to allow, no token is kept.
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, createFileRegistry, fromBinary, ScalarType, toBinary } from '@bufbuild/protobuf';
import { anyPack, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { go, launch, until } from './browser.mjs';
import { choose, send } from './person.mjs';

const tenant = 'bad0bad0-0000-4000-8000-000000000bad';
const markup = (n) => `<img src=x onerror="window.hit=${n}"><script>window.hit=${n}</script>`;

const seed = [{
  tenant, serviceStatus: 'enabled',
  people: [{ mail: 'a@b.example', displayName: markup(1), jobTitle: markup(2) }],
  sites: [{ name: markup(3), url: 'https://b.example/sites/x' }],
  groups: [{ displayName: markup(4), members: ['a@b.example'] }],
  policies: [
    { workload: 'exchange', displayName: markup(5), members: ['a@b.example'], protectedFor: '720h' },
    { workload: 'sharePoint', displayName: markup(6), members: ['https://b.example/sites/x'], protectedFor: '720h' },
  ],
}];
const file = join(mkdtempSync(join(tmpdir(), 'seed-')), 'seed.json');
writeFileSync(file, JSON.stringify(seed));

/** Fails when markup became elements, or ran. */
async function clean(page, where) {
  const found = await page.evaluate(() => ({
    hit: window.hit, elements: document.querySelectorAll('#app img, #app script, #app iframe, #app [onerror], a[href^="javascript:"]').length,
  }));
  assert.deepEqual(found, { elements: 0 }, where);
}

async function seeded(page, server) {
  await go(page, server.web, 'emulator');
  await choose(page, tenant);
  await until(page, 'the policies of the tenant', () => document.querySelectorAll('.policies [data-policy]').length === 2);
  await page.evaluate(() => { for (const each of document.querySelectorAll('.policies details')) each.open = true; });
  await until(page, 'names with markup, as text', (texts) => texts.every((text) => document.querySelector('.policies').textContent.includes(text)), [markup(1), markup(3), markup(5), markup(6)]);
  await clean(page, 'policies');
  await server.control('POST', `faults?tenant=${tenant}`, { id: '<b>id</b>', operation: 'GET /protectionPolicies/{policyId}', status: 400, code: '<i>Code</i>', message: markup(7) });
  await until(page, 'the rule', () => document.querySelector('.faults').textContent.includes('<b>id</b>'));
  await clean(page, 'fault rules');

  await page.evaluate(() => { location.hash = '#/ProtectionPolicyService/GetProtectionPolicy'; });
  const input = await page.waitForSelector('[data-path=protection_policy_id] input');
  await input.click();
  await until(page, 'suggestions with markup, as text', (text) => document.querySelector('[data-path=protection_policy_id] [role=listbox]').textContent.includes(text), markup(5));
  await clean(page, 'suggestions');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  assert.notEqual(await send(page), 'OK');
  await until(page, 'Graph’s text, as text', (text) => document.querySelector('.error-card').textContent.includes(text), markup(7));
  await clean(page, 'an error');
}

/** A message in which each text has markup, and each list one element. */
function poisoned(registry, schema, text, depth = 0) {
  const message = create(schema);
  for (const field of schema.fields) {
    const value = (each) => {
      if (each.message) {
        if (each.message.typeName === 'google.protobuf.Any') return depth > 3 ? undefined : anyPack(registry.getMessage('google.rpc.ErrorInfo'), create(registry.getMessage('google.rpc.ErrorInfo'), { reason: text, domain: text, metadata: { [text]: text } }));
        return depth > 5 ? undefined : poisoned(registry, each.message, text, depth + 1);
      }
      if (each.enum) return each.enum.values.at(-1).number;
      if (each.scalar === ScalarType.STRING) return text;
      return each.scalar === ScalarType.BOOL ? true : each.scalar === ScalarType.INT64 || each.scalar === ScalarType.UINT64 ? 7n : each.scalar === ScalarType.BYTES ? new Uint8Array([60]) : 7;
    };
    const one = value(field);
    if (one === undefined) continue;
    if (field.oneof) message[field.oneof.localName] = { case: field.localName, value: one };
    else message[field.localName] = field.fieldKind === 'list' ? [one] : field.fieldKind === 'map' ? { [text]: one } : one;
  }
  return message;
}

/** The error of Connect with each kind of detail, all texts of it with markup, and a link that is a script. */
function poisonedError(registry, text) {
  const details = ['ErrorInfo', 'BadRequest', 'PreconditionFailure', 'QuotaFailure', 'ResourceInfo', 'RequestInfo', 'Help'].map((name) => {
    const schema = registry.getMessage(`google.rpc.${name}`);
    const message = poisoned(registry, schema, text);
    if (name === 'Help') message.links[0].url = 'javascript:window.hit=9';
    return { type: schema.typeName, value: Buffer.from(toBinary(schema, message)).toString('base64') };
  });
  return JSON.stringify({ code: 'failed_precondition', message: text, details });
}

async function everyField(page, server) {
  const bytes = new Uint8Array(await (await fetch(`${server.web}contract.binpb`)).arrayBuffer());
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
  const text = markup(8);
  let failing = false;
  const answer = (request) => {
    const [, service, method] = /\/(m365\.backupstorage\.v1\.\w+)\/(\w+)$/.exec(request.url()) ?? [];
    if (!service) return request.continue();
    if (failing) return request.respond({ status: 400, contentType: 'application/json', body: poisonedError(registry, text) });
    const { output, methodKind } = registry.getService(service).methods.find((each) => each.name === method);
    const body = Buffer.from(toBinary(output, poisoned(registry, output, text)));
    if (methodKind === 'unary') return request.respond({ status: 200, contentType: 'application/proto', body });
    const prefix = (flag, length) => Buffer.from([flag, ...[24, 16, 8, 0].map((shift) => (length >>> shift) & 255)]);
    return request.respond({ status: 200, contentType: 'application/connect+proto', body: Buffer.concat([prefix(0, body.length), body, prefix(2, 2), Buffer.from('{}')]) });
  };
  await page.setRequestInterception(true);
  page.on('request', answer);
  await go(page, server.web);
  const rpcs = await page.$$eval('nav.rpcs a', (links) => links.map((link) => link.getAttribute('href')));
  let texts = 0;
  for (const rpc of rpcs) {
    await page.evaluate((hash) => { location.hash = hash; }, rpc);
    await until(page, rpc, (hash) => document.querySelector('article.rpc')?.dataset.rpc === hash.slice(2), rpc);
    assert.equal(await send(page), 'OK', rpc);
    texts += await page.evaluate((wanted) => {
      for (const each of document.querySelectorAll('.response details')) each.open = true;
      return document.querySelector('.response').textContent.split(wanted).length - 1;
    }, text);
    await clean(page, rpc);
  }
  failing = true;
  await page.evaluate(() => { location.hash = '#/ProtectionPolicyService/ListProtectionPolicies'; });
  await until(page, 'a unary rpc', () => document.querySelector('article.rpc').dataset.rpc.endsWith('/ListProtectionPolicies'));
  assert.equal(await send(page), 'FAILED_PRECONDITION');
  assert.ok(await page.$eval('.error-card', (node, wanted) => node.textContent.split(wanted).length, text) > 8, 'the texts of an error');
  await clean(page, 'an error with markup in all details');
  page.off('request', answer);
  await page.setRequestInterception(false);
  assert.ok(texts > 500, `only ${texts} texts with markup were shown`);
  return texts;
}

/** A token is in the header of calls, and nowhere else. */
async function token(page, server) {
  const secret = 'canary-of-a-token';
  await go(page, server.web, 'ProtectionPolicyService/ListProtectionPolicies');
  await (await page.waitForSelector('.settings > button')).click();
  await page.type('.popover input[type=password]', secret);
  await page.keyboard.press('Escape');
  const sent = page.waitForRequest((request) => request.url().endsWith('/ListProtectionPolicies'));
  await send(page);
  assert.equal((await sent).headers().authorization, `Bearer ${secret}`);
  const kept = await page.evaluate(async () => ({
    local: localStorage.length, session: sessionStorage.length, cookie: document.cookie, caches: (await caches.keys()).length,
    databases: (await indexedDB.databases()).length, workers: (await navigator.serviceWorker.getRegistrations()).length,
    address: location.href, text: document.documentElement.outerHTML,
  }));
  const { address, text, ...stores } = kept;
  assert.deepEqual(stores, { local: 0, session: 0, cookie: '', caches: 0, databases: 0, workers: 0 });
  assert.ok(!address.includes(secret) && !text.includes(secret), 'the token stands in the page or its address');
  await page.reload();
  await until(page, 'the page again', () => document.querySelector('.settings > button'));
  assert.equal(await page.$eval('.popover input[type=password]', (node) => node.value), '', 'the token outlives the page');
  assert.ok(!server.log.join('').includes(secret), 'the token is in the log');
}

/** What stands in the page itself, and what its headers allow. */
async function policy(server) {
  const response = await fetch(server.web);
  const csp = response.headers.get('content-security-policy') ?? '';
  assert.match(csp, /default-src 'none'/);
  assert.doesNotMatch(csp, /unsafe|\*|https?:/);
  const html = await response.text();
  assert.doesNotMatch(html, /<script(?![^>]* src=)|<style| style=| on\w+=/i, 'index.html has a script or a style of its own');
  assert.doesNotMatch(html, /https?:/, 'index.html names another host');
  assert.equal(response.headers.get('set-cookie'), null);
}

/**
 * What Chromium asks for itself, whatever page is open. That the page asks none of them is seen by the part of every
 * script that looks at the requests of pages: open, in browser.mjs.
 */
const ofChromium = new Set([
  'update.googleapis.com', 'content-autofill.googleapis.com', 'optimizationguide-pa.googleapis.com', 'safebrowsing.googleapis.com',
  'accounts.google.com', 'clients2.google.com', 'android.clients.google.com', 'www.google.com', 'redirector.gvt1.com',
]);

/** A browser whose every request goes through a proxy that counts the hosts. */
async function proxied(server) {
  const hosts = new Set();
  const proxy = createServer((request, response) => {
    const url = new URL(request.url);
    hosts.add(url.host);
    const onward = httpRequest(url, { method: request.method, headers: request.headers }, (got) => { response.writeHead(got.statusCode, got.headers); got.pipe(response); });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  }).on('connect', (request, socket) => { hosts.add(request.url); socket.end(); });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const browser = await launch([`--proxy-server=http://127.0.0.1:${proxy.address().port}`, '--proxy-bypass-list=<-loopback>']);
  try {
    const page = await browser.newPage();
    for (const route of ['', 'ProtectionPolicyService/ListProtectionPolicies', 'errors', 'emulator']) await go(page, server.web, route);
    await until(page, 'the policies', () => document.querySelectorAll('[data-policy]').length > 0);
  } finally {
    await browser.close();
    proxy.closeAllConnections();
    proxy.close();
  }
  assert.deepEqual([...hosts].filter((host) => !ofChromium.has(host.split(':')[0])), [new URL(server.web).host], 'hosts that the browser asked');
}

export async function injection(page, server) {
  await policy(server);
  await seeded(page, server);
  const texts = await everyField(page, server);
  await token(page, server);
  await proxied(server);
  return `markup in the seed and in ${texts} places of responses is text; one host asked; no token kept`;
}
injection.flags = [`--emulator-seed=${file}`];
