import com.google.protobuf.Timestamp;
import com.m365backup.backupstorage.TypedError;
import com.m365backup.backupstorage.v1.*;
import java.time.Instant;
import java.util.*;
import java.util.function.Supplier;

/**
 * Restores a mailbox to the last restore point before a time:
 *
 * <pre>RestoreMailbox --tenant GUID --mailbox ADDRESS|OBJECT_ID --at 2026-11-20T08:00:00Z</pre>
 *
 * <p>into a new folder, or with {@code --in-place} over what is there now. An address needs {@code --user-token-file}.
 * The program can be run again at any time: it goes on with the session that it finds for the same point and
 * destination, and shows one that has succeeded; {@code --again} restores once more. Exit code 0: restored. 1: not
 * restored. 75: run it again.
 */
public final class RestoreMailbox {
  private static final Set<RestoreSessionStatus> ENDED = EnumSet.of(RestoreSessionStatus.RESTORE_SESSION_STATUS_COMPLETED,
      RestoreSessionStatus.RESTORE_SESSION_STATUS_COMPLETED_WITH_ERROR, RestoreSessionStatus.RESTORE_SESSION_STATUS_FAILED);

  private final Server server;
  private final ProtectionUnitServiceGrpc.ProtectionUnitServiceBlockingStub units;
  private final RestorePointServiceGrpc.RestorePointServiceBlockingStub points;
  private final RestoreSessionServiceGrpc.RestoreSessionServiceBlockingStub sessions;
  private final RestoreArtifactServiceGrpc.RestoreArtifactServiceBlockingStub artifacts;

  private RestoreMailbox(Server server) {
    this.server = server;
    units = ProtectionUnitServiceGrpc.newBlockingStub(server.channel);
    points = RestorePointServiceGrpc.newBlockingStub(server.channel);
    sessions = RestoreSessionServiceGrpc.newBlockingStub(server.channel);
    artifacts = RestoreArtifactServiceGrpc.newBlockingStub(server.channel);
  }

  private int run() {
    Instant at = Instant.parse(server.argument("at"));
    ProtectionUnit unit = unit(server.argument("mailbox"));
    RestorePoint point = point(unit, at);
    System.out.println("restore point: " + time(point.getProtectionDateTime()) + " of unit " + unit.getId());

    DestinationType destination = server.has("in-place") ? DestinationType.DESTINATION_TYPE_IN_PLACE : DestinationType.DESTINATION_TYPE_NEW;
    Supplier<Optional<RestoreSession>> look = () -> session(point, destination);
    RestoreSession session = look.get().orElse(null);
    if (session == null) {
      var artifact = NewMailboxRestoreArtifact.newBuilder()
          .setRestorePoint(RestorePointReference.newBuilder().setId(point.getId()))
          .setDestinationType(destination);
      var request = CreateExchangeRestoreSessionRequest.newBuilder()
          .setMailboxRestoreArtifacts(NewMailboxRestoreArtifacts.newBuilder().addItems(artifact))
          .build();
      session = server.create(() -> sessions.createExchangeRestoreSession(request).getRestoreSession(), look);
    }
    String id = session.getId();
    System.out.println("session: " + id);
    Supplier<RestoreSession> get = () -> server.call(
        () -> sessions.getRestoreSession(GetRestoreSessionRequest.newBuilder().setRestoreSessionId(id).build()).getRestoreSession());
    if (session.getStatus() == RestoreSessionStatus.RESTORE_SESSION_STATUS_DRAFT) {
      var request = ActivateRestoreSessionRequest.newBuilder().setRestoreSessionId(id).build();
      server.create(() -> sessions.activateRestoreSession(request).getRestoreSession(),
          () -> Optional.of(get.get()).filter(it -> it.getStatus() != RestoreSessionStatus.RESTORE_SESSION_STATUS_DRAFT));
    }
    var wait = WaitRestoreSessionRequest.newBuilder().setRestoreSessionId(id).addAllUntil(ENDED).build();
    // A draft stays one until somebody activates it, so a wait that sees the session before the activation ends with TERMINAL.
    session = server.find(() -> Optional.of(server.await(() -> sessions.waitRestoreSession(wait), WaitRestoreSessionResponse::getResult).getRestoreSession())
        .filter(it -> it.getStatus() != RestoreSessionStatus.RESTORE_SESSION_STATUS_DRAFT), "the session is still a draft");

    for (RestoreArtifact artifact : artifacts(id)) {
      if (artifact.getStatus() == ArtifactRestoreStatus.ARTIFACT_RESTORE_STATUS_SUCCEEDED) {
        String where = artifact.getMailbox().getRestoredFolderName();
        System.out.println("restored: " + (where.isEmpty() ? "in place" : "into the folder " + where));
      } else {
        System.out.println("not restored: " + Server.why(TypedError.of(artifact.getError())));
      }
    }
    return session.getStatus() == RestoreSessionStatus.RESTORE_SESSION_STATUS_COMPLETED ? 0 : 1;
  }

  /** Returns the unit of a mailbox, by the address or the object id of its user. */
  private ProtectionUnit unit(String mailbox) {
    var filter = ProtectionUnitFilter.newBuilder();
    var request = ListMailboxProtectionUnitsRequest.newBuilder()
        .setFilter(mailbox.contains("@") ? filter.addEmails(mailbox) : filter.addDirectoryObjectIds(mailbox));
    return server.pages(token -> units.listMailboxProtectionUnits(request.setPageToken(token).build()),
            ListMailboxProtectionUnitsResponse::getProtectionUnitsList, ListMailboxProtectionUnitsResponse::getNextPageToken)
        .stream().findFirst()
        .orElseThrow(() -> new Server.Stop(1, mailbox + " is not and was not protected" + (mailbox.contains("@") ? ", or the token is not a user's" : "")));
  }

  /** Returns the last restore point of a unit before a time. */
  private RestorePoint point(ProtectionUnit unit, Instant before) {
    var request = ListRestorePointsRequest.newBuilder().setProtectionUnitId(unit.getId())
        .setProtectionDateTimeBefore(Timestamp.newBuilder().setSeconds(before.getEpochSecond()).setNanos(before.getNano()))
        .setOrder(RestorePointOrder.RESTORE_POINT_ORDER_NEWEST_FIRST);
    return server.pages(token -> points.listRestorePoints(request.setPageToken(token).build()),
            ListRestorePointsResponse::getRestorePointsList, ListRestorePointsResponse::getNextPageToken)
        .stream().findFirst().orElseThrow(() -> new Server.Stop(1, "there is no restore point before " + before));
  }

  /** Returns a session that restores this point alone to this destination, unless it has failed. */
  private Optional<RestoreSession> session(RestorePoint point, DestinationType destination) {
    var request = ListRestoreSessionsRequest.newBuilder();
    return server.pages(token -> sessions.listRestoreSessions(request.setPageToken(token).build()),
            ListRestoreSessionsResponse::getRestoreSessionsList, ListRestoreSessionsResponse::getNextPageToken)
        .stream()
        .filter(it -> it.getWorkload() == Workload.WORKLOAD_EXCHANGE && it.getRestoreJobType() != RestoreJobType.RESTORE_JOB_TYPE_BULK)
        .filter(it -> !ended(it) || it.getStatus() == RestoreSessionStatus.RESTORE_SESSION_STATUS_COMPLETED && !server.has("again"))
        .filter(it -> {
          List<RestoreArtifact> found = artifacts(it.getId());
          return found.size() == 1 && found.get(0).getRestorePoint().getId().equals(point.getId())
              && found.get(0).getDestinationType() == destination && found.get(0).getMailbox().getSearchResponseId().isEmpty();
        })
        .findFirst();
  }

  private List<RestoreArtifact> artifacts(String session) {
    var request = ListMailboxRestoreArtifactsRequest.newBuilder().setRestoreSessionId(session);
    return server.pages(token -> artifacts.listMailboxRestoreArtifacts(request.setPageToken(token).build()),
        ListMailboxRestoreArtifactsResponse::getRestoreArtifactsList, ListMailboxRestoreArtifactsResponse::getNextPageToken);
  }

  private static boolean ended(RestoreSession session) {
    return ENDED.contains(session.getStatus());
  }

  private static Instant time(Timestamp at) {
    return Instant.ofEpochSecond(at.getSeconds(), at.getNanos());
  }

  public static void main(String[] line) {
    Server.run(line, List.of("tenant", "mailbox", "at"), List.of("in-place", "again"), server -> new RestoreMailbox(server).run());
  }
}
