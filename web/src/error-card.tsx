// A typed error as what it is: reason, code, when to repeat, what to do, where to read on.
import { useState } from 'preact/hooks';
import { contract } from './store';
import { Inline, Link } from './text';
import type { TypedError } from './typed-error';

export function ErrorCard({ error, embedded }: { error: TypedError; embedded?: boolean }) {
  const reason = contract().reasons.get(error.reason);
  const metadata = Object.entries(error.metadata).sort(([a], [b]) => a.localeCompare(b));
  return <section class={`error-card${embedded ? ' embedded' : ''}`} aria-label="Error" role={embedded ? undefined : 'alert'}>
    <p class="head">
      <strong class="reason">{error.reason || 'No reason'}</strong> <span class="code">{error.code}</span>
    </p>
    <p class="said">{error.message || reason?.summary}</p>
    <dl>
      <dt>What to do</dt>
      <dd class="resolution">{reason?.resolution ? `${reason.resolution}.` : !error.reason
        ? 'A runtime or a proxy made this error, not the server. Look whether a write was carried out before you repeat it.'
        : 'This page does not know the reason. Treat the error by its code.'}</dd>
      <dt>Retry</dt>
      <dd class="retry">{retryText(error)}</dd>
      {error.outcomeUnknown && error.reason && <><dt>Outcome</dt>
        <dd>Unknown: the write may have been carried out. {error.metadata.verifyWith && <>Look with <a href={`#/${error.metadata.verifyWith}`}>{error.metadata.verifyWith}</a>.</>}</dd></>}
      {error.fields.length > 0 && <><dt>Fields</dt><dd class="violations">
        {error.fields.map(({ field, description }, i) => <div key={i}><code>{field}</code> {description}</div>)}</dd></>}
      {error.subjects.length > 0 && <><dt>About</dt><dd>
        {error.subjects.map(({ kind, subject, description }, i) => <div key={i}><code>{kind}</code> <code>{subject}</code> {description}</div>)}</dd></>}
      {reason?.fault && <><dt>Who acts</dt><dd>{faults[reason.fault] ?? reason.fault.toLowerCase()}</dd></>}
      <dt>Read on</dt>
      <dd>
        {error.reason && <><a href={`#/errors/${error.reason}`}>About {error.reason}</a>{error.links.length > 0 && ' · '}</>}
        {error.links.map(({ url, description }, i) => <span key={url}>{i > 0 && ' · '}<Link to={url}>{description || url}</Link></span>)}
        {!error.reason && error.links.length === 0 && 'The server’s guide to retries says which runtime makes which error.'}
      </dd>
    </dl>
    {metadata.length > 0 && <details><summary>Metadata</summary>
      <dl class="pairs">{metadata.map(([key, value]) => <div key={key}><dt>{key}</dt><dd><Inline text={value} /></dd></div>)}</dl>
    </details>}
  </section>;
}

const faults: Record<string, string> = {
  CALLER: 'The caller', TENANT: 'The administrator of the tenant', GRAPH: 'Microsoft', SERVER: 'The operator of this server',
};

export function retryText(error: TypedError): string {
  if (error.retryDelay) return `After ${error.retryDelay}.`;
  const retry = contract().reasons.get(error.reason)?.retry;
  if (retry === 'NEVER') return 'Not before the request or the resource changes.';
  return error.reason ? 'The server names no delay.' : 'Unknown.';
}

/** A button that copies a text. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return <button type="button" class="small copy" aria-label={label} onClick={copy}>{copied ? 'Copied' : 'Copy'}</button>;
}
