// The page: its frame, and which part of it is shown.
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { loadContract } from './contract';
import { ErrorsPage } from './errors-page';
import { EmulatorPage } from './emulator/page';
import { Home } from './home';
import { RpcList } from './rpc-list';
import { RpcPage } from './rpc-page';
import { SettingsBar } from './settings';
import { onEmulator, server, type About } from './store';

/** What the address says: `#/Service/Method` (with `?field=text`), `#/errors/REASON`, `#/errors?id=…`, `#/emulator`, or nothing. */
function useRoute(): { path: string; query: URLSearchParams } {
  const read = () => location.hash.replace(/^#\/?/, '');
  const [hash, setHash] = useState(read);
  useEffect(() => {
    const changed = () => { setHash(read()); window.scrollTo(0, 0); };
    addEventListener('hashchange', changed);
    // It may have changed before the effect ran.
    setHash(read());
    return () => removeEventListener('hashchange', changed);
  }, []);
  const [path = '', query] = hash.split('?');
  return { path: decodeURIComponent(path), query: new URLSearchParams(query) };
}

function App() {
  const { about, contract, failure } = server.use();
  const { path, query } = useRoute();
  const [typed, setTyped] = useState('');
  const rpc = contract?.rpcs.get(path);
  const part = path.startsWith('errors') ? 'errors' : path === 'emulator' ? 'emulator' : 'rpcs';

  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.key === '/' && !target.matches('input, textarea, select')) {
        event.preventDefault();
        document.getElementById('search')?.focus();
      }
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) document.querySelector<HTMLFormElement>('.request form')?.requestSubmit();
    };
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, []);

  const link = (to: string, name: string, text: string) => <a href={to} aria-current={part === name ? 'page' : undefined}>{text}</a>;
  let main;
  if (failure) main = <p class="problem" role="alert">{failure}</p>;
  else if (part === 'rpcs' && !path) main = <Home />;
  else if (!contract || !about) main = <p class="muted">Loading…</p>;
  else if (part === 'errors') main = <ErrorsPage reason={path.split('/')[1] ?? ''} id={query.get('id') ?? ''} />;
  else if (part === 'emulator') main = <EmulatorPage />;
  else if (rpc) main = <RpcPage key={`${rpc.id}?${query}`} rpc={rpc} given={Object.fromEntries(query)} />;
  else main = <article><h1>Not found</h1><p>The contract has no rpc {path}.</p></article>;

  return <>
    <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>Skip to the content</a>
    <header class="top">
      <a class="brand" href="#/" aria-label="Backup Storage"><span class="mark" aria-hidden="true" /><span>Backup Storage</span></a>
      <nav aria-label="Parts">
        {link('#/', 'rpcs', 'Rpcs')}
        {link('#/errors', 'errors', 'Errors')}
        {onEmulator() && link('#/emulator', 'emulator', 'Emulator')}
      </nav>
      <SettingsBar />
    </header>
    <div class={`frame in-${part}${part === 'rpcs' && path ? ' one' : ''}`}>
      {part === 'rpcs' && <RpcList current={path} typed={typed} onType={setTyped} />}
      <main id="main" tabIndex={-1}>{main}</main>
    </div>
  </>;
}

async function start(): Promise<void> {
  render(<App />, document.getElementById('app')!);
  try {
    const [contract, about] = await Promise.all([loadContract(), fetch('about.json').then((response) => response.json() as Promise<About>)]);
    server.set({ contract, about });
  } catch (thrown) {
    server.set({ failure: `The page could not load the contract: ${(thrown as Error).message}` });
  }
}

void start();
