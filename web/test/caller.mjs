// A server that asks who calls, by certificate alone over gRPC. The page takes a bearer token, and nothing else.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { go, until } from './browser.mjs';
import { send } from './person.mjs';
import { startServer } from './server.mjs';

export async function caller(page, { program }) {
  const folder = mkdtempSync(join(tmpdir(), 'desk-'));
  const at = (name) => join(folder, name);
  let server;
  try {
    execFileSync(program, ['dev-ca', folder]);
    server = await startServer(program, [`--tls-certificate-file=${at('server.crt')}`, `--tls-key-file=${at('server.key')}`,
      `--tls-client-ca-file=${at('ca.crt')}`, '--tls-client-auth=required', `--rights-file=${at('rights.yaml')}`, '--audit=off']);
    const who = '.settings button[aria-expanded]';
    const called = () => page.$eval('.response', (node) => node.innerText);
    await go(page, server.web, 'ProtectionPolicyService/ListProtectionPolicies');
    await until(page, 'that a token is needed', (button) => document.querySelector(button)?.textContent === 'Token needed', who);
    assert.equal(await send(page), 'UNAUTHENTICATED');
    assert.match(await called(), /CALLER_UNAUTHENTICATED/);
    await page.click(who);
    const token = readFileSync(at('reader.token'), 'utf8').trim();
    const field = await page.waitForSelector('.settings .popover input[id$=-token]', { visible: true });
    await field.type(token);
    await page.keyboard.press('Escape');
    assert.equal(await send(page), 'OK');
    // The reader may not change anything.
    await go(page, server.web, 'BackupRestoreService/EnableBackupRestore');
    await (await page.waitForSelector('::-p-text(Fill with example)')).click();
    assert.equal(await send(page), 'PERMISSION_DENIED');
    assert.match(await called(), /CALLER_NOT_ALLOWED/);
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
    assert.ok(!kept.includes(token), 'the token is kept');
    await page.reload();
    await until(page, 'that a page loaded again has no token', (button) => document.querySelector(button)?.textContent === 'Token needed', who);
    assert.ok(!server.log.join('').includes(token), 'the token is in the log');
    // The page was opened for the first server.
    page.faults.splice(0, Infinity, ...page.faults.filter((fault) => !fault.includes(server.web)));
  } finally {
    await server?.stop();
    rmSync(folder, { recursive: true });
  }
  return 'a token is asked for, used, and forgotten; rights hold';
}
