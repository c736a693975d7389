// Makes calls, in the Connect protocol, whose errors browsers can read whole.
import { create, fromJson, toJson, type JsonObject, type JsonValue, type Message } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import type { Rpc } from './contract';
import { contract, currentTenant, history, onEmulator, settings } from './store';
import { fromConnect, type TypedError } from './typed-error';

const transport = createConnectTransport({ baseUrl: location.origin, useBinaryFormat: true });

export interface Result {
  /** One of a unary call, those that came of a stream. */
  messages: JsonObject[];
  error?: TypedError;
  cancelled?: boolean;
  requestId: string;
  milliseconds: number;
  metadata: [name: string, value: string][];
}

/** Calls begin with this id when the page makes them for itself, to suggest ids and to watch. The ledger hides them. */
export const ownPrefix = '0b5e77e0-';

/** A GUID for `x-request-id`. */
export function newRequestId(own = false): string {
  const id = crypto.randomUUID();
  return own ? ownPrefix + id.slice(ownPrefix.length) : id;
}

/** The metadata of a call as the settings have it, but for the request id. */
export function metadata(): [name: string, value: string][] {
  const { tenant, token } = settings.get();
  const list: [string, string][] = [];
  if (token) list.push(['authorization', `Bearer ${token}`]);
  if (tenant) list.push(['x-tenant-id', tenant]);
  const assertion = userAssertion();
  if (assertion) list.push(['x-user-assertion', assertion]);
  return list;
}

/** The emulator takes a token without a signature; elsewhere it has to be a real one. */
function userAssertion(): string {
  const { asUser, assertion } = settings.get();
  if (!asUser) return '';
  return onEmulator() ? `e30.${btoa(JSON.stringify({ tid: currentTenant() })).replace(/=+$/, '')}.` : assertion;
}

/** Makes a call, and says of each message when it comes. It never throws: what goes wrong is in the result. */
export async function call(rpc: Rpc, request: JsonObject, signal: AbortSignal, onMessage?: (message: JsonObject) => void, own = false): Promise<Result> {
  const { registry } = contract();
  const requestId = newRequestId(own);
  const headers = new Headers(metadata());
  headers.set('x-request-id', requestId);
  const result: Result = { messages: [], requestId, milliseconds: 0, metadata: [] };
  const began = performance.now();
  const take = (message: Message) => {
    const json = toJson(rpc.method.output, message, { registry, useProtoFieldName: true }) as JsonObject;
    result.messages.push(json);
    onMessage?.(json);
  };
  try {
    const input = create(rpc.method.input, fromJson(rpc.method.input, request as JsonValue, { registry }));
    if (rpc.stream) {
      const response = await transport.stream(rpc.method as never, signal, undefined, headers, one(input));
      for await (const message of response.message) take(message as Message);
      result.metadata = pairs(response.header, response.trailer);
    } else {
      const response = await transport.unary(rpc.method as never, signal, undefined, headers, input as never);
      take(response.message as Message);
      result.metadata = pairs(response.header, response.trailer);
    }
  } catch (thrown) {
    if (signal.aborted) {
      result.cancelled = true;
    } else {
      const error = ConnectError.from(thrown);
      result.error = fromConnect(error);
      result.metadata = pairs(error.metadata);
    }
  }
  result.milliseconds = performance.now() - began;
  if (!own) remember(rpc, result);
  return result;
}

async function* one<T>(value: T) { yield value; }

const pairs = (...headers: Headers[]) => headers.flatMap((each) => [...each.entries()]);

function remember(rpc: Rpc, { requestId, error, cancelled }: Result): void {
  const outcome = error ? error.reason || error.code : cancelled ? 'cancelled' : 'OK';
  history.set({ calls: [{ requestId, rpc: rpc.id, at: new Date(), outcome }, ...history.get().calls].slice(0, 100) });
}

/** Makes a call of the page's own, and returns its response message. It throws the error of the call. */
export async function ask(id: string, request: JsonObject = {}, signal = new AbortController().signal): Promise<JsonObject> {
  const rpc = contract().rpcs.get(id);
  if (!rpc) throw new Error(`the contract has no ${id}`);
  const { messages: [message], error } = await call(rpc, request, signal, undefined, true);
  if (error) throw new CallFailed(error);
  return message ?? {};
}

export class CallFailed extends Error {
  constructor(readonly error: TypedError) { super(error.message || error.reason || error.code); }
}
