// No violation that axe-core knows, in any state of the page, in light and dark, wide and narrow; and the keyboard reaches all.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { go, open, until } from './browser.mjs';
import { send } from './person.mjs';

const axe = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

async function check(page, where) {
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => (await window.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  })).violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.any[0]?.message ?? ''}`).join(' | ')}`));
  assert.deepEqual(violations, [], where);
}

/** The states of the page, each with what leads to it from the one before. */
const states = [
  ['the beginning', (page, url) => go(page, url)],
  ['rpcs found', async (page) => { await page.keyboard.press('/'); await page.keyboard.type('restore point'); }],
  ['a form', (page, url) => go(page, url, 'ProtectionPolicyService/CreateExchangeProtectionPolicy')],
  ['suggestions', async (page) => {
    await page.evaluate(() => [...document.querySelectorAll('.request button')].find((each) => each.textContent === 'Add').click());
    await (await page.waitForSelector('[data-path="mailbox_protection_units[0].directory_object_id"] input')).click();
    await page.waitForSelector('[data-path="mailbox_protection_units[0].directory_object_id"] [role=option]');
    await page.keyboard.press('ArrowDown');
  }],
  ['documented errors', async (page) => { await page.keyboard.press('Escape'); await page.click('.documented summary'); }],
  ['an error', async (page) => { await send(page); }],
  ['the form as JSON', (page) => page.evaluate(() => [...document.querySelectorAll('.request button')].find((each) => each.textContent === 'JSON').click())],
  ['who calls', (page) => page.click('.settings > button')],
  ['a nested form', async (page, url) => {
    await go(page, url, 'RestorePointService/SearchRestorePoints');
    await page.evaluate(() => { for (const each of [...document.querySelectorAll('.request button')].filter((one) => one.textContent === 'Add')) each.click(); });
  }],
  ['a oneof', async (page, url) => {
    await go(page, url, 'RestoreSessionService/CreateExchangeRestoreSession');
    await page.select('.oneof select', 'mailbox_restore_artifacts');
  }],
  ['a response as a tree', async (page, url) => {
    await go(page, url, 'ProtectionUnitService/ListMailboxProtectionUnits');
    assert.equal(await send(page), 'OK');
    await page.evaluate(() => { for (const each of document.querySelectorAll('.response details')) each.open = true; });
  }],
  ['a response as JSON', (page) => page.click('[data-tab=JSON]')],
  ['a stream', async (page, url) => { await go(page, url, 'ProtectionUnitStreamService/StreamMailboxProtectionUnits'); await send(page); }],
  ['reasons', (page, url) => go(page, url, 'errors')],
  ['a reason', (page, url) => go(page, url, 'errors/POLICY_CREATION_NOT_ALLOWED')],
  ['an error pasted', async (page) => { await page.type('.errors textarea', '{"code":9,"message":"m"}'); await page.waitForSelector('.decoded .error-card'); }],
  ['the emulator', async (page, url) => {
    await go(page, url, 'emulator');
    await until(page, 'policies and sessions', () => document.querySelectorAll('[data-policy]').length > 0 && document.querySelectorAll('[data-session]').length > 0);
    await page.evaluate(() => { for (const each of document.querySelectorAll('.policies details')) each.open = true; });
    // Panels grow meanwhile, so a click by position could miss.
    await page.evaluate(() => { for (const each of ['.ledger input[type=checkbox]', '.faults button[type=submit]']) document.querySelector(each).click(); });
    await page.waitForSelector('.faults .cards li');
  }],
];

/** Tab leads from the top to the last control of a form and on, and never stops: each stop shows that it has the focus. */
async function keyboard(page, url) {
  await go(page, url, 'ProtectionPolicyService/CreateExchangeProtectionPolicy');
  await page.evaluate(() => { document.activeElement.blur(); document.querySelector('nav.rpcs .scroll').remove(); });
  const stops = new Set();
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const { activeElement: at } = document;
      if (at === document.body) return '';
      const { outlineStyle, borderColor } = getComputedStyle(at);
      return outlineStyle === 'none' && !borderColor ? `hidden: ${at.outerHTML.slice(0, 80)}` : at.textContent.slice(0, 30) || at.getAttribute('aria-label') || at.id;
    });
    assert.doesNotMatch(stop, /^hidden/);
    stops.add(stop);
  }
  for (const wanted of ['Skip to the content', 'Errors', 'Emulator', 'Find an rpc', 'Fill with example', 'JSON', 'Add', 'Call']) {
    assert.ok([...stops].some((stop) => stop.startsWith(wanted)), `Tab does not reach ${wanted}: ${[...stops].join(', ')}`);
  }
}

export async function accessible(page, server, _, browser) {
  let checked = 0;
  for (const size of [{ width: 1280, scheme: 'light' }, { width: 1280, scheme: 'dark' }, { width: 390, scheme: 'light' }]) {
    const one = await open(browser, server.web, size);
    for (const [name, lead] of states) {
      await lead(one, server.web);
      await check(one, `${name}, ${size.width}, ${size.scheme}`);
      const wide = await one.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name} is ${wide} px wider than the window of ${size.width}`);
      checked++;
    }
    await one.browserContext().close();
    await server.control('POST', 'reset');
  }
  await keyboard(page, server.web);
  return `${checked} states without a violation, all controls by Tab`;
}
