// What a person does: the steps of all three uses of the page, one after the other, as somebody would take them. Each step
// fails loudly, with what the page shows.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { go, until } from './browser.mjs';
import { startServer } from './server.mjs';

const tenantA = 'aaaaaaaa-0000-4000-8000-00000000000a';

/** Types into the field of a path, as the form has it. */
async function fill(page, path, text) {
  const input = await page.waitForSelector(`[data-path="${path}"] input`);
  await input.click();
  await input.evaluate((node) => node.select());
  await page.keyboard.press('Backspace');
  await page.keyboard.type(text);
  await page.keyboard.press('Escape');
}

const button = (page, name) => page.waitForSelector(`::-p-aria([name="${name}"][role="button"])`);
const press = async (page, name) => (await button(page, name)).click();

/** Presses Call, and returns the outcome that is shown: OK, or a gRPC code. */
export async function send(page) {
  const before = await page.evaluate(() => document.querySelector('.response .outcome')?.dataset.call);
  await page.evaluate(() => document.querySelector('.request form').requestSubmit());
  return await until(page, 'the outcome of the call', (old) => {
    const outcome = document.querySelector('.response .outcome');
    return outcome?.dataset.call && outcome.dataset.call !== old ? outcome.querySelector('strong').textContent : false;
  }, before);
}

/** Opens an rpc by typing words of its name, with the keyboard alone. */
async function find(page, url, typed, name) {
  await go(page, url);
  await page.keyboard.press('/');
  await page.keyboard.type(typed);
  await until(page, `${name} among the rpcs`, (wanted) => [...document.querySelectorAll('nav.rpcs a')].some((link) => link.textContent.startsWith(wanted)), name);
  for (let i = 0; i < 20; i++) {
    await page.keyboard.press('ArrowDown');
    if (await page.evaluate((wanted) => document.activeElement.textContent === wanted, name)) break;
  }
  await page.keyboard.press('Enter');
  await until(page, `the page of ${name}`, (wanted) => document.querySelector('h1')?.textContent.startsWith(wanted), name);
}

async function newcomer(page, server) {
  await find(page, server.web, 'create exchange policy', 'CreateExchangeProtectionPolicy');
  const read = await page.$eval('.rpc > header', (node) => node.innerText);
  assert.match(read, /creates an inactive policy for mailboxes/);
  assert.match(read, /POST \/exchangeProtectionPolicies/);
  assert.match(read, /BackupRestore-Configuration\.ReadWrite\.All/);
  await (await page.waitForSelector('.documented summary')).click();
  const documented = await page.$eval('.documented', (node) => node.innerText);
  assert.match(documented, /POLICY_CREATION_NOT_ALLOWED/);
  assert.match(documented, /The workload already has an active policy/);

  // The form, from suggestions: the first person of the directory.
  await fill(page, 'display_name', "Mail of O'Brien");
  await press(page, 'Add mailbox_protection_units');
  const unit = await page.waitForSelector('[data-path="mailbox_protection_units[0].directory_object_id"] input');
  await unit.click();
  await until(page, 'suggestions', () => document.querySelectorAll('[role=listbox]:not([hidden]) [role=option]').length > 2);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  assert.match(await unit.evaluate((node) => node.value), /^[0-9a-f-]{36}$/, 'a suggestion is a GUID');

  // The demo has an active policy for mailboxes, so this cannot be.
  assert.equal(await send(page), 'FAILED_PRECONDITION');
  const inForm = await page.$eval('.request .problem', (node) => node.innerText);
  assert.match(inForm, /POLICY_CREATION_NOT_ALLOWED.*active policy.*What to do: .*Retry: /s, 'the form says reason, what to do and when to repeat');
  const card = await page.$eval('.error-card', (node) => node.innerText);
  for (const part of [/POLICY_CREATION_NOT_ALLOWED/, /FAILED_PRECONDITION/, /What to do/, /Retry/, /Not before the request or the resource changes/]) assert.match(card, part);

  // A field that is wrong is marked, gets the focus, and says what to do.
  await page.evaluate(() => document.activeElement.blur());
  await fill(page, 'display_name', 'x'.repeat(1025));
  assert.equal(await send(page), 'INVALID_ARGUMENT');
  const marked = await page.$eval('.field.wrong', (node) => [node.dataset.path, node.querySelector('.problem').innerText, node.querySelector('input').getAttribute('aria-invalid')]);
  assert.equal(marked[0], 'display_name');
  assert.match(marked[1], /INVALID_DISPLAY_NAME.*Send a display name of 1 to 1,024 characters/s);
  assert.equal(marked[2], 'true');
  await until(page, 'the focus on the wrong field', () => document.activeElement.closest('[data-path]')?.dataset.path === 'display_name');
  return 'found by typing, read, filled from suggestions, refused at the form and at its field';
}

/** Runs a line of the page in a shell, and returns what it printed. */
function shell(line, grpcurl) {
  return execFileSync('bash', ['-c', `grpcurl() { '${grpcurl}' "$@"; }; ${line}`], { encoding: 'utf8' });
}

/** A response of grpcurl in the names of the proto, which the page uses. */
const named = (json) => JSON.parse(JSON.stringify(json), function (key, value) {
  if (value && typeof value === 'object' && !Array.isArray(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), each]));
  }
  return value;
});

async function copied(page, name) {
  await press(page, `Copy the ${name} line`);
  return await until(page, 'the copied line', () => navigator.clipboard.readText());
}

async function lines(page, server, grpcurl) {
  await go(page, server.web, 'ProtectionPolicyService/ListProtectionPolicies');
  await fill(page, 'page_size', '2');
  assert.equal(await send(page), 'OK');
  await (await page.waitForSelector('[data-tab=JSON]')).click();
  const shown = JSON.parse(await page.$eval('.messages pre', (node) => node.textContent));
  assert.equal(shown.protection_policies.length, 2);
  // What Graph signs anew each time.
  const same = ({ next_page_token, ...rest }) => rest;
  assert.deepEqual(same(named(JSON.parse(shell(await copied(page, 'grpcurl'), grpcurl)))), same(shown), 'grpcurl prints what the page shows');
  assert.deepEqual(same(named(JSON.parse(shell(await copied(page, 'curl'), grpcurl)))), same(shown), 'curl prints what the page shows');

  // Quoting: a name with all that a shell could take amiss comes back as it was.
  const name = `it's "$HOME" \`id\` \\ !! \u00e9 ; rm -rf * && %s\t`;
  await page.evaluate((tenant) => { location.hash = '#/ProtectionPolicyService/CreateSharePointProtectionPolicy'; return tenant; }, tenantA);
  await until(page, 'the form', () => document.querySelector('[data-path=display_name] input'));
  await choose(page, tenantA);
  await fill(page, 'display_name', name.replace('\t', ''));
  const made = named(JSON.parse(shell(await copied(page, 'grpcurl'), grpcurl)));
  assert.equal(made.protection_policy.display_name, name.replace('\t', ''));
  const again = shell(await copied(page, 'curl'), grpcurl);
  assert.equal(JSON.parse(again).protectionPolicy.displayName, name.replace('\t', ''));

  // A stream by curl: a prefix of five bytes, and the message.
  await go(page, server.web, 'ProtectionUnitStreamService/StreamMailboxProtectionUnits');
  await choose(page, '');
  assert.match(shell(await copied(page, 'curl'), grpcurl), /"protectionUnits"/);
  return 'grpcurl and curl lines print what the page shows, with any quoting';
}

/** Chooses the tenant of calls. Empty is the default. */
export async function choose(page, tenant) {
  const input = await page.waitForSelector('.settings .combobox input');
  await input.click();
  await input.evaluate((node) => node.select());
  await page.keyboard.press('Backspace');
  if (tenant) await page.keyboard.type(tenant);
  await page.keyboard.press('Escape');
}

async function stream(page, server) {
  await go(page, server.web, 'ProtectionUnitStreamService/StreamMailboxProtectionUnits');
  await fill(page, 'page_size', '3');
  assert.equal(await send(page), 'OK');
  const count = await page.$$eval('.stream > li', (list) => list.length);
  assert.ok(count >= 4, `the stream has ${count} messages, want 4 pages of 3`);

  // A watch goes on until somebody cancels it; its first message is there meanwhile.
  const policy = await aPolicy(page, server.web);
  await go(page, server.web, 'WatchService/WatchProtectionPolicy');
  await fill(page, 'protection_policy_id', policy);
  await server.control('POST', 'clock', { speed: 0 });
  await page.evaluate(() => document.querySelector('.request form').requestSubmit());
  await until(page, 'the end, or the first message, of the watch', () => document.querySelectorAll('.stream > li').length > 0);
  if (await page.$('.send button[type=button]')) {
    await press(page, 'Cancel');
    await until(page, 'the cancelled watch', () => /Cancelled/.test(document.querySelector('.outcome')?.textContent));
  }
  await server.control('POST', 'clock', { speed: 60 });

  // A stream that does not end by itself: its pages come slowly.
  await server.control('POST', 'faults', { id: 'slow', operation: 'GET /protectionUnits/microsoft.graph.mailboxProtectionUnit', delay: '1s' });
  await go(page, server.web, 'ProtectionUnitStreamService/StreamMailboxProtectionUnits');
  await fill(page, 'page_size', '1');
  await page.evaluate(() => document.querySelector('.request form').requestSubmit());
  await until(page, 'a first page while the others are to come', () => document.querySelectorAll('.stream > li').length === 1 && /so far/.test(document.querySelector('.outcome').textContent));
  await press(page, 'Cancel');
  await until(page, 'the cancelled stream', () => /Cancelled/.test(document.querySelector('.outcome').textContent));
  await server.control('DELETE', 'faults?id=slow');
  return `${count} pages streamed, another stream shown as it came, and cancelled`;
}

async function aPolicy(page, url) {
  const response = await page.evaluate(async (base) => await (await fetch(`${base}m365.backupstorage.v1.ProtectionPolicyService/ListProtectionPolicies`, {
    method: 'POST', body: '{}', headers: { 'content-type': 'application/json', 'connect-protocol-version': '1' },
  })).json(), url);
  return response.protectionPolicies[0].id;
}

/** The text of a panel of the emulator. */
const panel = (page, name) => page.$eval(`.${name}`, (node) => node.innerText);

async function watcher(page, server) {
  await server.control('POST', 'reset');
  await server.control('POST', 'clock', { speed: 0 });

  // A policy of tenant A with two people, made and activated from the page.
  await go(page, server.web, 'ProtectionPolicyService/CreateExchangeProtectionPolicy');
  await choose(page, tenantA);
  await press(page, 'Fill with example');
  await until(page, 'the example', () => document.querySelector('[data-path="mailbox_protection_units[0].directory_object_id"] input')?.value);
  assert.equal(await send(page), 'OK');
  await page.evaluate(() => { location.hash = '#/ProtectionPolicyService/ActivateProtectionPolicy'; });
  await until(page, 'the form', () => document.querySelector('[data-path=protection_policy_id] input'));
  await press(page, 'Fill with example');
  await until(page, 'the example', () => document.querySelector('[data-path=protection_policy_id] input').value);
  assert.equal(await send(page), 'OK');

  await page.evaluate(() => { location.hash = '#/emulator'; });
  await until(page, 'a policy with a unit on its way', () => /updating/.test(document.querySelector('.policies')?.innerText) && /1 protect requested/.test(document.querySelector('.policies').innerText));
  const before = await page.$eval('.clock time', (node) => node.dateTime);
  await press(page, '+ 1 h');
  await until(page, 'the unit protected', () => /1 protected/.test(document.querySelector('.policies').innerText) && /\bactive\b/.test(document.querySelector('.policies').innerText));
  const after = await page.$eval('.clock time', (node) => node.dateTime);
  assert.equal(Date.parse(after) - Date.parse(before), 3600e3, 'the clock moved by an hour');

  // A restore of it, from the first point, to its end.
  await page.evaluate(() => { location.hash = '#/RestoreSessionService/CreateExchangeRestoreSession'; });
  await until(page, 'the form', () => /CreateExchangeRestoreSession/.test(document.querySelector('h1')?.textContent));
  await press(page, 'Fill with example');
  await until(page, 'a restore point', () => document.querySelector('[data-path="mailbox_restore_artifacts.items[0].restore_point.id"] input')?.value.length > 40);
  assert.equal(await send(page), 'OK');
  await page.evaluate(() => { location.hash = '#/RestoreSessionService/ActivateRestoreSession'; });
  await until(page, 'the form', () => /ActivateRestoreSession/.test(document.querySelector('h1')?.textContent));
  await press(page, 'Fill with example');
  await until(page, 'the session', () => document.querySelector('[data-path=restore_session_id] input').value);
  assert.equal(await send(page), 'OK');
  await page.evaluate(() => { location.hash = '#/emulator'; });
  await until(page, 'the session activating', () => /activating/.test(document.querySelector('.sessions')?.innerText));
  await press(page, '+ 1 h');
  await until(page, 'the session completed', () => /\bcompleted\b/.test(document.querySelector('.sessions').innerText) && /1 succeeded/.test(document.querySelector('.sessions').innerText));

  // A fault rule from the list, and what comes of it.
  await press(page, 'Set the rule');
  await until(page, 'the rule', () => /acted 0 times/.test(document.querySelector('.faults').innerText));
  await page.evaluate(() => { location.hash = '#/ProtectionPolicyService/CreateExchangeProtectionPolicy'; });
  await until(page, 'the form', () => document.querySelector('[data-path=display_name] input')?.value);
  assert.equal(await send(page), 'UNAVAILABLE');
  assert.match(await page.$eval('.error-card', (node) => node.innerText), /POLICY_SAVE_FAILED.*Retry\s+After \d/s);
  await page.evaluate(() => { location.hash = '#/emulator'; });
  await until(page, 'the rule that acted', () => /acted 1 time\b/.test(document.querySelector('.faults')?.innerText));
  const ledger = await until(page, 'the ledger', () => {
    const text = document.querySelector('.ledger .timeline').innerText;
    return /POST \/exchangeProtectionPolicies/.test(text) && /fault rule/.test(text) && /restoreSession/i.test(text) ? text : false;
  });
  assert.match(ledger, /protectRequested → protected/, 'the ledger has the change of the unit');
  assert.match(ledger, /by itself/);
  assert.doesNotMatch(ledger, /GET \/protectionPolicies\b/, 'the reads of this page are hidden');
  await page.evaluate(() => { document.querySelector('.faults .cards button').click(); });
  await until(page, 'no rule', () => /No rule acts now/.test(document.querySelector('.faults').innerText));

  // A rule that the emulator refuses is refused at its text.
  await page.$eval('.faults textarea', (node) => { node.value = '{"operation":"GET /nothing"}'; node.dispatchEvent(new Event('input', { bubbles: true })); });
  await press(page, 'Set the rule');
  await until(page, 'why the rule is refused', () => /GET \/nothing/.test(document.querySelector('.faults .problem')?.innerText));

  // The speed of the clock.
  await page.select('.clock select', '3600');
  const early = await page.$eval('.clock time', (node) => node.dateTime);
  await until(page, 'a fast clock', (from) => Date.parse(document.querySelector('.clock time').dateTime) - Date.parse(from) > 1800e3, early);
  await page.select('.clock select', '60');
  return 'stepped the clock, saw units protected and a session completed, set a fault rule, saw it act, read the ledger';
}

async function developer(page, server) {
  // A request id: the page says which call it was, and what Graph was asked.
  await go(page, server.web, 'ProtectionPolicyService/GetProtectionPolicy');
  await choose(page, '');
  await fill(page, 'protection_policy_id', '00000000-0000-4000-8000-000000000404');
  assert.equal(await send(page), 'NOT_FOUND');
  await (await page.waitForSelector('.about-call summary')).click();
  const id = await page.$eval('.about-call a', (node) => node.textContent);
  await page.evaluate(() => { location.hash = '#/errors'; });
  const paste = async (text) => {
    const area = await page.waitForSelector('.errors textarea');
    await area.evaluate((node, value) => { node.value = value; node.dispatchEvent(new Event('input', { bubbles: true })); }, text);
  };
  await paste(id);
  await until(page, 'the call of the request id', () => /GetProtectionPolicy/.test(document.querySelector('.decoded').innerText) && /GET \/protectionPolicies\/0000/.test(document.querySelector('.decoded').innerText));

  // The details as gRPC sends them, and the error as curl prints it.
  const response = await fetch(`${server.web}m365.backupstorage.v1.ProtectionPolicyService/GetProtectionPolicy`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"protectionPolicyId":"00000000-0000-4000-8000-000000000404"}',
  });
  assert.equal(response.status, 404);
  await paste(await response.text());
  await until(page, 'the error of curl', () => /POLICY_NOT_FOUND/.test(document.querySelector('.decoded .error-card')?.innerText));
  // A google.rpc.Status with code 9, message "m" and an ErrorInfo of POLICY_CREATION_NOT_ALLOWED.
  const status = Buffer.concat([Buffer.from([0x08, 9, 0x12, 1, 0x6d]), field(3, Buffer.concat([
    field(1, Buffer.from('type.googleapis.com/google.rpc.ErrorInfo')), field(2, field(1, Buffer.from('POLICY_CREATION_NOT_ALLOWED')))]))]);
  for (const text of [status.toString('base64'), status.toString('base64').replace(/=+$/, ''), `grpc-status-details-bin: ${status.toString('base64url')}`]) {
    await paste('');
    await paste(text);
    await until(page, `the details ${text}`, () => /POLICY_CREATION_NOT_ALLOWED/.test(document.querySelector('.decoded .error-card')?.innerText));
  }
  await paste('this is nothing');
  await until(page, 'what a text is not', () => /neither/.test(document.querySelector('.decoded .problem')?.innerText));
  return 'a request id, the JSON of an error and three spellings of grpc-status-details-bin decoded';
}

/** A server whose upstream is not its own emulator: there is nothing to move, and the rest works. */
async function againstGraph(page, server) {
  const other = await startServer(server.program, [`--graph-endpoint=${server.emulator}`, '--default-tenant=eeeeeeee-0000-4000-8000-00000000000e']);
  try {
    await page.goto(`${other.web}#/ProtectionPolicyService/GetProtectionPolicy`);
    const input = await page.waitForSelector('[data-path=protection_policy_id] input');
    const parts = await page.$$eval('.top nav a', (links) => links.map((link) => link.textContent));
    assert.deepEqual(parts, ['Rpcs', 'Errors'], 'the emulator is no part of the page');
    assert.equal((await fetch(`${other.web}_emulator/clock`)).status, 404);
    await input.click();
    await until(page, 'suggestions from the rpcs themselves', () => document.querySelectorAll('[role=listbox]:not([hidden]) [role=option]').length === 3);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    assert.equal(await send(page), 'OK');
    await page.evaluate(() => { location.hash = '#/emulator'; });
    await until(page, 'that there is no emulator', () => /no emulator to watch/.test(document.querySelector('main').innerText));
    assert.equal(await page.$('.watch'), null);
  } finally {
    await other.stop();
  }
  // The page was opened for the first server.
  const faults = page.faults.filter((fault) => !fault.includes(other.web));
  page.faults.splice(0, Infinity, ...faults);
  return 'no emulator in the page, suggestions and calls work';
}

/** A field with bytes of a protobuf message. */
function field(number, bytes) {
  assert.ok(bytes.length < 128);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

/** Somebody whose screen shows no frame before the server has sent all, and an address is typed. Effects run after a frame. */
async function slowScreen(page, server) {
  await page.evaluateOnNewDocument(() => {
    const held = [];
    const { setTimeout, requestAnimationFrame } = window;
    // Preact waits for a frame, or for a timeout when there is none.
    window.setTimeout = (run, ...rest) => held.push(() => setTimeout(run, ...rest));
    window.requestAnimationFrame = (run) => held.push(() => requestAnimationFrame(run));
    window.showFrames = () => {
      Object.assign(window, { setTimeout, requestAnimationFrame });
      held.forEach((go) => go());
    };
  });
  await page.goto(`${server.web}#/ProtectionPolicyService/ListProtectionPolicies`, { waitUntil: 'networkidle0' });
  await page.evaluate(() => { location.hash = '#/errors'; });
  await page.evaluate(() => window.showFrames());
  await until(page, 'the contract, and the address of last', () => document.querySelector('h1')?.textContent === 'Errors');
  return 'what comes before the first frame is shown';
}

export const steps = { newcomer, lines, stream, watcher, developer, againstGraph, slowScreen };
