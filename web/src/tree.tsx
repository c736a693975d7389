// Shows a message as a tree that can be folded. An error in it is shown as what it is.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { useState } from 'preact/hooks';
import { ErrorCard } from './error-card';
import { fromStatus } from './typed-error';

const page = 100;

export function Tree({ value }: { value: JsonValue }) {
  return <div class="tree"><Node value={value} depth={0} /></div>;
}

function Node({ name, value, depth }: { name?: string; value: JsonValue; depth: number }) {
  const [shown, setShown] = useState(page);
  if (value === null || typeof value !== 'object') return <div class="leaf"><Name name={name} /><Scalar value={value} /></div>;
  if (name === 'error' && !Array.isArray(value) && 'code' in value) {
    return <div class="leaf"><Name name={name} /><ErrorCard error={fromStatus(value)} embedded /></div>;
  }
  const entries: [string, JsonValue][] = Array.isArray(value) ? value.map((each, i) => [String(i), each]) : Object.entries(value as JsonObject) as [string, JsonValue][];
  const size = Array.isArray(value) ? `${entries.length} ${entries.length === 1 ? 'element' : 'elements'}` : summary(value as JsonObject);
  const children = <>
    {entries.slice(0, shown).map(([key, each]) => <Node key={key} name={key} value={each} depth={depth + 1} />)}
    {entries.length > shown && <button type="button" class="small" onClick={() => setShown(shown + page)}>Show more ({entries.length - shown} left)</button>}
  </>;
  if (name === undefined) return entries.length > 0 ? children : <p class="muted">An empty message.</p>;
  return <details open={depth < 2 || entries.length < 4}>
    <summary><Name name={name} /><span class="muted">{size}</span></summary>
    <div class="children">{children}</div>
  </details>;
}

const Name = ({ name }: { name: string | undefined }) => name === undefined ? null : <span class="key">{name}</span>;

function Scalar({ value }: { value: JsonValue }) {
  if (typeof value !== 'string') return <span class="scalar literal">{String(value)}</span>;
  return <span class={`scalar${/^[A-Z][A-Z0-9_]+$/.test(value) ? ' literal' : ''}`}>{value === '' ? '""' : value}</span>;
}

/** What to say of a message that is folded: its name or id. */
function summary(value: JsonObject): string {
  for (const key of ['display_name', 'name', 'email', 'id']) if (typeof value[key] === 'string') return value[key];
  return '';
}
