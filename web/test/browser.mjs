// A headless Chromium, and what all scripts here do with a page.
import { existsSync } from 'node:fs';
import puppeteer from 'puppeteer-core';

const executable = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => path && existsSync(path));

/** How long a person would wait for anything. */
export const patience = 15_000;

export async function launch(flags = []) {
  if (!executable) throw new Error('there is no Chromium; apt-get install chromium gets one, or CHROMIUM names it');
  // Containers run as root, where Chromium's own sandbox cannot.
  return await puppeteer.launch({ executablePath: executable, headless: true, args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb', ...flags] });
}

/**
 * A page in a context of its own, with its faults: what the console says, what is thrown, what is asked of elsewhere.
 * Nothing is answered that does not go to the server.
 */
export async function open(browser, url, { width = 1280, height = 900, scheme = 'light' } = {}) {
  const context = await browser.createBrowserContext();
  if (url !== 'about:blank') await context.overridePermissions(new URL(url).origin, ['clipboard-read', 'clipboard-write', 'clipboard-sanitized-write']);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(`thrown: ${error.message}`));
  page.on('console', (message) => {
    // A typed error comes with an HTTP status, which Chromium reports as a failed load. It is no fault of the page.
    if (['error', 'warn'].includes(message.type()) && !/Failed to load resource: the server responded with a status of [45]/.test(message.text())) {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on('request', (request) => {
    if (url !== 'about:blank' && !request.url().startsWith(url) && !request.url().startsWith('data:')) faults.push(`asked of elsewhere: ${request.url()}`);
  });
  page.setDefaultTimeout(patience);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.setViewport({ width, height });
  page.faults = faults;
  return page;
}

/** Goes to a part of the page, and waits for its heading. */
export async function go(page, url, route = '') {
  await page.goto(`${url}#/${route}`, { waitUntil: 'load' });
  await page.waitForSelector('nav.rpcs a, article h1');
  await page.waitForFunction(() => !document.body.innerText.includes('Loading the contract'));
}

/** Polls until a function in the page returns something true, and returns that. The text says what was waited for. */
export async function until(page, what, condition, ...rest) {
  try {
    const handle = await page.waitForFunction(condition, { polling: 50 }, ...rest);
    return await handle.jsonValue();
  } catch (error) {
    const shown = await page.evaluate(() => document.querySelector('main')?.innerText.slice(0, 2500));
    throw new Error(`waited in vain for: ${what}\n${error.message}\nThe page shows:\n${shown}`);
  }
}
