// For a developer with an error: paste it, or a request id, and read what it is. Without either: all reasons.
import type { JsonObject } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { useEffect, useId, useState } from 'preact/hooks';
import { control, ofTenant, type Entry, type LedgerPage } from './control';
import { ErrorCard } from './error-card';
import { contract, history, onEmulator, type Made } from './store';
import { Comment, Link } from './text';
import { fromConnectJson, fromStatus, fromStatusBytes, padded, type TypedError } from './typed-error';
import { EntryLine } from './emulator/ledger';

type Found = { error: TypedError } | { requestId: string; made?: Made; entries?: Entry[] } | { reason: string } | { problem: string };

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** What a pasted text is. */
async function decode(pasted: string): Promise<Found> {
  const text = pasted.trim().replace(/^grpc-status-details-bin\s*:\s*/i, '').replace(/^["']|["',]+$/g, '');
  if (contract().reasons.has(text)) return { reason: text };
  if (guid.test(text)) return await findRequest(text.toLowerCase());
  try {
    if (text.startsWith('{')) {
      const json = JSON.parse(text) as JsonObject;
      if (json.error && typeof json.error === 'object') return { error: fromConnectJson(json.error as JsonObject) };
      return { error: typeof json.code === 'number' ? fromStatus(json) : fromConnectJson(json) };
    }
    const bytes = base64Decode(padded(text));
    if (bytes.length === 0) throw new Error('empty');
    return { error: fromStatusBytes(bytes) };
  } catch {
    return { problem: 'This is neither a grpc-status-details-bin, nor the JSON of an error, nor a request id, nor a reason.' };
  }
}

/** The calls of this page with that id, and what the emulator was asked for it. */
async function findRequest(id: string): Promise<Found> {
  const made = history.get().calls.find((each) => each.requestId === id);
  if (!onEmulator()) return { requestId: id, made };
  const { entries } = await control<LedgerPage>('GET', 'ledger');
  const requests = entries.filter((entry) => [entry.clientRequestId, entry.requestId].some((each) => each?.toLowerCase() === id));
  const numbers = new Set(requests.map((entry) => entry.seq));
  return { requestId: id, made, entries: entries.filter((entry) => numbers.has(entry.seq) || entry.cause && numbers.has(entry.cause)) };
}

export function ErrorsPage({ reason, id }: { reason: string; id: string }) {
  const [text, setText] = useState(id);
  const [found, setFound] = useState<Found>();
  const input = useId();
  useEffect(() => { document.title = 'Errors · Backup Storage'; }, []);
  useEffect(() => { if (id) { setText(id); void decode(id).then(setFound); } }, [id]);
  const type = (next: string) => {
    setText(next);
    if (next.trim()) void decode(next).then(setFound, (thrown: Error) => setFound({ problem: thrown.message }));
    else setFound(undefined);
  };
  return <article class="errors">
    <h1>Errors</h1>
    <p class="lead">Paste a <code>grpc-status-details-bin</code>, the JSON of an error as curl prints it, a request id, or a reason.</p>
    <section class="panel" aria-label="An error that you have">
      <div class="field">
        <label for={input}>An error that you have</label>
        <textarea id={input} rows={4} spellcheck={false} value={text} placeholder="CAkSE…" onInput={(event) => type(event.currentTarget.value)} />
      </div>
      <div aria-live="polite" class="decoded">{found && <FoundView found={found} />}</div>
    </section>
    {reason ? <ReasonView name={reason} /> : <Reasons />}
  </article>;
}

function FoundView({ found }: { found: Found }) {
  if ('error' in found) return <ErrorCard error={found.error} />;
  if ('reason' in found) return <ReasonView name={found.reason} />;
  if ('problem' in found) return <p class="problem">{found.problem}</p>;
  return <div class="found-request">
    <h2>Request <code>{found.requestId}</code></h2>
    {found.made && <p>This page called <a href={`#/${found.made.rpc}`}>{found.made.rpc}</a> at {found.made.at.toLocaleTimeString()}: <strong>{found.made.outcome}</strong></p>}
    {found.entries && found.entries.length > 0 && <ol class="timeline">{found.entries.map((entry) => <EntryLine key={entry.seq} entry={entry} />)}</ol>}
    {!found.made && !found.entries?.length && <p class="muted">{found.entries
      ? 'The emulator’s ledger has no request with this id: nothing was sent, or it was before a reset.'
      : 'This page made no such call. Look for the id in the log of the server, field requestId, and give Graph’s own request id to Microsoft’s support.'}</p>}
  </div>;
}

function ReasonView({ name }: { name: string }) {
  const reason = contract().reasons.get(name);
  if (!reason) return <p class="problem">The contract has no reason {name}.</p>;
  const rpcs = [...contract().rpcs.values()].filter((rpc) => rpc.graph.errors?.includes(name) && !rpc.graph.of);
  return <section class="panel reason-view" aria-label={name}>
    <h2>{name}</h2>
    <Comment text={reason.comment} />
    <dl class="facts">
      <dt>What to do</dt><dd>{reason.resolution}.</dd>
      <dt>gRPC code</dt><dd><code>{reason.code}</code></dd>
      {reason.graph_code && <><dt>Graph’s code</dt><dd>{reason.graph_code.map((code) => <code key={code}>{code} </code>)}</dd></>}
      <dt>Retry</dt><dd><code>{reason.retry}</code>{reason.retry_delay && `, after ${reason.retry_delay}`}</dd>
      <dt>Who acts</dt><dd><code>{reason.fault}</code></dd>
      {rpcs.length > 0 && <><dt>Documented for</dt><dd>{rpcs.map((rpc) => <div key={rpc.id}><a href={`#/${rpc.id}`}>{rpc.name}</a></div>)}</dd></>}
    </dl>
    <p><a href="#/errors">All reasons</a></p>
  </section>;
}

function Reasons() {
  const [typed, setTyped] = useState('');
  const words = typed.toUpperCase().split(/[\s_]+/).filter(Boolean);
  const shown = [...contract().reasons.values()].filter((reason) => words.every((word) => `${reason.name} ${reason.summary} ${reason.graph_code}`.toUpperCase().includes(word)));
  return <section class="reasons" aria-labelledby="reasons-title">
    <div class="panel-head">
      <h2 id="reasons-title">All reasons</h2>
      <input type="search" aria-label="Find a reason" placeholder="Find a reason" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
    </div>
    <ul>{shown.map((reason) => <li key={reason.name}>
      <a href={`#/errors/${reason.name}`}>{reason.name}</a> <span class="code">{reason.code}</span>
      <br /><span class="muted">{reason.summary}.</span>
    </li>)}</ul>
    {shown.length === 0 && <p class="muted">No reason has these words.</p>}
    <p class="muted">Graph’s own codes: <Link to="https://learn.microsoft.com/graph/api/resources/backuprestoreroot">Microsoft’s documentation</Link></p>
  </section>;
}
