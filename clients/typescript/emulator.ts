/**
 * Starts the emulator of Microsoft Graph's Backup Storage API for tests, and stops it.
 *
 * ```ts
 * const emulator = await Emulator.start();
 * await emulator.seed({ tenant, serviceStatus: 'enabled' });
 * // the program under test, on emulator.url
 * await emulator.advance('5m');
 * await emulator.stop();
 * ```
 *
 * The program is the one of the option `program`, else of the variable BACKUPSTORAGE_EMULATOR, else
 * `backupstorage-emulator` on PATH. `go build -o backupstorage-emulator ./cmd/emulator` makes it. Nothing is downloaded.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface EmulatorOptions {
  /** Path of the program. */
  program?: string;
  /** Further flags, such as `--require-token`. Without them it is empty, and its clock stands still until it is moved. */
  flags?: string[];
  /** Serve https, with a certificate of its own: {@link Emulator.certificate} is the path to trust. */
  tls?: boolean;
  /** Milliseconds that it may take to start; 10,000 unless given. */
  timeout?: number;
}

/** An emulator that runs until {@link stop}, or until this process ends. */
export class Emulator {
  private constructor(
    private process: ChildProcess,
    private folder: string,
    /** Scheme, host and port, such as `http://127.0.0.1:40001`; Graph's root is `url + '/v1.0'`. */
    readonly url: string,
    /** Path of the certificate; undefined without tls. */
    readonly certificate?: string,
  ) {}

  static async start(options: EmulatorOptions = {}): Promise<Emulator> {
    const program = options.program ?? process.env.BACKUPSTORAGE_EMULATOR ?? 'backupstorage-emulator';
    const folder = mkdtempSync(join(tmpdir(), 'emulator-'));
    const certificate = options.tls ? join(folder, 'certificate.pem') : undefined;
    const flags = ['--listen=127.0.0.1:0', '--exit-with-stdin', ...(options.flags ?? ['--scenario=tests', '--clock-stopped'])];
    if (certificate) flags.push(`--tls-self-signed=${certificate}`);
    const child = spawn(program, flags, { stdio: ['pipe', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    try {
      const url = await new Promise<string>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error('the emulator did not start in time')), options.timeout ?? 10_000);
        const settle = (then: () => void) => {
          clearTimeout(late);
          then();
        };
        child.on('error', (error: NodeJS.ErrnoException) => {
          const missing = `there is no ${program}; go build -o backupstorage-emulator ./cmd/emulator makes one`;
          settle(() => reject(new Error(error.code === 'ENOENT' ? missing : error.message)));
        });
        child.on('close', () => settle(() => reject(new Error(errors.trim() || 'the emulator ended'))));
        createInterface(child.stdout).once('line', (line) => settle(() => resolve(line.replace('Emulator on ', ''))));
      });
      child.stdout.resume();
      return new Emulator(child, folder, url, certificate);
    } catch (error) {
      child.kill();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Makes a control call, such as `control('GET', 'clock')`, and returns what it answers. */
  async control<T = any>(method: string, path: string, body?: unknown, query: Record<string, string | undefined> = {}): Promise<T> {
    const url = new URL(`${this.url}/_emulator/${path}`);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    const ca = this.certificate && readFileSync(this.certificate);
    const [status, text] = await new Promise<[number, string]>((resolve, reject) => {
      const send = url.protocol === 'https:' ? https.request : http.request;
      const request = send(url, { method, ca, agent: false } as https.RequestOptions, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => (text += part)).on('end', () => resolve([response.statusCode ?? 0, text]));
        response.on('error', reject);
      });
      request.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
    const answer = JSON.parse(text);
    if (status !== 200) throw new Error(answer.error.message);
    return answer;
  }

  /** Replaces the content of a tenant, or of several. Returns the ids of seeded policies. */
  async seed(content: object | object[]): Promise<string[]> {
    return (await this.control('POST', 'seed', content)).policyIds;
  }

  /** Goes back to the start: everything, or one tenant, which others do not notice. */
  async reset(tenant?: string): Promise<void> {
    await this.control('POST', 'reset', undefined, { tenant });
  }

  /** Moves the clock by a length such as `5m`; with a tenant only its own clock. Returns the time. */
  async advance(length: string, tenant?: string): Promise<string> {
    return (await this.control('POST', 'clock', { advance: length }, { tenant })).now;
  }

  /** Adds a fault rule, or a list of them. Returns the ids. */
  async fault(rule: object | object[], tenant?: string): Promise<string[]> {
    return (await this.control('POST', 'faults', rule, { tenant })).ids;
  }

  /** Returns entries of the ledger: all, or those that since, tenant, operation, kind, from and to select. */
  async ledger(query: Record<string, string | undefined> = {}): Promise<any[]> {
    return (await this.control('GET', 'ledger', undefined, query)).entries;
  }

  /** Returns a signed token, such as of `{ tenant, user }`, without a credential. */
  async token(request: object = {}): Promise<string> {
    return (await this.control('POST', 'token', request)).token;
  }

  /** Stops the emulator; a second time does nothing. */
  async stop(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const ended = new Promise((resolve) => this.process.once('close', resolve));
      this.process.stdin?.end();
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
