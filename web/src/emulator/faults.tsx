// Fault rules: from a list of ready ones, or as JSON.
import { useEffect, useId, useState } from 'preact/hooks';
import { control, ofTenant, type FaultState } from '../control';
import { useRead } from './use-read';

/** Rules that need no change to be tried. Each one says what a client sees. */
const ready: [label: string, rule: object][] = [
  ['The next creation of an Exchange policy is refused', { operation: 'POST /exchangeProtectionPolicies', code: 'PolicySaveFailed', times: 1 }],
  ['The next creation of an Exchange policy is done, and its response lost', { operation: 'POST /exchangeProtectionPolicies', cut: 'after', times: 1 }],
  ['The next write is throttled for 5 s', { operation: 'POST *', status: 429, retryAfter: ['5'], times: 1 }],
  ['Every read is throttled above 20 in 10 s', { operation: 'GET *', throttle: { requests: 20, window: '10s', retryAfter: '2s' } }],
  ['Graph is down for the next 3 requests', { operation: '*', status: 503, times: 3 }],
  ['The list of policies takes 3 s', { operation: 'GET /protectionPolicies', delay: '3s' }],
  ['The next list of policies is no JSON', { operation: 'GET /protectionPolicies', status: 502, body: { mode: 'html' }, times: 1 }],
  ['Mailbox units have an error in them', { operation: 'GET /protectionUnits/microsoft.graph.mailboxProtectionUnit', inBand: { code: 'QuotaExceeded' } }],
];

/** How often the rules are read, in milliseconds. */
const lookEvery = 2000;

const pretty = (rule: object) => JSON.stringify(rule, null, 2);

export function FaultsPanel({ version }: { version: number }) {
  const [text, setText] = useState(pretty(ready[0]![1]));
  const [failure, setFailure] = useState('');
  const [changed, setChanged] = useState(0);
  const id = useId();
  // Rules act, come and go without an entry in the ledger of this tenant.
  useEffect(() => {
    const again = setInterval(() => setChanged((old) => old + 1), lookEvery);
    return () => clearInterval(again);
  }, []);
  const { value: rules } = useRead(version + changed * 1e6, async () => (await control<{ faults: FaultState[] }>('GET', 'faults')).faults);
  const { tenant } = ofTenant();
  const run = (action: Promise<unknown>) => action.then(() => { setFailure(''); setChanged((old) => old + 1); }, (thrown: Error) => setFailure(thrown.message));
  const mine = rules?.filter((rule) => !rule.tenant || rule.tenant === tenant) ?? [];

  return <section class="panel faults" aria-labelledby="faults-title">
    <h2 id="faults-title">Fault rules</h2>
    <form onSubmit={(event) => { event.preventDefault(); void run(control('POST', 'faults', text, ofTenant())); }}>
      <div class="field">
        <label for={`${id}-ready`}>Ready rules</label>
        <select id={`${id}-ready`} onChange={(event) => setText(pretty(ready[Number(event.currentTarget.value)]![1]))}>
          {ready.map(([label], i) => <option key={label} value={i}>{label}</option>)}
        </select>
      </div>
      <div class={`field${failure ? ' wrong' : ''}`}>
        <label for={`${id}-json`}>The rule</label>
        <textarea id={`${id}-json`} class="json" rows={5} spellcheck={false} value={text} aria-invalid={failure !== ''} aria-describedby={`${id}-problem`} onInput={(event) => setText(event.currentTarget.value)} />
        <div id={`${id}-problem`}>{failure && <p class="problem" role="alert">{failure}</p>}</div>
      </div>
      <button type="submit" class="primary">Set the rule</button>
    </form>
    {mine.length > 0 ? <ul class="cards">{mine.map(({ id: rule, matched, applied, ...rest }) => <li key={rule}>
      <p class="card-head"><strong>{rule}</strong> <span class="muted">{String(rest.operation)}</span></p>
      <p><span class={`chip ${applied > 0 ? 'busy' : 'idle'}`}>acted {applied} {applied === 1 ? 'time' : 'times'}</span> <span class="muted">fitted {matched}</span></p>
      <pre class="json" tabIndex={0} aria-label={`Rule ${rule}`}>{JSON.stringify(rest)}</pre>
      <button type="button" class="quiet" aria-label={`Remove the rule ${rule}`} onClick={() => run(control('DELETE', 'faults', undefined, { id: rule, ...(rest.tenant ? { tenant: rest.tenant } : {}) }))}>Remove</button>
    </li>)}</ul> : <p class="muted">No rule acts now.</p>}
  </section>;
}
