// All rpcs, found by typing.
import { useEffect, useRef } from 'preact/hooks';
import type { Contract, Rpc } from './contract';
import { server } from './store';
import { Breakable } from './text';

/** Those whose name, path or comment has all the words; those that have them in the name come first in their service. */
export function find(contract: Contract, typed: string): Map<string, Rpc[]> {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const found = new Map<string, Rpc[]>();
  for (const service of contract.services) {
    const inNames = service.rpcs.filter((rpc) => words.every((word) => rpc.words.slice(0, 2 * rpc.name.length + 20).includes(word)));
    const anywhere = service.rpcs.filter((rpc) => !inNames.includes(rpc) && words.every((word) => rpc.words.includes(word) || rpc.service.toLowerCase().includes(word)));
    const rpcs = words.length === 0 ? service.rpcs : [...inNames, ...anywhere];
    if (rpcs.length > 0) found.set(service.name, rpcs);
  }
  return found;
}

export function RpcList({ current, typed, onType }: { current: string; typed: string; onType: (typed: string) => void }) {
  const { contract } = server.use();
  const nav = useRef<HTMLElement>(null);
  const found = contract && find(contract, typed);
  const count = found && [...found.values()].reduce((sum, rpcs) => sum + rpcs.length, 0);

  useEffect(() => {
    const [list, link] = [nav.current?.querySelector('.scroll'), nav.current?.querySelector('[aria-current]')];
    if (!list || !link) return;
    const [inside, at] = [list.getBoundingClientRect(), link.getBoundingClientRect()];
    // The heading of a service sticks to the top, and must not hide the link.
    if (at.top < inside.top + 40 || at.bottom > inside.bottom) list.scrollTop += at.top - inside.top - inside.height / 3;
  }, [current, contract]);

  const move = (event: KeyboardEvent) => {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    event.preventDefault();
    const stops = [...nav.current!.querySelectorAll<HTMLElement>('input, a')];
    const next = stops[stops.indexOf(document.activeElement as HTMLElement) + (event.key === 'ArrowDown' ? 1 : -1)];
    next?.focus();
  };
  const enter = (event: KeyboardEvent) => {
    if (event.key === 'Enter') nav.current?.querySelector<HTMLElement>('a')?.click();
    if (event.key === 'Escape') onType('');
  };

  return <nav class="rpcs" aria-label="Rpcs" ref={nav} onKeyDown={move}>
    <div class="search">
      <input id="search" type="search" placeholder="Find an rpc" aria-label="Find an rpc" aria-keyshortcuts="/" autocomplete="off" spellcheck={false}
        value={typed} onInput={(event) => onType(event.currentTarget.value)} onKeyDown={enter} />
      <kbd aria-hidden="true">/</kbd>
    </div>
    <p class="count muted" role="status">{count === undefined ? 'Loading the contract…' : `${count} of ${contract!.rpcs.size} rpcs`}</p>
    <div class="scroll">
      {found && [...found].map(([service, rpcs]) => <section key={service} aria-label={service}>
        <h2>{service.replace(/Service$/, '')}</h2>
        <ul>{rpcs.map((rpc) => <li key={rpc.id}>
          <a href={`#/${rpc.id}`} aria-current={rpc.id === current ? 'page' : undefined}>
            <span class={`dot effect-${(rpc.graph.effect ?? 'READ').toLowerCase()}`} aria-hidden="true" /><span><Breakable name={rpc.name} /></span>
            {rpc.stream && <span class="tag">stream</span>}
          </a>
        </li>)}</ul>
      </section>)}
      {found?.size === 0 && <p class="muted empty">No rpc has these words.</p>}
    </div>
  </nav>;
}
