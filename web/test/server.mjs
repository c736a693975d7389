// Starts a server of its own for the scripts here, on free ports, with a seed.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/**
 * Resolves when the server has printed all its addresses: gRPC, the emulator, the web port. Its log goes to a list,
 * which says why it did not start, and what it must not have.
 */
export async function startServer(program, flags = []) {
  const child = spawn(program, ['--listen=127.0.0.1:0', '--web-listen=127.0.0.1:0', '--admin-listen=', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  const log = [];
  child.stderr.setEncoding('utf8').on('data', (text) => log.push(text));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const addresses = await new Promise((resolve, reject) => {
    const found = {};
    const late = setTimeout(() => reject(new Error(`the server did not start in time:\n${log.join('')}`)), 30_000);
    ended.then((code) => reject(new Error(`the server ended with ${code}:\n${log.join('')}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [, grpc, emulator] = /^Serving gRPC on (\S+?), on (?:the built-in emulator at )?(\S+)/.exec(line) ?? [];
      const [, web] = /^Serving browsers and curl on (\S+)/.exec(line) ?? [];
      Object.assign(found, grpc && { grpc, emulator }, web && { web });
      if (found.grpc && found.web) {
        clearTimeout(late);
        resolve(found);
      }
    });
  });
  return {
    ...addresses, log, program,
    /** Makes a control call, behind the back of the page. */
    async control(method, path, body) {
      const response = await fetch(`${addresses.web}_emulator/${path}`, { method, body: body && JSON.stringify(body) });
      if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
      return await response.json();
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
