// For whom calls are made: the tenant, the user, and the token of the caller. It is in memory, and ends with the page.
import { useEffect, useId, useState } from 'preact/hooks';
import { Combobox } from './combobox';
import { control, type Index } from './control';
import { onEmulator, server, settings } from './store';
import type { Suggestion } from './suggest';

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

async function tenants(): Promise<Suggestion[]> {
  if (!onEmulator()) return [];
  const { ids } = await control<Index>('GET', '');
  const labels: Record<string, string> = { tenantDemo: 'Demo', tenantA: 'Tenant A', tenantB: 'Tenant B', tenantC: 'Tenant C' };
  return Object.entries(labels).flatMap(([name, label]) => ids[name] ? [{ value: ids[name], label }] : []);
}

export function SettingsBar() {
  const { about } = server.use();
  const { asUser, assertion, tenant, token } = settings.use();
  const [typed, setTyped] = useState('');
  const [open, setOpen] = useState(false);
  const id = useId();
  useEffect(() => { setTyped(tenant); }, [tenant]);
  const type = (next: string) => {
    setTyped(next);
    if (next === '' || guid.test(next)) settings.set({ tenant: next.toLowerCase() });
  };
  const needsToken = about?.tokenNeeded && !token;
  return <div class="settings">
    <label for={`${id}-tenant`}>Tenant</label>
    <Combobox id={`${id}-tenant`} value={typed} load={tenants} onInput={type} placeholder={about?.defaultTenant || 'GUID'} invalid={typed !== '' && !guid.test(typed)} />
    <button type="button" class={needsToken ? 'attention' : ''} aria-expanded={open} aria-controls={`${id}-caller`} onClick={() => setOpen(!open)}
      onKeyDown={(event) => { if (event.key === 'Escape') setOpen(false); }}>
      {needsToken ? 'Token needed' : asUser ? 'As a user' : 'As the application'}
    </button>
    <div id={`${id}-caller`} class="popover" hidden={!open} role="group" aria-label="Who calls" onKeyDown={(event) => { if (event.key === 'Escape') setOpen(false); }}>
      <label class="check"><input type="checkbox" checked={asUser} onChange={(event) => settings.set({ asUser: event.currentTarget.checked })} /> on behalf of a user</label>
      {onEmulator() ? <p class="muted">The emulator takes user 1 of the tenant.</p> : <div class="field">
        <label for={`${id}-assertion`}>x-user-assertion</label>
        <input id={`${id}-assertion`} type="password" autocomplete="off" value={assertion} onInput={(event) => settings.set({ assertion: event.currentTarget.value })} />
      </div>}
      <div class="field">
        <label for={`${id}-token`}>Bearer token of the caller</label>
        <input id={`${id}-token`} type="password" autocomplete="off" value={token} onInput={(event) => settings.set({ token: event.currentTarget.value.trim() })} />
        <p class="muted">{about?.tokenNeeded ? 'This server asks who calls.' : 'This server asks nobody who calls.'} The page forgets the token when it closes.</p>
      </div>
    </div>
  </div>;
}
