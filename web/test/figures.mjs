// Paint times, layout shift and transfer, over the DevTools protocol.
import assert from 'node:assert/strict';
import { open } from './browser.mjs';

const limits = { firstPaint: 1000, largestPaint: 1500, shift: 0, bytes: 300_000 };
const routes = ['', 'ProtectionPolicyService/CreateExchangeProtectionPolicy', 'errors', 'emulator'];
/**
 * Loads of each route: two, and more while the fastest one is too slow. What else the machine does is no matter of the page;
 * shift and transfer count in each load.
 */
const loads = { least: 2, most: 6 };

async function load(browser, url, size) {
  const page = await open(browser, 'about:blank', size);
  const client = await page.createCDPSession();
  await client.send('Network.enable');
  let bytes = 0;
  client.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength; });
  await page.evaluateOnNewDocument(() => {
    window.seen = { firstPaint: 0, largestPaint: 0, shift: 0 };
    new PerformanceObserver((list) => { for (const each of list.getEntriesByName('first-contentful-paint')) window.seen.firstPaint = each.startTime; }).observe({ type: 'paint', buffered: true });
    new PerformanceObserver((list) => { for (const each of list.getEntries()) window.seen.largestPaint = each.startTime; }).observe({ type: 'largest-contentful-paint', buffered: true });
    new PerformanceObserver((list) => { for (const each of list.getEntries()) {
      window.seen.shift += each.value;
      window.seen.shifted = each.sources.map(({ node, previousRect, currentRect }) => [(node?.outerHTML ?? node?.textContent ?? '').slice(0, 60), [previousRect.x, previousRect.y, previousRect.width], [currentRect.x, currentRect.y, currentRect.width]].join(' '));
    } }).observe({ type: 'layout-shift', buffered: true });
  });
  await page.goto(url, { waitUntil: 'networkidle2' });
  await page.waitForFunction(() => window.seen.firstPaint > 0 && window.seen.largestPaint > 0);
  const transferred = bytes;
  const seen = await page.evaluate(() => window.seen);
  await page.browserContext().close();
  return { ...seen, bytes: transferred };
}

export async function figures(_, server, __, browser) {
  const lines = [];
  for (const width of [1280, 390]) {
    for (const route of routes) {
      const all = [];
      const least = (name) => Math.min(...all.map((each) => each[name]));
      const slow = () => least('firstPaint') > limits.firstPaint || least('largestPaint') > limits.largestPaint;
      while (all.length < loads.least || all.length < loads.most && slow()) all.push(await load(browser, `${server.web}#/${route}`, { width }));
      const most = (name) => Math.max(...all.map((each) => each[name]));
      const seen = { firstPaint: least('firstPaint'), largestPaint: least('largestPaint'), shift: most('shift'), bytes: most('bytes') };
      for (const [name, limit] of Object.entries(limits)) {
        assert.ok(seen[name] <= limit, `/${route} at ${width}: ${name} is ${seen[name]}, at most ${limit}; ${JSON.stringify(all)}`);
      }
      lines.push(`\n  /${route.split('/').pop()} at ${width}: first paint ${Math.round(seen.firstPaint)} ms, largest ${Math.round(seen.largestPaint)} ms, shift ${seen.shift}, ${seen.bytes} bytes`);
    }
  }
  return lines.join('');
}
