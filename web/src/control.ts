// The emulator's control API, which is there only when the server runs on its emulator.
import type { JsonObject } from '@bufbuild/protobuf';
import { currentTenant } from './store';

export interface Clock { now: string; speed: number; ownOfTenant?: boolean }

export interface User {
  id: string;
  mail: string;
  displayName: string;
  licensed?: boolean;
  deleted?: boolean;
  restoreFails?: boolean;
  mailboxUnitId: string;
  driveUnitId: string;
}

export interface Site { id: string; name: string; url: string; unitId: string }
export interface Group { id: string; displayName: string; members: string[] }

export interface Entry {
  seq: number;
  kind: 'request' | 'change';
  time: string;
  tenant?: string;
  method?: string;
  path?: string;
  operation?: string;
  requestId?: string;
  clientRequestId?: string;
  status?: number;
  fault?: string;
  cut?: string;
  cause?: number;
  resource?: string;
  id?: string;
  from?: string;
  to?: string;
  count?: number;
}

export interface LedgerPage { entries: Entry[]; last: number; dropped: number }
export type FaultState = JsonObject & { id: string; operation: string; tenant?: string; matched: number; applied: number };
export interface Index { ids: Record<string, string>; defaultTenant: string }

/** Makes a control call. Its error is the sentence of the emulator. */
export async function control<T>(method: string, path: string, body?: unknown, query: Record<string, string | number> = {}): Promise<T> {
  const parameters = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const search = parameters.size > 0 ? `?${parameters}` : '';
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = typeof body === 'string' ? body : JSON.stringify(body);
    init.headers = { 'content-type': 'application/json' };
  }
  const response = await fetch(`_emulator/${path}${search}`, init);
  const text = await response.text();
  let json: { error?: { message?: string } };
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error(`The emulator sent no JSON: HTTP ${response.status}`);
  }
  if (!response.ok) throw new Error(json.error?.message ?? `HTTP ${response.status}`);
  return json as T;
}

/** The query of a control call about the current tenant. */
export const ofTenant = () => ({ tenant: currentTenant() });

export const users = async (top = 500) => (await control<{ users: User[] }>('GET', 'users', undefined, { ...ofTenant(), top })).users;
export const sites = async (top = 500) => (await control<{ sites: Site[] }>('GET', 'sites', undefined, { ...ofTenant(), top })).sites;
export const groups = async (top = 100) => (await control<{ groups: Group[] }>('GET', 'groups', undefined, { ...ofTenant(), top })).groups;
