// One rpc: what it is, its form, and what came back.
import type { JsonObject } from '@bufbuild/protobuf';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { call, type Result } from './call';
import type { Rpc } from './contract';
import { draftToJson, jsonToDraft, type DraftMessage, type Problems } from './draft';
import { Copy, retryText } from './error-card';
import { example } from './example';
import { MessageFields } from './form';
import { Response } from './response';
import { curlLine, grpcurlLine } from './shell';
import { contract, settings } from './store';
import { Breakable, Comment, Link } from './text';

/** Drafts of this visit, so that a form is as it was when somebody comes back to it. */
const drafts = new Map<string, DraftMessage>();

/** One rpc. The texts that are given fill its fields. */
export function RpcPage({ rpc, given }: { rpc: Rpc; given: DraftMessage }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const [draft, setDraft] = useState<DraftMessage>(Object.keys(given).length > 0 ? given : drafts.get(rpc.id) ?? {});
  const [result, setResult] = useState<Result>();
  const [running, setRunning] = useState<AbortController>();
  const [problems, setProblems] = useState<Problems>(new Map());
  useEffect(() => () => running?.abort(), [running]);
  useEffect(() => { document.title = `${rpc.name} · Backup Storage`; heading.current?.focus({ preventScroll: true }); }, []);

  const change = (next: DraftMessage) => { drafts.set(rpc.id, next); setDraft(next); };
  const json = draftToJson(rpc.method.input, draft, new Map());

  const send = async () => {
    const found: Problems = new Map();
    const request = draftToJson(rpc.method.input, draft, found);
    setProblems(found);
    if (found.size > 0) {
      focusField([...found.keys()][0]!);
      return;
    }
    const controller = new AbortController();
    setRunning(controller);
    const partial: Result = { messages: [], requestId: '', milliseconds: 0, metadata: [] };
    setResult(rpc.stream ? partial : undefined);
    const done = await call(rpc, request, controller.signal, (message) => {
      if (!rpc.stream) return;
      partial.messages = [...partial.messages, message];
      setResult({ ...partial });
    });
    setResult(done);
    setRunning(undefined);
    if (done.error) {
      const marked = mark(done, request);
      setProblems(marked);
      if (marked.size > 0) focusField([...marked.keys()][0]!);
    }
  };

  return <article class="rpc" data-rpc={rpc.id}>
    <a class="back" href="#/">All rpcs</a>
    <header>
      <p class="muted service">{rpc.service}</p>
      <h1 tabIndex={-1} ref={heading}><Breakable name={rpc.name} />{rpc.stream && <span class="tag">stream</span>}</h1>
      <Comment text={rpc.comment} />
      <Facts rpc={rpc} />
      <DocumentedErrors rpc={rpc} />
    </header>
    <div class="columns">
      <RequestForm rpc={rpc} draft={draft} problems={problems} running={running !== undefined} error={result?.error}
        onChange={change} onSend={send} onCancel={() => running?.abort()} onExample={async () => change(await example(rpc))} />
      <section class="panel response" aria-labelledby="response-title">
        <h2 id="response-title">Response</h2>
        <Response result={result} running={running !== undefined} stream={rpc.stream} />
      </section>
    </div>
    <Lines rpc={rpc} json={json} />
  </article>;
}

function Facts({ rpc }: { rpc: Rpc }) {
  const { graph } = rpc;
  return <dl class="facts">
    {graph.of && <><dt>Reads with</dt><dd><a href={`#/${graph.of}`}>{graph.of.split('/')[1]}</a></dd></>}
    <dt>Microsoft Graph</dt><dd><code>{graph.method} {graph.path}</code></dd>
    <dt>Permission</dt><dd><code>{graph.permission}</code>{graph.delegated_only && ', only on behalf of a user'}</dd>
    <dt>Effect</dt><dd><span class={`badge effect-${(graph.effect ?? '').toLowerCase()}`}>{graph.effect}</span></dd>
    {graph.verify_with && <><dt>Lost write</dt><dd>look with <a href={`#/${graph.verify_with}`}>{graph.verify_with.split('/')[1]}</a></dd></>}
    {graph.docs && <><dt>Microsoft’s page</dt><dd><Link to={graph.docs}>{graph.docs.split('/').pop()}</Link></dd></>}
  </dl>;
}

function DocumentedErrors({ rpc }: { rpc: Rpc }) {
  const names = rpc.graph.errors ?? [];
  if (names.length === 0) return <p class="muted">Microsoft documents no errors for this operation. <a href="#/errors">All reasons</a></p>;
  return <details class="documented">
    <summary>{names.length} documented {names.length === 1 ? 'error' : 'errors'}</summary>
    <ul>{names.map((name) => {
      const reason = contract().reasons.get(name);
      return <li key={name}><a href={`#/errors/${name}`}>{name}</a> <span class="code">{reason?.code}</span><br /><span class="muted">{reason?.summary}.</span></li>;
    })}</ul>
  </details>;
}

function RequestForm({ rpc, draft, problems, running, error, onChange, onSend, onCancel, onExample }: {
  rpc: Rpc; draft: DraftMessage; problems: Problems; running: boolean; error: Result['error'];
  onChange: (draft: DraftMessage) => void; onSend: () => void; onCancel: () => void; onExample: () => Promise<void>;
}) {
  const [text, setText] = useState<string>();
  const [wrong, setWrong] = useState('');
  const [filling, setFilling] = useState(false);
  const id = useId();
  const asJson = text !== undefined;
  const type = (next: string) => {
    setText(next);
    try {
      onChange(jsonToDraft(rpc.method.input, next));
      setWrong('');
    } catch (thrown) {
      setWrong(String((thrown as Error).message).replace(/^cannot decode message /, ''));
    }
  };
  const toggle = () => {
    setText(asJson ? undefined : JSON.stringify(draftToJson(rpc.method.input, draft, new Map()), null, 2));
    setWrong('');
  };
  const fill = async () => {
    setFilling(true);
    setText(undefined);
    await onExample();
    setFilling(false);
  };
  const empty = rpc.method.input.fields.length === 0;
  const whole = error && problems.size === 0 && error.subjects[0];
  return <section class="panel request" aria-labelledby="request-title">
    <div class="panel-head">
      <h2 id="request-title">Request message</h2>
      {!empty && <div class="actions">
        <button type="button" class="quiet" disabled={filling} onClick={fill}>Fill with example</button>
        <button type="button" class="quiet" aria-pressed={asJson} onClick={toggle}>JSON</button>
      </div>}
    </div>
    <form onSubmit={(event) => { event.preventDefault(); if (!wrong && !running) onSend(); }} noValidate>
      {error && whole && <p class="problem whole" role="alert" data-path="">
        <strong>{error.reason}</strong> No single field is wrong. {whole.description}. What to do: {contract().reasons.get(error.reason)?.resolution}. Retry: {retryText(error)}
      </p>}
      {empty && <p class="muted">This rpc takes no fields.</p>}
      {asJson
        ? <div class={`field${wrong ? ' wrong' : ''}`}>
            <label class="hidden" for={id}>Request message as JSON</label>
            <textarea id={id} class="json" rows={12} spellcheck={false} value={text} aria-invalid={wrong !== ''} aria-describedby={`${id}-problem`} onInput={(event) => type(event.currentTarget.value)} />
            {wrong && <div class="problem" id={`${id}-problem`} role="alert">{wrong}</div>}
          </div>
        : <MessageFields schema={rpc.method.input} value={draft} path="" context={{ rpc: rpc.id, root: draft, problems }} onChange={onChange} />}
      <div class="send">
        <button type="submit" class="primary" disabled={running || wrong !== ''} aria-keyshortcuts="Control+Enter">Call</button>
        {running && <button type="button" onClick={onCancel}>Cancel</button>}
        {problems.has('x-tenant-id') && <div class="problem" role="alert"><code>x-tenant-id</code>: {problems.get('x-tenant-id')}</div>}
      </div>
    </form>
  </section>;
}

/** The fields that an error names: by its violations, else by the value that it is about. */
function mark({ error }: Result, request: JsonObject): Problems {
  const marked: Problems = new Map();
  const resolution = contract().reasons.get(error?.reason ?? '')?.resolution;
  const say = (description: string) => `${error?.reason}: ${[description, resolution].filter(Boolean).map((each) => `${each}.`).join(' ')}`;
  for (const { field, description } of error?.fields ?? []) marked.set(field, say(description));
  if (marked.size > 0) return marked;
  for (const { subject, description } of error?.subjects ?? []) {
    const field = Object.keys(request).find((name) => typeof request[name] === 'string' && request[name] !== '' && subject.endsWith(request[name]));
    if (field) marked.set(field, say(description));
  }
  return marked;
}

function focusField(path: string): void {
  requestAnimationFrame(() => {
    const field = document.querySelector(`[data-path="${CSS.escape(path)}"]`);
    const input = field?.matches('input, select, textarea') ? field : field?.querySelector('input, select, textarea, button');
    (input as HTMLElement | null)?.focus();
  });
}

function Lines({ rpc, json }: { rpc: Rpc; json: JsonObject }) {
  settings.use();
  const lines: [string, string][] = [['grpcurl', grpcurlLine(rpc, json)], ['curl', curlLine(rpc, json)]];
  return <section class="panel lines" aria-labelledby="lines-title">
    <h2 id="lines-title">The same call from a shell</h2>
    {lines.map(([name, line]) => <div class="line" key={name}>
      <div class="line-head"><h3>{name}</h3><Copy text={line} label={`Copy the ${name} line`} /></div>
      <pre tabIndex={0} aria-label={`${name} line`} data-line={name}>{line}</pre>
    </div>)}
    <p class="muted">Programs in Go, Python, TypeScript, Java, Rust and C++ are in the folder <code>clients</code> of the repository.</p>
  </section>;
}
