// For the one who watches the emulator: tenants, clock, policies, sessions, ledger, fault rules.
import { useEffect, useState } from 'preact/hooks';
import { control, ofTenant, type Entry, type Index, type LedgerPage } from '../control';
import { currentTenant, onEmulator, settings } from '../store';
import { ClockPanel } from './clock';
import { FaultsPanel } from './faults';
import { LedgerPanel } from './ledger';
import { PoliciesPanel } from './policies';
import { SessionsPanel } from './sessions';
import { ownPrefix } from '../call';

/** How often the ledger is looked at while the page is in sight. Each look also carries out what is due. */
const lookEvery = 1000;
/** How many entries the timeline has. */
const kept = 300;

export function EmulatorPage() {
  settings.use();
  useEffect(() => { document.title = 'Emulator · Backup Storage'; }, []);
  if (!onEmulator()) {
    return <article class="emulator"><h1>Emulator</h1><p class="lead">This server runs on Microsoft Graph, so there is no emulator to watch.</p></article>;
  }
  return <Watch key={currentTenant()} />;
}

function Watch() {
  const { tenant } = settings.use();
  const [entries, setEntries] = useState<Entry[]>([]);
  /** Grows with each change of state, and with each call of somebody else. */
  const [version, setVersion] = useState(0);
  const [failure, setFailure] = useState('');

  useEffect(() => {
    let ended = false;
    let last = 0;
    const look = async () => {
      try {
        if (document.visibilityState === 'visible') {
          const page = await control<LedgerPage>('GET', 'ledger', undefined, { ...ofTenant(), since: last });
          if (ended) return;
          setFailure('');
          if (page.last < last) { // Somebody has reset the emulator.
            last = 0;
            setEntries([]);
          } else {
            last = page.last;
            const fresh = page.entries;
            if (fresh.length > 0) setEntries((old) => [...old, ...fresh].slice(-kept));
            if (fresh.some((entry) => entry.kind === 'change' || !entry.clientRequestId?.startsWith(ownPrefix))) setVersion((old) => old + 1);
          }
        }
      } catch (thrown) {
        if (!ended) setFailure((thrown as Error).message);
      }
      if (!ended) timer = setTimeout(look, lookEvery);
    };
    let timer = setTimeout(look, 0);
    return () => { ended = true; clearTimeout(timer); };
  }, [tenant]);

  const again = () => setVersion((old) => old + 1);
  return <article class="emulator">
    <h1>Emulator</h1>
    {failure && <p class="problem" role="alert">{failure}</p>}
    <div class="watch">
      <ClockPanel onChange={again} />
      <TenantsPanel onReset={() => { setEntries([]); again(); }} />
      <PoliciesPanel version={version} />
      <SessionsPanel version={version} />
      <FaultsPanel version={version} />
      <LedgerPanel entries={entries} />
    </div>
  </article>;
}

/** What each tenant of the start is for. */
const notes: Record<string, string> = {
  tenantDemo: 'Demo: a month of backups',
  tenantA: 'A: enabled, no policy',
  tenantB: 'B: disabled',
  tenantC: 'C: enabled, one Exchange policy',
};

function TenantsPanel({ onReset }: { onReset: () => void }) {
  const [tenants, setTenants] = useState<[note: string, id: string][]>([]);
  useEffect(() => {
    void control<Index>('GET', '').then(({ ids }) =>
      setTenants(Object.entries(notes).flatMap(([name, note]): [string, string][] => ids[name] ? [[note, ids[name]]] : [])));
  }, []);
  const current = currentTenant();
  const known = tenants.some(([, id]) => id === current);
  const reset = async () => {
    await control('POST', 'reset', undefined, ofTenant());
    onReset();
  };
  return <section class="panel tenants" aria-labelledby="tenants-title">
    <h2 id="tenants-title">Tenants</h2>
    <ul>
      {tenants.map(([note, id]) => <li key={id}><button type="button" class="choice" aria-pressed={id === current} onClick={() => settings.set({ tenant: id })}>
        <span>{note}</span><code>{id}</code></button></li>)}
      {!known && current && <li><button type="button" class="choice" aria-pressed="true"><span>Chosen above</span><code>{current}</code></button></li>}
    </ul>
    <button type="button" class="small" onClick={reset}>Reset this tenant</button>
  </section>;
}
