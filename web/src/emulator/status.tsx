// States, in colour and in words.

export const short = (status: unknown) => String(status ?? '').replace(/^.*_STATUS_/, '').toLowerCase().replaceAll('_', ' ') || 'no state';

/** What a state means for the one who waits. */
export function tone(status: unknown): 'good' | 'bad' | 'busy' | 'idle' {
  const text = short(status);
  if (/error|failed/.test(text)) return 'bad';
  if (/^(active|protected|completed|succeeded|created)$/.test(text)) return 'good';
  return /^(inactive|draft|added|unprotected|offboarded|no state)$/.test(text) ? 'idle' : 'busy';
}

export const Chip = ({ status }: { status: unknown }) => <span class={`chip ${tone(status)}`}>{short(status)}</span>;

/** A bar with a part for each state, and the same in words. */
export function Bar({ counts }: { counts: Map<string, number> }) {
  const parts = [...counts].filter(([, count]) => count > 0);
  return <div class="bar-with-words">
    <div class="bar" aria-hidden="true">{parts.map(([status, count]) => <span key={status} class={tone(status)} style={{ flexGrow: count }} />)}</div>
    <p class="muted">{parts.length > 0 ? parts.map(([status, count]) => `${count} ${short(status)}`).join(', ') : 'none'}</p>
  </div>;
}

export function countBy<T>(items: T[], of: (item: T) => unknown): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(String(of(item)), (counts.get(String(of(item))) ?? 0) + 1);
  return counts;
}
