import com.google.protobuf.Duration;
import com.m365backup.backupstorage.TypedError;
import com.m365backup.backupstorage.v1.*;
import io.grpc.Channel;
import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.StatusRuntimeException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Waits for a policy, and reads a long list of mailboxes by a stream that is cut: WaitAndStream ADDRESS */
public final class WaitAndStream {
  private WaitAndStream() {}

  /** Creates and activates a policy, waits for a second, and then until it is active. */
  private static void waitForPolicy(Channel channel) {
    var policies = ProtectionPolicyServiceGrpc.newBlockingStub(channel);
    var sites = CreateSharePointProtectionPolicyRequest.newBuilder().setDisplayName("Sites").build();
    String id = policies.createSharePointProtectionPolicy(sites).getProtectionPolicy().getId();
    policies.activateProtectionPolicy(ActivateProtectionPolicyRequest.newBuilder().setProtectionPolicyId(id).build());

    // With nothing seen the wait ends at once. Then a change ends it: another content than the one with this revision.
    var request = WaitProtectionPolicyRequest.newBuilder().setProtectionPolicyId(id).build();
    var response = policies.waitProtectionPolicy(request);
    show("wait with nothing seen", response);
    var second = Duration.newBuilder().setSeconds(1);
    show("wait for a change", policies.waitProtectionPolicy(request.toBuilder().setSeen(response.getRevision()).setMaxWait(second).build()));

    var active = request.toBuilder().addUntil(ProtectionPolicyStatus.PROTECTION_POLICY_STATUS_ACTIVE).build();
    do { // A wait lasts at most 45 s. The deadline is longer than that.
      response = policies.withDeadlineAfter(60, TimeUnit.SECONDS).waitProtectionPolicy(active);
    } while (response.getResult() == WaitResult.WAIT_RESULT_TIMED_OUT);
    show("wait until ACTIVE", response);
  }

  private static void show(String what, WaitProtectionPolicyResponse response) {
    String result = response.getResult().name().replace("WAIT_RESULT_", "");
    System.out.println(what + ": " + result + ", " + response.getProtectionPolicy().getStatus());
  }

  /** What was read of a list. */
  private static final class Read {
    private int pages;
    private final List<ProtectionUnit> units = new ArrayList<>();
    /** With its page token the next call goes on, whether it is a stream or the list. */
    private ListMailboxProtectionUnitsRequest request = ListMailboxProtectionUnitsRequest.newBuilder().setPageSize(500).build();

    void add(ListMailboxProtectionUnitsResponse page) {
      pages++;
      units.addAll(page.getProtectionUnitsList());
      request = request.toBuilder().setPageToken(page.getNextPageToken()).build();
    }

    /** Reads from a stream, up to page most. Its end, without an exception, says that the list is complete. */
    void stream(ProtectionUnitStreamServiceGrpc.ProtectionUnitStreamServiceBlockingStub streams, int most) {
      // The end of the context cancels the call.
      try (var context = Context.current().withCancellation()) {
        context.run(() -> {
          var stream = streams.streamMailboxProtectionUnits(request); // No deadline, or one of minutes.
          while (pages < most && stream.hasNext()) {
            add(stream.next());
          }
        });
      }
    }

    void show(String what) {
      System.out.println("%s: %d pages, %d units, %d ids".formatted(what, pages, units.size(), units.stream().map(ProtectionUnit::getId).distinct().count()));
    }
  }

  public static void main(String[] args) throws Exception {
    var channel = Grpc.newChannelBuilder(args[0], Credentials.fromEnvironment()).build();
    var lists = ProtectionUnitServiceGrpc.newBlockingStub(channel);
    var streams = ProtectionUnitStreamServiceGrpc.newBlockingStub(channel);
    waitForPolicy(channel);

    // The server can end a stream before the list ends: when it stops, and after ten minutes. Another one goes on.
    var whole = new Read();
    for (boolean complete = false; !complete; ) {
      try {
        whole.stream(streams, Integer.MAX_VALUE);
        complete = true;
      } catch (StatusRuntimeException e) {
        var error = TypedError.of(e);
        if (!error.reason().equals("STREAM_RESUME")) {
          throw e;
        }
        System.out.println("the stream is to be resumed");
        Thread.sleep(error.retryDelay().orElseThrow().toMillis());
      }
    }
    whole.show("stream");

    for (String way : List.of("stream", "list")) {
      var cut = new Read();
      cut.stream(streams, 2);
      if (way.equals("stream")) {
        cut.stream(streams, Integer.MAX_VALUE);
      }
      while (!cut.request.getPageToken().isEmpty()) { // Empty after the last page.
        cut.add(lists.listMailboxProtectionUnits(cut.request));
      }
      cut.show("cut after 2 pages, resumed with the " + way);
    }

    // The second page of this list fails. The first one is valid.
    int pages = 0;
    String policy = whole.units.get(0).getPolicyId();
    try {
      for (var stream = streams.streamExchangeProtectionPolicyUnits(
          ListExchangeProtectionPolicyUnitsRequest.newBuilder().setProtectionPolicyId(policy).setPageSize(500).build());
          stream.hasNext();
          stream.next()) {
        pages++;
      }
    } catch (StatusRuntimeException e) {
      System.out.println("error after " + pages + " page: " + TypedError.of(e).reason());
    }
    channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
  }
}
