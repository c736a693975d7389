// The ledger as a timeline: what was asked, and what changed because of it or by itself.
import { useId, useState } from 'preact/hooks';
import { ownPrefix } from '../call';
import type { Entry } from '../control';

export function LedgerPanel({ entries }: { entries: Entry[] }) {
  const [own, setOwn] = useState(false);
  const [kind, setKind] = useState('');
  const [typed, setTyped] = useState('');
  const id = useId();
  const mine = new Set(entries.filter((entry) => entry.clientRequestId?.startsWith(ownPrefix)).map((entry) => entry.seq));
  const shown = entries.filter((entry) => (own || !mine.has(entry.seq)) && (!kind || entry.kind === kind)
    && (!typed || JSON.stringify(entry).toLowerCase().includes(typed.toLowerCase()))).reverse();
  return <section class="panel ledger" aria-labelledby="ledger-title">
    <div class="panel-head">
      <h2 id="ledger-title">Ledger</h2>
      <div class="actions">
        <input type="search" aria-label="Find in the ledger" placeholder="Find" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        <select aria-label="Kind of entries" value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
          <option value="">requests and changes</option><option value="request">requests</option><option value="change">changes</option>
        </select>
        <label for={id} class="check"><input id={id} type="checkbox" checked={own} onChange={(event) => setOwn(event.currentTarget.checked)} /> reads of this page</label>
      </div>
    </div>
    {shown.length === 0 && <p class="muted">Nothing yet. What a call asks of the emulator, and what changes by it, comes here.</p>}
    <ol class="timeline" tabIndex={0} aria-label="Entries, the newest first">{shown.map((entry) => <EntryLine key={entry.seq} entry={entry} />)}</ol>
  </section>;
}

export function EntryLine({ entry }: { entry: Entry }) {
  const time = <time dateTime={entry.time}>{entry.time.slice(5, 19).replace('T', ' ')}</time>;
  if (entry.kind === 'change') {
    return <li class="change">{time}<div>
      <span>{entry.resource}</span> {entry.from && <><span class="muted">{entry.from}</span> → </>}<strong>{entry.to}</strong>
      {entry.count && entry.count > 1 && ` (${entry.count})`}
      <p class="muted">{entry.id}{entry.cause ? ` · by request ${entry.cause}` : ' · by itself'}</p>
    </div></li>;
  }
  const bad = (entry.status ?? 0) >= 400 || entry.cut;
  return <li class="request">{time}<div>
    <strong>{entry.method}</strong> <span class="path">{entry.path?.replace('/v1.0/solutions/backupRestore', '')}</span>
    {' '}<span class={`chip ${bad ? 'bad' : 'good'}`}>{entry.cut ? `cut ${entry.cut}` : entry.status || 'no status'}</span>
    {entry.fault && <span class="chip busy">fault rule {entry.fault}</span>}
    <p class="muted">{entry.seq}{entry.clientRequestId && ` · ${entry.clientRequestId}`}</p>
  </div></li>;
}
