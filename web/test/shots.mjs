// Screenshots of the page at 1280 and at 390 pixels, light and dark.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { go, open, until } from './browser.mjs';
import { send } from './person.mjs';

const scenes = {
  async home(page, url) { await go(page, url); },
  async call(page, url) {
    await go(page, url, 'ProtectionPolicyService/CreateExchangeProtectionPolicy');
    await (await page.waitForSelector('::-p-text(Fill with example)')).click();
    await until(page, 'the example', () => document.querySelector('[data-path="mailbox_protection_units[0].directory_object_id"] input')?.value);
    await send(page);
  },
  async errors(page, url) { await go(page, url, 'errors/POLICY_CREATION_NOT_ALLOWED'); },
  async emulator(page, url) {
    await go(page, url, 'emulator');
    await until(page, 'policies and sessions', () => document.querySelectorAll('[data-policy]').length > 2 && document.querySelectorAll('[data-session]').length > 3);
  },
};

export async function shots(_, server, folder, browser) {
  mkdirSync(folder, { recursive: true });
  let taken = 0;
  for (const { width, height } of [{ width: 1280, height: 900 }, { width: 390, height: 844 }]) {
    for (const scheme of ['light', 'dark']) {
      const page = await open(browser, server.web, { width, height, scheme });
      for (const [name, scene] of Object.entries(scenes)) {
        await scene(page, server.web);
        await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
        await page.screenshot({ path: join(folder, `${name}-${width}-${scheme}.png`) });
        taken++;
      }
      await page.browserContext().close();
    }
  }
  return `${taken} screenshots in ${folder}`;
}
