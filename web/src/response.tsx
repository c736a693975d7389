// What came back of a call: messages as a tree or as JSON, or the error; and what a developer asks for next.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Result } from './call';
import { Copy, ErrorCard } from './error-card';
import { Tree } from './tree';

const tabs = ['Tree', 'JSON'] as const;

export function Response({ result, running, stream }: { result: Result | undefined; running: boolean; stream: boolean }) {
  const [tab, setTab] = useState<(typeof tabs)[number]>('Tree');
  if (!result) return <p class="muted waiting" role="status">{running ? 'Waiting for the response…' : 'Nothing yet. Fill the form, then press Call.'}</p>;
  const text = result.messages.map((message) => JSON.stringify(message, null, 2)).join('\n');
  const state = running ? `${result.messages.length} messages so far` : result.cancelled ? 'Cancelled' : result.error ? result.error.code : 'OK';
  return <>
    <p class={`outcome ${result.error ? 'bad' : running || result.cancelled ? 'pending' : 'good'}`} role="status" data-call={result.requestId}>
      <strong>{state}</strong>
      {stream && !running && <span>{result.messages.length} {result.messages.length === 1 ? 'message' : 'messages'}</span>}
      {!running && <span>{Math.round(result.milliseconds)} ms</span>}
    </p>
    {result.error && <ErrorCard error={result.error} />}
    {result.messages.length > 0 && <>
      <div class="tabs-row">
        <Tabs tab={tab} onTab={setTab} />
        {tab === 'JSON' && <Copy text={text} label="Copy the JSON" />}
      </div>
      <div role="tabpanel" id="response-panel" aria-label={tab} class="messages">
        {tab === 'JSON' ? <pre class="json" tabIndex={0} aria-label="Response as JSON">{text}</pre>
          : stream ? <Messages result={result} running={running} /> : <Tree value={result.messages[0]!} />}
      </div>
    </>}
    {!running && result.requestId && <details class="about-call"><summary>About this call</summary>
      <dl class="pairs">
        <div><dt>x-request-id (sent)</dt><dd><a href={`#/errors?id=${result.requestId}`}>{result.requestId}</a></dd></div>
        {result.metadata.map(([name, value], i) => <div key={i}><dt>{name}</dt><dd>{value}</dd></div>)}
      </dl>
    </details>}
  </>;
}

/** The messages of a stream, each with its number; while it runs the newest one is in sight. */
function Messages({ result, running }: { result: Result; running: boolean }) {
  const box = useRef<HTMLOListElement>(null);
  useEffect(() => { if (running && box.current) box.current.scrollTop = box.current.scrollHeight; }, [result.messages.length]);
  return <ol class="stream" ref={box} tabIndex={0} aria-label="Messages">
    {result.messages.map((message, i) => <li key={i}><span class="muted">Message {i + 1}</span><Tree value={message} /></li>)}
  </ol>;
}

function Tabs({ tab, onTab }: { tab: string; onTab: (tab: (typeof tabs)[number]) => void }) {
  const row = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    const next = tabs[(tabs.indexOf(tab as 'Tree') + 1) % tabs.length]!;
    onTab(next);
    row.current?.querySelector<HTMLElement>(`[data-tab="${next}"]`)?.focus();
  };
  return <div class="tabs" role="tablist" aria-label="Form of the response" ref={row} onKeyDown={onKeyDown}>
    {tabs.map((name) => <button key={name} type="button" role="tab" data-tab={name} aria-selected={name === tab} aria-controls="response-panel"
      tabIndex={name === tab ? 0 : -1} onClick={() => onTab(name)}>{name}</button>)}
  </div>;
}
