// Usage: node main.mjs SERVER GRPCURL SHOTS [PART...]. Tries the page in a headless Chromium against the built server. SHOTS is
// a folder for screenshots. Prints a line for each part, and fails with the first thing that is not as it should be.
import { launch, open } from './browser.mjs';
import { startServer } from './server.mjs';
import { steps } from './person.mjs';
import { caller } from './caller.mjs';
import { everyRpc } from './every-rpc.mjs';
import { injection } from './injection.mjs';
import { figures } from './figures.mjs';
import { accessible } from './accessible.mjs';
import { shots } from './shots.mjs';

const [program, grpcurl, folder, ...only] = process.argv.slice(2);
if (!folder) throw new Error('usage: node main.mjs SERVER GRPCURL SHOTS [PART...]');

const parts = { ...steps, caller, everyRpc, injection, figures, accessible, shots };
const browser = await launch();
let failed = false;
try {
  for (const [name, part] of Object.entries(parts)) {
    if (only.length > 0 && !only.includes(name)) continue;
    const began = Date.now();
    // A server for each part: none depends on what another one left.
    const server = await startServer(program, part.flags ?? []);
    try {
      const page = await open(browser, server.web);
      const said = await part(page, server, part === shots ? folder : grpcurl, browser);
      if (page.faults.length > 0) throw new Error(`the page has faults:\n${page.faults.join('\n')}`);
      console.log(`ok ${name}: ${said} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
      await page.browserContext().close();
    } catch (error) {
      failed = true;
      console.error(`FAILED ${name}: ${error.stack}`);
    } finally {
      await server.stop();
    }
  }
} finally {
  await browser.close();
}
process.exit(failed ? 1 : 0);
