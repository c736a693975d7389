// Uses the launcher as a test of somebody would. Prints one line at the end.
import assert from 'node:assert';
import { existsSync, readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { dirname } from 'node:path';
import { Emulator } from './emulator.js';

const tenant = '77777777-0000-4000-8000-000000000007';

async function get(emulator: Emulator, path: string): Promise<[number, any]> {
  const authorization = `Bearer ${await emulator.token({ tenant })}`;
  const ca = emulator.certificate && readFileSync(emulator.certificate);
  return new Promise((resolve, reject) => {
    const send = ca ? https.get : http.get;
    send(emulator.url + '/v1.0' + path, { headers: { authorization }, ca, agent: false } as https.RequestOptions, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => (text += part));
      response.on('end', () => resolve([response.statusCode ?? 0, text ? JSON.parse(text) : undefined]));
    }).on('error', reject);
  });
}

for (const tls of [false, true]) {
  const emulator = await Emulator.start({ tls, flags: ['--scenario=tests', '--clock-stopped', '--require-token'] });
  try {
    assert(emulator.url.startsWith(tls ? 'https:' : 'http:'));
    const [policy] = await emulator.seed({
      tenant, serviceStatus: 'enabled', people: [{ mail: 'ada@corp.example' }], policies: [{ workload: 'exchange', units: 1 }],
    });
    const [, list] = await get(emulator, '/solutions/backupRestore/protectionPolicies');
    assert.equal(list.value[0].id, policy);
    const before = (await emulator.control('GET', 'clock')).now;
    assert((await emulator.advance('5m', tenant)) > before);
    assert.equal((await emulator.control('GET', 'clock')).now, before);
    await emulator.fault({ operation: 'GET /protectionPolicies', status: 503, times: 1 }, tenant);
    assert.equal((await get(emulator, '/solutions/backupRestore/protectionPolicies'))[0], 503);
    const seen = await emulator.ledger({ tenant, operation: 'GET /protectionPolicies' });
    assert.deepEqual(seen.map((entry) => entry.status), [200, 503]);
    await emulator.reset(tenant);
    assert.deepEqual(await emulator.ledger({ tenant, kind: 'request' }), []);
    await assert.rejects(emulator.seed({ tenant, peeple: [] }), /peeple/);
  } finally {
    await emulator.stop();
  }
  if (emulator.certificate) assert(!existsSync(dirname(emulator.certificate)));
  await emulator.stop();
}
await assert.rejects(Emulator.start({ flags: ['--scenario=x'] }), /--scenario must be/);
await assert.rejects(Emulator.start({ program: '/nowhere/emulator' }), /there is no \/nowhere\/emulator/);
console.log('TypeScript: ok');
