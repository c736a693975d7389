// Which values a field could have: ids that exist in the tenant, by name. They come from the rpcs themselves, so they are
// there against Graph too; people and sites of the directory come from the emulator.
import type { DescField, JsonObject } from '@bufbuild/protobuf';
import { ask } from './call';
import { control, groups, ofTenant, sites, users, type Clock } from './control';
import type { DraftMessage } from './draft';
import { onEmulator } from './store';

export interface Suggestion { value: string; label: string }

type Workload = 'mailbox' | 'drive' | 'site';
interface Asked { rpc: string; field: DescField; path: string; root: DraftMessage; workload: Workload | undefined }
type Source = (asked: Asked) => Promise<Suggestion[]>;

/** What the rpcs of a workload have in their names. */
const named: Record<Workload, { service: string; unit: string; list: string }> = {
  mailbox: { service: 'Exchange', unit: 'Mailbox', list: 'EXCHANGE' },
  drive: { service: 'OneDriveForBusiness', unit: 'Drive', list: 'ONE_DRIVE_FOR_BUSINESS' },
  site: { service: 'SharePoint', unit: 'Site', list: 'SHARE_POINT' },
};
const workloads = Object.keys(named) as Workload[];

function workloadOf(rpc: string, path: string): Workload | undefined {
  const name = rpc.split('/')[1] ?? '';
  if (/Exchange|Mailbox/.test(name) || /mailbox/.test(path)) return 'mailbox';
  if (/Drive/.test(name)) return 'drive';
  return /SharePoint|Site/.test(name) ? 'site' : undefined;
}

const list = (json: JsonObject, name: string) => (json[name] ?? []) as JsonObject[];
const short = (status: unknown) => String(status ?? '').replace(/^.*_STATUS_/, '').toLowerCase().replaceAll('_', ' ');
const some = { page_size: 100 };

/** Those of a workload, or of all; Graph's own order. */
function ofWorkload(items: JsonObject[], workload: Workload | undefined): JsonObject[] {
  return items.filter((item) => !workload || String(item.workload).endsWith(named[workload].list));
}

const policies: Source = async ({ workload, rpc }) => {
  const found = ofWorkload(list(await ask('ProtectionPolicyService/ListProtectionPolicies', some), 'protection_policies'), workload);
  // What acts on inactive policies alone finds those first.
  const inactive = /Delete|Activate/.test(rpc) && !/Deactivate/.test(rpc);
  const rank = (item: JsonObject) => Number(inactive !== String(item.status).endsWith('_INACTIVE'));
  return found.sort((a, b) => rank(a) - rank(b)).map((item) => ({ value: String(item.id), label: `${item.display_name} · ${short(item.status)}` }));
};

const sessions: Source = async ({ workload, rpc }) => {
  const found = ofWorkload(list(await ask('RestoreSessionService/ListRestoreSessions', some), 'restore_sessions'), workload);
  const draft = /Delete|Activate|Update|Create/.test(rpc);
  const rank = (item: JsonObject) => Number(draft !== String(item.status).endsWith('_DRAFT'));
  return found.sort((a, b) => rank(a) - rank(b)).map((item) => ({ value: String(item.id), label: `${short(item.status)} · ${String(item.created_date_time ?? '').slice(0, 16)}` }));
};

const browseSessions: Source = async ({ workload }) => {
  const found = ofWorkload(list(await ask('BrowseSessionService/ListBrowseSessions', some), 'browse_sessions'), workload);
  return found.map((item) => ({ value: String(item.id), label: `${short(item.status)} · ${String(item.created_date_time ?? '').slice(0, 16)}` }));
};

/** Names of units, which Graph tells no application. */
export async function unitNames(): Promise<Map<string, string>> {
  if (!onEmulator()) return new Map();
  const [people, places] = await Promise.all([users(), sites()]);
  return new Map([
    ...people.flatMap((user): [string, string][] => [[user.mailboxUnitId, user.displayName], [user.driveUnitId, user.displayName]]),
    ...places.map((site): [string, string] => [site.unitId, site.name]),
  ]);
}

interface Unit extends Suggestion { state: string }

async function unitsOf(workload: Workload): Promise<Unit[]> {
  const [page, names] = await Promise.all([ask(`ProtectionUnitService/List${named[workload].unit}ProtectionUnits`, some), unitNames()]);
  return list(page, 'protection_units').map((item) => {
    const state = short(item.status);
    const name = names.get(String(item.id)) ?? item.display_name ?? item.site_name;
    return { value: String(item.id), state, label: [name, named[workload].unit.toLowerCase(), state].filter(Boolean).join(' · ') };
  });
}

/** The units in the state that the rpc acts on come first. */
const units: Source = async ({ workload, rpc }) => {
  const wanted = /CancelOffboard/.test(rpc) ? 'offboard requested' : /Offboard/.test(rpc) ? 'unprotected' : 'protected';
  const all = (await Promise.all((workload ? [workload] : workloads).map(unitsOf))).flat();
  return all.sort((a, b) => Number(a.state !== wanted) - Number(b.state !== wanted));
};

/** The newest point of each of the first units: one that can be browsed, where that is what it is for. */
const points: Source = async (asked) => {
  const ids = (await units(asked)).slice(0, 20).map((each) => each.value);
  if (ids.length === 0) return [];
  const [names, now] = await Promise.all([unitNames(), emulatorNow()]);
  const found = await ask('RestorePointService/SearchRestorePoints', {
    protection_unit_ids: ids, protection_time_period: { end_date_time: now }, restore_point_preference: 'RESTORE_POINT_PREFERENCE_LATEST',
    ...(/Browse/.test(asked.rpc) ? { tags: ['RESTORE_POINT_TAGS_FAST_RESTORE'] } : {}),
  });
  return list(found, 'search_results').map((result) => {
    const point = (result.restore_point ?? {}) as JsonObject;
    const unit = String((point.protection_unit as JsonObject | undefined)?.id ?? '');
    return { value: String(point.id), label: [names.get(unit), String(point.protection_date_time ?? '').slice(0, 16)].filter(Boolean).join(' · ') };
  });
};

/** A list whose request needs the id of a parent: that of the form, else the first one that has something. */
function children(parent: string, parents: Source, rpcOf: (unit: string) => string, response: string, label: (item: JsonObject) => string): Source {
  return async (asked) => {
    const set = asked.root[parent];
    const candidates = typeof set === 'string' && set ? [set] : (await parents(asked)).map((each) => each.value);
    for (const id of candidates.slice(0, 10)) {
      for (const workload of asked.workload ? [asked.workload] : workloads) {
        const page = await ask(rpcOf(named[workload].unit), { [parent]: id, ...some }).catch((): JsonObject => ({}));
        const items = list(page, response);
        if (items.length > 0) return items.map((item) => ({ value: String(item.id), label: label(item) }));
      }
    }
    return [];
  };
}

const rules = children('protection_policy_id', policies, (unit) => `InclusionRuleService/List${unit}InclusionRules`, 'inclusion_rules', (item) => short(item.status));
const jobs = children('protection_policy_id', policies, (unit) => `ProtectionUnitBulkAdditionJobService/List${unit}ProtectionUnitsBulkAdditionJobs`, 'bulk_addition_jobs', (item) => `${item.display_name ?? ''} · ${short(item.status)}`);
const requests = children('restore_session_id', sessions, (unit) => `RestoreArtifactBulkAdditionRequestService/List${unit}RestoreArtifactsBulkAdditionRequests`, 'bulk_addition_requests', (item) => `${item.display_name ?? ''} · ${short(item.status)}`);
const artifacts = children('restore_session_id', sessions, (unit) => `RestoreArtifactService/List${unit}RestoreArtifacts`, 'restore_artifacts', (item) => short(item.status));

const items: Source = async (asked) => {
  const browse = asked.workload === 'site' ? 'SharePoint' : 'OneDriveForBusiness';
  const [id] = typeof asked.root.browse_session_id === 'string' ? [asked.root.browse_session_id] : (await browseSessions(asked)).map((each) => each.value);
  const page = await ask(`BrowseSessionService/Browse${browse}BrowseSession`, { browse_session_id: id ?? '' });
  return list(page, 'items').map((item) => ({ value: String(item.item_key), label: String(item.name ?? '') }));
};

const apps: Source = async () =>
  list(await ask('ServiceAppService/ListServiceApps', some), 'service_apps').map((item) => ({ value: String(item.id), label: short(item.status) }));

const people = (value: 'id' | 'mail'): Source => async () =>
  (await users()).filter((user) => user.licensed !== false && !user.deleted).map((user) => ({ value: user[value], label: user.displayName }));
const places = (value: 'id' | 'url'): Source => async () => (await sites()).map((site) => ({ value: site[value], label: site.name }));
const members: Source = async () =>
  (await groups()).map((group) => ({ value: `(memberOf -any (group.id -in ['${group.id}']))`, label: `members of ${group.displayName}` }));
const keywords: Source = async () =>
  (await sites()).map((site) => ({ value: `(displayName -contains '${site.name.split(' ')[0]?.replaceAll("'", "''")}')`, label: `like ${site.name}` }));
const tenant: Source = async () => [{ value: ofTenant().tenant, label: 'this tenant' }];

const sources: Record<string, Source> = {
  protection_policy_id: policies, policy_id: policies, restore_session_id: sessions, browse_session_id: browseSessions,
  protection_unit_id: units, protection_unit_ids: units, restore_point_id: points, inclusion_rule_id: rules,
  remove_mailbox_protection_unit_ids: units, remove_drive_protection_unit_ids: units, remove_site_protection_unit_ids: units,
  bulk_addition_job_id: jobs, bulk_addition_request_id: requests, service_app_id: apps,
  remove_mailbox_restore_artifact_ids: artifacts, remove_drive_restore_artifact_ids: artifacts, remove_site_restore_artifact_ids: artifacts,
  browse_location_item_key: items, item_key: items,
};
/** Those that only the emulator knows. */
const emulated: Record<string, Source> = {
  directory_object_id: people('id'), directory_object_ids: people('id'), mailboxes: people('mail'), drives: people('mail'), emails: people('mail'),
  site_id: places('id'), site_ids: places('id'), site_web_urls: places('url'),
  mailbox_expression: members, drive_expression: members, site_expression: keywords, app_owner_tenant_id: tenant,
};

function sourceOf(field: DescField): Source | undefined {
  if (field.name === 'id') return field.parent.name === 'RestorePointReference' ? points : /^New.*Artifact$/.test(field.parent.name) ? items : undefined;
  return sources[field.name] ?? (onEmulator() ? emulated[field.name] : undefined);
}

export const canSuggest = (_rpc: string, field: DescField, _path: string) => sourceOf(field) !== undefined;

export async function suggest(rpc: string, field: DescField, path: string, root: DraftMessage): Promise<Suggestion[]> {
  return await sourceOf(field)?.({ rpc, field, path, root, workload: workloadOf(rpc, path) }) ?? [];
}

/** The time that counts: that of the tenant's clock on the emulator, else that of this computer. In whole seconds. */
export async function emulatorNow(): Promise<string> {
  const now = onEmulator() ? (await control<Clock>('GET', 'clock', undefined, ofTenant())).now : new Date().toISOString();
  return now.replace(/\.\d+/, '');
}
