// Walks all rpcs of the descriptors, and calls each from the page with its example request.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { go, until } from './browser.mjs';

const protos = new URL('../../proto/m365/backupstorage/v1/', import.meta.url);

/** The rpcs as the protos have them: the page must not be asked what it has to show. */
function declared() {
  return readdirSync(protos).flatMap((file) => {
    const text = readFileSync(new URL(file, protos), 'utf8');
    const [, service] = /^service (\w+) \{/m.exec(text) ?? [];
    return [...text.matchAll(/^ {2}rpc (\w+)\(/gm)].map(([, rpc]) => `${service}/${rpc}`);
  }).sort();
}

/**
 * What the demo has no example for: the reason that the call then gets. All other calls must be OK.
 */
const refused = {
};

export async function everyRpc(page, server) {
  const wanted = declared();
  await server.control('POST', 'clock', { speed: 0 });
  await go(page, server.web);
  const shown = await page.$$eval('nav.rpcs a', (links) => links.map((link) => link.getAttribute('href').slice(2)).sort());
  assert.deepEqual(shown, wanted, 'the page lists the rpcs of the protos');

  // On behalf of a user, so that those rpcs are there too which Graph refuses to an application.
  await (await page.waitForSelector('.settings > button')).click();
  await (await page.waitForSelector('.popover input[type=checkbox]')).click();
  await page.keyboard.press('Escape');
  const { defaultTenant } = await (await fetch(`${server.web}about.json`)).json();

  const wrong = [];
  let ok = 0;
  for (const rpc of wanted) {
    await server.control('POST', `reset?tenant=${defaultTenant}`);
    const outcome = await callOnce(page, rpc);
    if (outcome === 'OK') ok++;
    if (outcome !== (refused[rpc] ?? 'OK')) wrong.push(`${rpc}: ${outcome}, want ${refused[rpc] ?? 'OK'}`);
  }
  assert.deepEqual(wrong, []);
  return `${wanted.length} rpcs called, ${ok} of them OK`;
}

/** Calls an rpc with its example, and returns OK or the reason. What lasts is cancelled after its first message. */
async function callOnce(page, rpc) {
  await page.evaluate((id) => { location.hash = `#/${id}`; }, rpc);
  await until(page, `the page of ${rpc}`, (id) => document.querySelector('.rpc .service')?.textContent === id.split('/')[0] && document.querySelector('h1').firstChild.textContent === id.split('/')[1], rpc);
  const filled = await page.evaluate(() => {
    const [fill] = [...document.querySelectorAll('.request button')].filter((each) => each.textContent === 'Fill with example');
    fill?.click();
    return fill !== undefined;
  });
  if (filled) {
    await until(page, `the example of ${rpc}`, () => [...document.querySelectorAll('.request button')].some((each) => each.textContent === 'Fill with example' && !each.disabled));
  }
  await page.evaluate(() => document.querySelector('.request form').requestSubmit());
  return await until(page, `the outcome of ${rpc}`, () => {
    const outcome = document.querySelector('.response .outcome strong')?.textContent ?? '';
    const problem = document.querySelector('.request .problem')?.textContent;
    if (!outcome) return problem ? `not sent: ${problem}` : false;
    if (/so far/.test(outcome)) {
      if (/^0/.test(outcome)) return false;
      [...document.querySelectorAll('.send button')].find((each) => each.textContent === 'Cancel')?.click();
      return 'OK';
    }
    return document.querySelector('.response > .error-card .reason')?.textContent ?? outcome;
  });
}
