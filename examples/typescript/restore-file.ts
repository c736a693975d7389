// Restores one file of a OneDrive from the last restore point before a time that can be browsed:
//
//   node restore-file.js --tenant GUID --owner ADDRESS|OBJECT_ID --path 'Documents/Reports/a b.docx' [--before TIME]
//
// An address needs --user-token-file. The file goes into a new folder of its library. The program can be run again at
// any time: it goes on with the session that it finds for the same file and restore point, and shows one that has
// succeeded; so name the time when you run it again. Exit code 0: restored. 1: not restored. 75: run it again.
import { typedErrorOf } from '@m365backup/backupstorage';
import { BrowsableResourceType, type BrowseQueryResponseItem, BrowseQueryResponseItemType as ItemType, type BrowseSession, BrowseSessionStatus } from '@m365backup/backupstorage/m365/backupstorage/v1/browse_session.js';
import { BrowseOneDriveForBusinessBrowseSessionRequest, BrowseSessionServiceClient } from '@m365backup/backupstorage/m365/backupstorage/v1/browse_session_service.js';
import { type ProtectionUnit } from '@m365backup/backupstorage/m365/backupstorage/v1/protection_unit.js';
import { ListDriveProtectionUnitsRequest, ProtectionUnitServiceClient } from '@m365backup/backupstorage/m365/backupstorage/v1/protection_unit_service.js';
import { ArtifactRestoreStatus, type GranularRestoreArtifact } from '@m365backup/backupstorage/m365/backupstorage/v1/restore_artifact.js';
import { RestoreArtifactServiceClient } from '@m365backup/backupstorage/m365/backupstorage/v1/restore_artifact_service.js';
import { type RestorePoint, RestorePointPreference, RestorePointTags } from '@m365backup/backupstorage/m365/backupstorage/v1/restore_point.js';
import { RestorePointServiceClient, SearchRestorePointsRequest } from '@m365backup/backupstorage/m365/backupstorage/v1/restore_point_service.js';
import { RestoreJobType, type RestoreSession, RestoreSessionStatus as SessionStatus } from '@m365backup/backupstorage/m365/backupstorage/v1/restore_session.js';
import { CreateOneDriveForBusinessRestoreSessionRequest, RestoreSessionServiceClient, WaitRestoreSessionRequest } from '@m365backup/backupstorage/m365/backupstorage/v1/restore_session_service.js';
import { Workload } from '@m365backup/backupstorage/m365/backupstorage/v1/workload.js';
import { run, Server, Stop, why } from './server.js';

const failed = [SessionStatus.RESTORE_SESSION_STATUS_FAILED, SessionStatus.RESTORE_SESSION_STATUS_COMPLETED_WITH_ERROR];
const ended = [SessionStatus.RESTORE_SESSION_STATUS_COMPLETED, ...failed];
// To browse into an item, its kind is needed in another enum than the one that the item has.
const kinds: { [type: number]: BrowsableResourceType } = {
  [ItemType.BROWSE_QUERY_RESPONSE_ITEM_TYPE_SITE]: BrowsableResourceType.BROWSABLE_RESOURCE_TYPE_SITE,
  [ItemType.BROWSE_QUERY_RESPONSE_ITEM_TYPE_DOCUMENT_LIBRARY]: BrowsableResourceType.BROWSABLE_RESOURCE_TYPE_DOCUMENT_LIBRARY,
  [ItemType.BROWSE_QUERY_RESPONSE_ITEM_TYPE_FOLDER]: BrowsableResourceType.BROWSABLE_RESOURCE_TYPE_FOLDER,
};

async function main(): Promise<number> {
  const server = new Server(['owner', 'path'], ['before']);
  if (Number.isNaN(Date.parse(server.args.before ?? '2000-01-01T00:00:00Z'))) throw new Stop(2, '--before is not a time');
  const { address, credentials, options } = server;
  const units = new ProtectionUnitServiceClient(address, credentials, options);
  const points = new RestorePointServiceClient(address, credentials, options);
  const browsing = new BrowseSessionServiceClient(address, credentials, options);
  const sessions = new RestoreSessionServiceClient(address, credentials, options);
  const artifacts = new RestoreArtifactServiceClient(address, credentials, options);
  const list = { pageSize: 0, pageToken: '' };

  /** Returns the unit of the owner's drive. */
  async function findUnit(owner: string): Promise<ProtectionUnit> {
    const request = ListDriveProtectionUnitsRequest.create({ filter: owner.includes('@') ? { emails: [owner] } : { directoryObjectIds: [owner] } });
    for await (const unit of server.pages(units, units.listDriveProtectionUnits, request, (page) => page.protectionUnits)) return unit;
    throw new Stop(1, `the drive of ${owner} is not and was not protected`);
  }

  /** Returns the newest restore point of a unit before a time that can be browsed. */
  async function findPoint(unit: ProtectionUnit, before?: string): Promise<RestorePoint> {
    const request = SearchRestorePointsRequest.create({
      protectionUnitIds: [unit.id], tags: [RestorePointTags.RESTORE_POINT_TAGS_FAST_RESTORE],
      restorePointPreference: RestorePointPreference.RESTORE_POINT_PREFERENCE_LATEST,
      protectionTimePeriod: before ? { endDateTime: new Date(before) } : undefined,
    });
    const { searchResults } = await server.call(points, points.searchRestorePoints, request);
    if (!searchResults[0]?.restorePoint) throw new Stop(1, 'there is no restore point that can be browsed');
    return searchResults[0].restorePoint;
  }

  /** Returns a browse session of the point that can be used or is being made. Responses do not name the point. */
  async function findBrowseSession(unit: ProtectionUnit, point: RestorePoint): Promise<BrowseSession | undefined> {
    const owner = unit.resource?.$case === 'user' ? unit.resource.value.directoryObjectId : '';
    for await (const it of server.pages(browsing, browsing.listOneDriveForBusinessBrowseSessions, list, (page) => page.browseSessions)) {
      if (it.status !== BrowseSessionStatus.BROWSE_SESSION_STATUS_FAILED && it.resource?.value === owner && it.restorePointDateTime?.getTime() === point.protectionDateTime?.getTime()) return it;
    }
    return undefined;
  }

  /** Returns the item at a path: the parts are the names of the library, the folders and the file. */
  async function findItem(browse: BrowseSession, path: string): Promise<BrowseQueryResponseItem> {
    let inside: BrowseQueryResponseItem | undefined;
    for (const name of [undefined, ...path.split('/')]) { // The first level has one item: the owner's site.
      const request = BrowseOneDriveForBusinessBrowseSessionRequest.create({
        browseSessionId: browse.id, browseLocationItemKey: inside?.itemKey, browseResourceType: inside && kinds[inside.type],
      });
      let found: BrowseQueryResponseItem | undefined;
      for await (const item of server.pages(browsing, browsing.browseOneDriveForBusinessBrowseSession, request, (page) => page.items)) {
        if (name === undefined || item.name === name) found ??= item;
      }
      if (!found) throw new Stop(1, `the backup has no ${name} in ${inside?.name ?? 'it'}`);
      inside = found;
    }
    return inside!;
  }

  async function artifactsOf(session: RestoreSession): Promise<GranularRestoreArtifact[]> {
    const result: GranularRestoreArtifact[] = [];
    for await (const it of server.pages(artifacts, artifacts.listGranularDriveRestoreArtifacts, { restoreSessionId: session.id, ...list }, (page) => page.granularDriveRestoreArtifacts)) result.push(it);
    return result;
  }

  /** Returns a session that restores this item of this backup alone, unless it has failed. */
  async function findSession(browse: BrowseSession, item: BrowseQueryResponseItem): Promise<RestoreSession | undefined> {
    for await (const it of server.pages(sessions, sessions.listRestoreSessions, list, (page) => page.restoreSessions)) {
      if (it.workload !== Workload.WORKLOAD_ONE_DRIVE_FOR_BUSINESS || it.restoreJobType === RestoreJobType.RESTORE_JOB_TYPE_STANDARD || failed.includes(it.status)) continue;
      const found = await artifactsOf(it);
      if (found.length === 1 && found[0].id === item.itemKey && found[0].browseSessionId === browse.id) return it;
    }
    return undefined;
  }

  const unit = await findUnit(server.args.owner!);
  const point = await findPoint(unit, server.args.before);
  console.log(`restore point: ${point.protectionDateTime?.toISOString()} of unit ${unit.id}`);

  let browse = await findBrowseSession(unit, point) ?? await server.create(
    async () => (await server.call(browsing, browsing.createOneDriveForBusinessBrowseSession, { restorePointId: point.id })).browseSession!,
    () => findBrowseSession(unit, point));
  browse = await server.poll(
    async () => (await server.call(browsing, browsing.getOneDriveForBusinessBrowseSession, { browseSessionId: browse.id })).browseSession!,
    ({ status }) => status !== BrowseSessionStatus.BROWSE_SESSION_STATUS_CREATING);
  if (browse.status === BrowseSessionStatus.BROWSE_SESSION_STATUS_FAILED) throw new Stop(1, `the backup cannot be browsed: ${why(typedErrorOf(browse.error))}`);

  const item = await findItem(browse, server.args.path!);
  const request = CreateOneDriveForBusinessRestoreSessionRequest.create({
    artifacts: { $case: 'granularDriveRestoreArtifacts', value: { items: [{ browseSessionId: browse.id, id: item.itemKey }] } },
  });
  const session = await findSession(browse, item) ?? await server.create(
    async () => (await server.call(sessions, sessions.createOneDriveForBusinessRestoreSession, request)).restoreSession!,
    () => findSession(browse, item));
  console.log(`session: ${session.id}`);
  const get = async () => (await server.call(sessions, sessions.getRestoreSession, { restoreSessionId: session.id })).restoreSession!;
  if (session.status === SessionStatus.RESTORE_SESSION_STATUS_DRAFT) {
    await server.create(
      async () => (await server.call(sessions, sessions.activateRestoreSession, { restoreSessionId: session.id })).restoreSession!,
      async () => { const now = await get(); return now.status === SessionStatus.RESTORE_SESSION_STATUS_DRAFT ? undefined : now; });
  }
  // A draft stays one until somebody activates it, so a wait that sees the session before the activation ends with TERMINAL.
  const { status, error } = await server.find(async () => {
    const { restoreSession } = await server.wait(sessions, sessions.waitRestoreSession, WaitRestoreSessionRequest.create({ restoreSessionId: session.id, until: ended }));
    return restoreSession!.status === SessionStatus.RESTORE_SESSION_STATUS_DRAFT ? undefined : restoreSession;
  }, 'the session is still a draft');

  for (const artifact of await artifactsOf(session)) {
    const done = artifact.status === ArtifactRestoreStatus.ARTIFACT_RESTORE_STATUS_SUCCEEDED;
    console.log(done ? `restored: ${artifact.restoredItemPath}/${item.name}` : `not restored: ${error ? why(typedErrorOf(error)) : 'Graph does not say why'}`);
  }
  return status === SessionStatus.RESTORE_SESSION_STATUS_COMPLETED ? 0 : 1;
}

await run(main);
