import com.m365backup.backupstorage.TypedError;
import com.m365backup.backupstorage.v1.*;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** Creates a policy although the answer to the first call is lost: RepeatWithKey ADDRESS */
public final class RepeatWithKey {
  private static final Metadata.Key<String> REPLAY = Metadata.Key.of("x-idempotent-replay", Metadata.ASCII_STRING_MARSHALLER);

  private RepeatWithKey() {}

  /** A policy, and whether the call was a repetition of one that was done. */
  private record Created(String id, boolean repeated) {}

  private static Created create(ProtectionPolicyServiceGrpc.ProtectionPolicyServiceBlockingStub policies, CreateSharePointProtectionPolicyRequest request) {
    var headers = new AtomicReference<Metadata>();
    var trailers = new AtomicReference<Metadata>();
    var response = policies
        .withDeadlineAfter(20, TimeUnit.SECONDS)
        .withInterceptors(MetadataUtils.newCaptureMetadataInterceptor(headers, trailers))
        .createSharePointProtectionPolicy(request);
    return new Created(response.getProtectionPolicy().getId(), "true".equals(trailers.get().get(REPLAY)));
  }

  private static String createAtLast(ProtectionPolicyServiceGrpc.ProtectionPolicyServiceBlockingStub policies, CreateSharePointProtectionPolicyRequest request)
      throws InterruptedException {
    for (int n = 1; ; n++) {
      try {
        var created = create(policies, request);
        System.out.println("call " + n + ": OK, repeated: " + created.repeated());
        return created.id();
      } catch (StatusRuntimeException e) {
        var error = TypedError.of(e);
        System.out.println("call " + n + ": " + error.reason() + ", outcome unknown: " + error.outcomeUnknown());
        // With a key it is safe to call again when nobody knows what was done. Without one a program looks first.
        if (n == 5 || !error.outcomeUnknown() && error.retryDelay().isEmpty()) {
          throw e;
        }
        Thread.sleep(Math.max(100, error.retryDelay().orElse(Duration.ZERO).toMillis()));
      }
    }
  }

  public static void main(String[] args) throws Exception {
    var channel = Grpc.newChannelBuilder(args[0], Credentials.fromEnvironment()).build();
    var policies = ProtectionPolicyServiceGrpc.newBlockingStub(channel);
    // A key for this write alone. A program that may die before it is done keeps it, with the request.
    String key = UUID.randomUUID().toString();
    var request = CreateSharePointProtectionPolicyRequest.newBuilder().setDisplayName("Sites").setIdempotencyKey(key).build();
    String id = createAtLast(policies, request);
    var again = create(policies, request);
    System.out.println("the same again: the same policy: " + again.id().equals(id) + ", repeated: " + again.repeated());
    try { // Another request needs a key of its own.
      create(policies, request.toBuilder().setDisplayName("Other sites").build());
    } catch (StatusRuntimeException e) {
      System.out.println("another request with the key: " + TypedError.of(e).reason());
    }
    var list = policies.withDeadlineAfter(20, TimeUnit.SECONDS).listProtectionPolicies(ListProtectionPoliciesRequest.getDefaultInstance());
    System.out.println("policies: " + list.getProtectionPoliciesCount());
    channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
  }
}
