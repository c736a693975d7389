// The restore sessions of the tenant, the newest first, with the states of their artifacts.
import type { JsonObject } from '@bufbuild/protobuf';
import { ask } from '../call';
import { workloadNames } from './policies';
import { Bar, Chip, countBy } from './status';
import { useRead } from './use-read';

const listOf: Record<string, string> = {
  WORKLOAD_EXCHANGE: 'ListMailboxRestoreArtifacts', WORKLOAD_ONE_DRIVE_FOR_BUSINESS: 'ListDriveRestoreArtifacts', WORKLOAD_SHARE_POINT: 'ListSiteRestoreArtifacts',
};
/** How many sessions are shown. */
const shown = 10;

interface Session { session: JsonObject; artifacts: JsonObject[] }

async function read(): Promise<Session[]> {
  const page = await ask('RestoreSessionService/ListRestoreSessions', { page_size: 100 });
  const created = (session: JsonObject) => Date.parse(String(session.created_date_time ?? '')) || 0;
  const sessions = ((page.restore_sessions ?? []) as JsonObject[]).sort((a, b) => created(b) - created(a)).slice(0, shown);
  return await Promise.all(sessions.map(async (session): Promise<Session> => {
    const rpc = listOf[String(session.workload)];
    const artifacts = rpc ? await ask(`RestoreArtifactService/${rpc}`, { restore_session_id: session.id! }) : {};
    return { session, artifacts: (artifacts.restore_artifacts ?? []) as JsonObject[] };
  }));
}

export function SessionsPanel({ version }: { version: number }) {
  const { value, failure } = useRead(version, read);
  return <section class="panel sessions" aria-labelledby="sessions-title">
    <h2 id="sessions-title">Restore sessions</h2>
    {failure && <p class="problem" role="alert">{failure}</p>}
    {!value && !failure && <p class="muted">Loading…</p>}
    {value?.length === 0 && <p class="muted">This tenant has no restore session.</p>}
    <ul class="cards">{value?.map(({ session, artifacts }) => <li key={String(session.id)} data-session={String(session.id)}>
      <p class="card-head"><strong>{workloadNames[String(session.workload)] ?? 'Session'}</strong> <span class="muted">{String(session.created_date_time ?? '').slice(0, 16).replace('T', ' ')}</span> <Chip status={session.status} /></p>
      <Bar counts={countBy(artifacts, (artifact) => artifact.status)} />
      <p class="id"><a href={`#/RestoreSessionService/GetRestoreSession?restore_session_id=${String(session.id)}`}>{String(session.id)}</a></p>
    </li>)}</ul>
  </section>;
}
