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
 * The reasons of calls for which the demo has nothing that they could act on: the id of an example is then unknown, or of
 * something in another state. All other calls must be OK; above all, no example may be malformed.
 */
const refused = [
  ['NOT_FOUND', /^BrowseSessionService\/(Get|Browse)/],
  ['NOT_FOUND', /\/(Get|Wait|Watch)(Mailbox|Site)ProtectionUnitsBulkAdditionJob$/],
  ['PROTECTION_RULE_NOT_FOUND', /^InclusionRuleService\/(Delete|DeleteAndUnprotect|Get|Run|Update|Wait)(Drive|Site)/],
  ['RUN_NOT_ALLOWED_FOR_DYNAMIC_RULE', /\/RunMailboxInclusionRule$/],
  ['POLICY_ACTION_NOT_ALLOWED', /\/(Activate|Delete)ProtectionPolicy$/],
  ['POLICY_CREATION_NOT_ALLOWED', /\/Create\w+ProtectionPolicy$/],
  ['BULK_RESTORE_ARTIFACTS_NOT_FOUND', /\/(Delete|Get|Wait)\w+RestoreArtifactsBulkAdditionRequest$/],
  ['RESTORE_SESSION_ACTION_NOT_ALLOWED', /\/Create\w+RestoreArtifactsBulkAdditionRequest$/],
  ['RESTORE_SESSION_ACTION_NOT_ALLOWED', /\/Update(Exchange|OneDriveForBusiness)RestoreSession$/],
  ['OPERATION_NOT_ALLOWED', /\/DeactivateServiceApp$/],
];
const expected = (rpc) => refused.find(([, rpcs]) => rpcs.test(rpc))?.[0] ?? 'OK';

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
    if (outcome !== expected(rpc)) wrong.push(`${rpc}: ${outcome}, want ${expected(rpc)}`);
  }
  assert.deepEqual(wrong, []);
  return `${wanted.length} rpcs called, ${ok} of them OK`;
}

/** Calls an rpc with its example, and returns OK or the reason. What lasts is cancelled after its first message. */
async function callOnce(page, rpc) {
  await page.evaluate((id) => { location.hash = `#/${id}`; }, rpc);
  await until(page, `the page of ${rpc}`, (id) => document.querySelector('article.rpc')?.dataset.rpc === id, rpc);
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
