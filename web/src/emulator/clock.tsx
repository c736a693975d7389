// The clock of the emulator: step it, and set its speed.
import { useEffect, useId, useState } from 'preact/hooks';
import { control, ofTenant, type Clock } from '../control';

const steps = [['1 min', '1m'], ['10 min', '10m'], ['1 h', '1h'], ['1 day', '24h']] as const;
const speeds = [[0, 'stopped'], [1, 'real time'], [60, '60 times as fast'], [3600, 'an hour a second']] as const;

export function ClockPanel({ onChange }: { onChange: () => void }) {
  const [clock, setClock] = useState<Clock & { at: number }>();
  const [, tick] = useState(0);
  const [failure, setFailure] = useState('');
  const id = useId();

  const take = (next: Clock) => { setClock({ ...next, at: Date.now() }); setFailure(''); };
  const failed = (thrown: Error) => setFailure(thrown.message);
  useEffect(() => {
    const read = () => control<Clock>('GET', 'clock', undefined, ofTenant()).then(take, failed);
    void read();
    const reading = setInterval(read, 10_000);
    const ticking = setInterval(() => tick((n) => n + 1), 250);
    return () => { clearInterval(reading); clearInterval(ticking); };
  }, []);

  // A tenant with a clock of its own keeps it; else all tenants share the one that moves.
  const query = (): Record<string, string> => clock?.ownOfTenant ? ofTenant() : {};
  const set = (change: object) => control<Clock>('POST', 'clock', change, query()).then((next) => { take(next); onChange(); }, failed);

  const now = clock && new Date(Date.parse(clock.now) + (Date.now() - clock.at) * clock.speed);
  const known = speeds.some(([speed]) => speed === clock?.speed);
  return <section class="panel clock" aria-labelledby="clock-title">
    <h2 id="clock-title">Clock</h2>
    <p class="time"><time class={now ? undefined : 'unknown'} dateTime={now?.toISOString()}>{now ? `${now.toISOString().slice(0, 10)} ${now.toISOString().slice(11, 19)}` : '0000-00-00 00:00:00'}</time> <span class="muted">UTC</span></p>
    <div class="steps" role="group" aria-label="Step the clock">
      {steps.map(([label, advance]) => <button key={advance} type="button" onClick={() => set({ advance })}>+ {label}</button>)}
    </div>
    <div class="inline">
      <label for={id}>Speed</label>
      <select id={id} value={clock?.speed ?? 60} onChange={(event) => set({ speed: Number(event.currentTarget.value) })}>
        {speeds.map(([speed, label]) => <option key={speed} value={speed}>{label}</option>)}
        {clock && !known && <option value={clock.speed}>{clock.speed} times as fast</option>}
      </select>
    </div>
    {clock?.ownOfTenant && <p class="muted">This tenant has a clock of its own.</p>}
    {failure && <p class="problem" role="alert">{failure}</p>}
  </section>;
}
