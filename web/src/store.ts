// What several parts of the page share. All of it is in memory: nothing is kept when the page closes, above all no token.
import { useEffect, useState } from 'preact/hooks';
import type { Contract } from './contract';

export class Store<T extends object> {
  private listeners = new Set<() => void>();
  constructor(private state: T) {}

  get(): T { return this.state; }

  set(change: Partial<T>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }

  use(): T {
    const [, again] = useState(this.state);
    useEffect(() => {
      const listener = () => again(this.state);
      this.listeners.add(listener);
      // An effect runs after a frame, and the state may have changed since what is in that frame was rendered.
      listener();
      return () => { this.listeners.delete(listener); };
    }, []);
    return this.state;
  }
}

/** What the server says of itself in about.json. */
export interface About {
  version?: string;
  /** `emulator`, `graph` or `other`. */
  upstream?: string;
  /** Whether the control API of the emulator is there. */
  control?: boolean;
  /** Address for gRPC clients, host and port. */
  grpcAddress?: string;
  /** Whether gRPC clients need TLS. */
  grpcTls?: boolean;
  tokenNeeded?: boolean;
  defaultTenant?: string;
}

export interface Settings {
  /** Empty: the default of the server. */
  tenant: string;
  /** Calls are on behalf of user 1 of the tenant (emulator), or of whoever the assertion below is of. */
  asUser: boolean;
  assertion: string;
  token: string;
}

/** A call that was made from this page. */
export interface Made {
  requestId: string;
  rpc: string;
  at: Date;
  outcome: string;
}

export const settings = new Store<Settings>({ tenant: '', asUser: false, assertion: '', token: '' });
export const server = new Store<{ about?: About; contract?: Contract; failure?: string }>({});
export const history = new Store<{ calls: Made[] }>({ calls: [] });

/** Whether there is an emulator that the page may ask and move. */
export const onEmulator = () => server.get().about?.control === true;

/** The tenant of calls: the chosen one, else the default of the server. Empty when there is neither. */
export const currentTenant = () => settings.get().tenant || server.get().about?.defaultTenant || '';

/** The contract, once it is there. Only parts that are shown after it may ask. */
export function contract(): Contract {
  const { contract } = server.get();
  if (!contract) throw new Error('the contract is not loaded yet');
  return contract;
}
