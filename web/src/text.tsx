// Shows comments of the contract: paragraphs, tables, and names in backquotes. Everything becomes text nodes, so markup
// in a comment shows as text.
import type { ComponentChildren } from 'preact';

/** A line with its names in backquotes set as code, and its addresses as links. */
export function Inline({ text }: { text: string }) {
  const parts = text.split(/(`[^`]+`|https:\/\/[^\s)>"'`]+[^\s)>"'`.,;:])/);
  return <>{parts.map((part, i): ComponentChildren => {
    if (i % 2 === 0) return part;
    return part.startsWith('`') ? <code key={i}>{part.slice(1, -1)}</code> : <Link key={i} to={part} />;
  })}</>;
}

/** A link that leaves the page. Anything but https is shown as text: an error can bring any address. */
export function Link({ to, children }: { to: string; children?: ComponentChildren }) {
  if (!/^https:\/\//.test(to)) return <>{to}</>;
  return <a href={to} target="_blank" rel="noopener noreferrer">{children ?? to}</a>;
}

/** A long name, with places where a line may break. */
export function Breakable({ name }: { name: string }) {
  return <>{name.split(/(?<=[a-z0-9])(?=[A-Z])/).flatMap((word, i) => i === 0 ? [word] : [<wbr key={i} />, word])}</>;
}

const row = (line: string) => line.replace(/^\||\|$/g, '').split('|').map((cell) => cell.trim());

/** A whole comment. */
export function Comment({ text }: { text: string }) {
  if (!text) return null;
  return <div class="comment">{text.split(/\n{2,}/).map((block, i) => {
    const lines = block.split('\n');
    if (lines[0]?.startsWith('|')) return <Table key={i} lines={lines} />;
    if (lines.every((line) => /^( *- | {2})/.test(line))) {
      const items = block.split(/^ *- /m).filter((item) => item.trim());
      return <ul key={i}>{items.map((item, j) => <li key={j}><Inline text={item.replace(/\s+/g, ' ')} /></li>)}</ul>;
    }
    return <p key={i}><Inline text={lines.join(' ')} /></p>;
  })}</div>;
}

function Table({ lines }: { lines: string[] }) {
  const [head, , ...body] = lines.map(row);
  return <div class="table" tabIndex={0} role="group" aria-label="Table"><table>
    <thead><tr>{head?.map((cell, i) => <th key={i} scope="col"><Inline text={cell} /></th>)}</tr></thead>
    <tbody>{body.map((cells, i) => <tr key={i}>{cells.map((cell, j) => <td key={j}><Inline text={cell} /></td>)}</tr>)}</tbody>
  </table></div>;
}
