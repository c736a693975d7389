// What a program needs of the server: arguments, credentials, calls, pages, and waiting.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import * as grpc from '@grpc/grpc-js';
import { type TypedError, typedError } from '@m365backup/backupstorage';
import { WaitResult } from '@m365backup/backupstorage/m365/backupstorage/v1/wait_result.js';
import { serviceConfig } from '@m365backup/backupstorage/service_config.js';

/** Exit code: nobody knows whether a write was done, or there was no time left. Run the program again. */
const tryLater = 75;

/** Ends the program. */
export class Stop extends Error {
  constructor(readonly code: number, message: string) {
    super(message);
  }
}

/** An rpc of a client, such as `policies.getProtectionPolicy`. */
type Rpc<Q, R> = (request: Q, metadata: grpc.Metadata, options: Partial<grpc.CallOptions>, done: (error: grpc.ServiceError | null, response: R) => void) => grpc.ClientUnaryCall;

export class Server {
  readonly args: { [name: string]: string | undefined };
  readonly address: string;
  readonly credentials: grpc.ChannelCredentials;
  readonly options = { 'grpc.service_config': serviceConfig, 'grpc.max_receive_message_length': -1 };
  private readonly giveUp: number;

  constructor(required: string[], optional: string[]) {
    const names = ['server', 'tenant', 'ca-file', 'token-file', 'user-token-file', 'poll', 'settle', 'patience', ...required, ...optional];
    this.args = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])) }).values;
    for (const name of ['tenant', ...required]) {
      if (!this.args[name]) throw new Stop(2, `--${name} is missing; all arguments: --${names.join(' --')}`);
    }
    const ca = this.args['ca-file'];
    this.address = this.args.server ?? '127.0.0.1:50051';
    this.credentials = ca ? grpc.credentials.createSsl(readFileSync(ca)) : grpc.credentials.createInsecure();
    this.giveUp = Date.now() + this.milliseconds('patience', 7200);
  }

  private milliseconds(name: string, otherwise: number): number {
    return Number(this.args[name] ?? otherwise) * 1000;
  }

  private metadata(): grpc.Metadata {
    const metadata = new grpc.Metadata();
    metadata.set('x-tenant-id', this.args.tenant!);
    if (this.args['token-file']) metadata.set('authorization', `Bearer ${readFileSync(this.args['token-file'], 'utf8').trim()}`);
    if (this.args['user-token-file']) metadata.set('x-user-assertion', readFileSync(this.args['user-token-file'], 'utf8').trim());
    return metadata;
  }

  private async sleep(milliseconds: number) {
    if (Date.now() + milliseconds > this.giveUp) throw new Stop(tryLater, 'it takes longer than --patience');
    await sleep(milliseconds);
  }

  /** Makes a call. While the server refuses it and says when to come back, it waits and repeats the call. */
  async call<Q, R>(client: grpc.Client, rpc: Rpc<Q, R>, request: Q): Promise<R> {
    for (;;) {
      try {
        return await new Promise<R>((resolve, reject) => {
          rpc.call(client, request, this.metadata(), { deadline: Date.now() + 30_000 }, (error, response) => (error ? reject(error) : resolve(response)));
        });
      } catch (thrown) {
        const error = typedError(thrown as grpc.ServiceError);
        if (error.outcomeUnknown || error.retryDelay === undefined) throw thrown;
        await this.sleep(error.retryDelay);
      }
    }
  }

  /** Makes a call that must not be done twice. After a lost response it looks for what the call has made. */
  async create<T>(write: () => Promise<T>, look: () => Promise<T | undefined>): Promise<T> {
    try {
      return await write();
    } catch (thrown) {
      if (thrown instanceof Stop || !typedError(thrown as grpc.ServiceError).outcomeUnknown) throw thrown;
    }
    return this.find(look, 'nobody knows whether a call was done');
  }

  /** Looks until there is something, or ends the program when --settle is over: a replica of Graph can lack what is new for a while. */
  async find<T>(look: () => Promise<T | undefined>, otherwise: string): Promise<T> {
    const end = Date.now() + this.milliseconds('settle', 30);
    for (;;) {
      const found = await look();
      if (found) return found;
      if (Date.now() > end) throw new Stop(tryLater, otherwise);
      await this.sleep(Math.min(2000, this.milliseconds('poll', 60)));
    }
  }

  /** Yields the items of a list, from all its pages. */
  async *pages<Q, R extends { nextPageToken: string }, T>(client: grpc.Client, rpc: Rpc<Q, R>, request: Q, items: (page: R) => T[]): AsyncGenerator<T> {
    let pageToken = '';
    do {
      const page = await this.call(client, rpc, { ...request, pageToken });
      yield* items(page);
      pageToken = page.nextPageToken;
    } while (pageToken);
  }

  /** Makes a call that waits until its result is another one than TIMED_OUT. Each waits a little less than its deadline. */
  async wait<Q, R extends { result: WaitResult }>(client: grpc.Client, rpc: Rpc<Q, R>, request: Q): Promise<R> {
    for (;;) {
      const response = await this.call(client, rpc, request);
      if (response.result !== WaitResult.WAIT_RESULT_TIMED_OUT) return response;
      await this.sleep(0); // The program ends when --patience does.
    }
  }

  /** Calls get until its result is done, for the few states that no rpc waits for. */
  async poll<T>(get: () => Promise<T>, done: (result: T) => boolean): Promise<T> {
    for (;;) {
      const result = await get();
      if (done(result)) return result;
      await this.sleep(this.milliseconds('poll', 60));
    }
  }
}

/** Returns what an error is and what to do about it, for people. */
export function why(error: TypedError): string {
  return `${error.reason || error.code}: ${error.resolution || error.message}`;
}

/** Runs a program. A call that failed ends it with what the error says, and never with a stack trace. */
export async function run(program: () => Promise<number>) {
  try {
    process.exitCode = await program();
  } catch (thrown) {
    if (thrown instanceof Stop) {
      console.error(thrown.message);
      process.exitCode = thrown.code;
    } else if ((thrown as grpc.ServiceError).metadata instanceof grpc.Metadata) {
      const error = typedError(thrown as grpc.ServiceError);
      console.error(`${error.metadata.operation ?? 'a call'} failed: ${why(error)}`);
      process.exitCode = error.outcomeUnknown ? tryLater : 1;
    } else if (typeof (thrown as NodeJS.ErrnoException).code === 'string') { // of a file, or of the arguments
      console.error((thrown as Error).message);
      process.exitCode = 2;
    } else {
      throw thrown;
    }
  }
}
