import static java.util.stream.Collectors.joining;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.BadRequest.FieldViolation;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.ResourceInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import com.m365backup.backupstorage.v1.*;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.AbstractBlockingStub;
import io.grpc.stub.MetadataUtils;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import java.util.stream.IntStream;

/** Reads the typed errors of this server and prints what it would do about each: Client ADDRESS REQUEST_ID */
public final class Client {
  private static final Metadata.Key<String> PUSHBACK = key("grpc-retry-pushback-ms");
  private static final Metadata.Key<String> REQUEST_ID = key("x-request-id");
  private static final Metadata.Key<String> TENANT_ID = key("x-tenant-id");
  private static final Metadata.Key<String> USER_ASSERTION = key("x-user-assertion");

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  /** Returns the detail of a type. */
  private static <T extends Message> Optional<T> detail(Status status, Class<T> type) throws InvalidProtocolBufferException {
    for (Any packed : status.getDetailsList()) {
      if (packed.is(type)) {
        return Optional.of(packed.unpack(type));
      }
    }
    return Optional.empty();
  }

  /** Makes a call that fails, and prints its error. */
  private static <S extends AbstractBlockingStub<S>> void failed(String rpc, S stub, Function<S, Message> call)
      throws InvalidProtocolBufferException {
    try {
      call.apply(stub.withDeadlineAfter(20, TimeUnit.SECONDS));
    } catch (StatusRuntimeException e) {
      show(rpc, StatusProto.fromThrowable(e), Optional.ofNullable(e.getTrailers()).orElseGet(Metadata::new));
      return;
    }
    throw new IllegalStateException(rpc + " did not fail");
  }

  /** Prints the content of an error, and what the program would do next. */
  private static void show(String rpc, Status status, Metadata trailers) throws InvalidProtocolBufferException {
    ErrorInfo info = detail(status, ErrorInfo.class).orElse(ErrorInfo.getDefaultInstance());
    Optional<RetryInfo> retry = detail(status, RetryInfo.class);
    Optional<ResourceInfo> resource = detail(status, ResourceInfo.class);
    BadRequest badRequest = detail(status, BadRequest.class).orElse(BadRequest.getDefaultInstance());
    String fields = badRequest.getFieldViolationsList().stream().map(FieldViolation::getField).collect(joining(","));
    // gRPC runtimes obey this trailer when a service config allows retries: milliseconds, negative for never.
    Optional<Long> pushback = Optional.ofNullable(trailers.get(PUSHBACK)).map(Long::valueOf);
    // A write that may have been done: look before calling again.
    boolean unknown = info.getMetadataOrDefault("outcome", "").equals("unknown");

    // The name of an ErrorReason decides, never a message.
    String next = switch (info.getReason()) {
      case "POLICY_NOT_FOUND" -> "forget";
      case "INVALID_DISPLAY_NAME" -> "correct:" + fields;
      case "PROTECTION_UNITS_LIMIT_BREACHED" -> "split:" + info.getMetadataOrDefault("documentedLimit", "-");
      case "FORBIDDEN" -> "ask:" + info.getMetadataOrDefault("permission", "-");
      default -> retry.isPresent() ? unknown ? "look-then-wait" : "wait" : unknown ? "look" : "report";
    };

    String lastWord = status.getMessage().substring(status.getMessage().lastIndexOf(' ') + 1);
    String metadata = new TreeMap<>(info.getMetadataMap()).entrySet().stream()
        .filter(it -> !it.getKey().equals("graphDate"))
        .map(it -> it.getKey() + ":" + it.getValue().replace(' ', '_'))
        .collect(joining(","));
    System.out.println(String.join(" ", rpc,
        part("code", Code.forNumber(status.getCode()).name()),
        part("reason", info.getReason()),
        part("domain", info.getDomain()),
        part("resource", resource.map(it -> it.getResourceType() + "/" + it.getResourceName()).orElse("")),
        part("retry", retry.map(it -> it.getRetryDelay().getSeconds() + "s").orElse("")),
        part("pushback", pushback.map(ms -> ms < 0 ? "never" : ms / 1000 + "s").orElse("")),
        part("field", fields),
        part("metadata", metadata),
        part("request", trailers.get(REQUEST_ID)),
        part("planted", info.getMetadataOrDefault("graphRequestId", lastWord)),
        part("next", next)));
  }

  private static String part(String name, String value) {
    return name + "=" + (value == null || value.isEmpty() ? "-" : value);
  }

  private static Metadata metadata(Metadata.Key<String> key, String value) {
    var metadata = new Metadata();
    metadata.put(key, value);
    return metadata;
  }

  public static void main(String[] args) throws Exception {
    var channel = Grpc.newChannelBuilder(args[0], InsecureChannelCredentials.create())
        .intercept(MetadataUtils.newAttachHeadersInterceptor(metadata(REQUEST_ID, args[1])))
        .build();
    // A tenant of the emulator with an active policy for mailboxes.
    var tenantC = MetadataUtils.newAttachHeadersInterceptor(metadata(TENANT_ID, "cccccccc-0000-4000-8000-00000000000c"));
    var policies = ProtectionPolicyServiceGrpc.newBlockingStub(channel);
    var policiesOfC = policies.withInterceptors(tenantC);
    var sessions = RestoreSessionServiceGrpc.newBlockingStub(channel);
    var apps = ServiceAppServiceGrpc.newBlockingStub(channel);
    var unitsOfC = ProtectionUnitServiceGrpc.newBlockingStub(channel).withInterceptors(tenantC);
    // The token of a user of this tenant, without a signature, which the emulator does not check.
    var userC = MetadataUtils.newAttachHeadersInterceptor(metadata(USER_ASSERTION, "e30.eyJ0aWQiOiJjY2NjY2NjYy0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMGMifQ."));
    var unitsForUserOfC = unitsOfC.withInterceptors(userC);

    String nobody = "00000000-0000-4000-8000-000000000404";
    var unknownPolicy = GetProtectionPolicyRequest.newBuilder().setProtectionPolicyId(nobody).build();
    var nameless = CreateExchangeProtectionPolicyRequest.getDefaultInstance();
    var mailboxes = CreateExchangeProtectionPolicyRequest.newBuilder().setDisplayName("Mailboxes").build();
    var units = IntStream.range(0, 51).mapToObj("00000000-0000-4000-8000-%012d"::formatted)
        .map(id -> NewMailboxProtectionUnit.newBuilder().setDirectoryObjectId(id).build())
        .toList();
    var tooMany = mailboxes.toBuilder().addAllMailboxProtectionUnits(units).build();
    var activePolicy = ActivateProtectionPolicyRequest.newBuilder().setProtectionPolicyId("b71df0ed-09d4-41c7-8a7e-362675b6c0c6").build();
    var unknownSession = ActivateRestoreSessionRequest.newBuilder().setRestoreSessionId(nobody).build();
    var allPolicies = ListProtectionPoliciesRequest.getDefaultInstance();
    var sites = CreateSharePointProtectionPolicyRequest.newBuilder().setDisplayName("Sites").build();
    var drives = CreateOneDriveForBusinessProtectionPolicyRequest.newBuilder().setDisplayName("Drives").build();
    var protectedUnit = OffboardProtectionUnitRequest.newBuilder().setProtectionUnitId("e0000011-f1af-426c-8b0c-000000000003").build();
    var allApps = ListServiceAppsRequest.getDefaultInstance();

    failed("GetProtectionPolicy", policies, it -> it.getProtectionPolicy(unknownPolicy));
    failed("CreateExchangeProtectionPolicy", policies, it -> it.createExchangeProtectionPolicy(nameless));
    failed("CreateExchangeProtectionPolicy", policies, it -> it.createExchangeProtectionPolicy(tooMany));
    failed("CreateExchangeProtectionPolicy", policiesOfC, it -> it.createExchangeProtectionPolicy(mailboxes));
    failed("ActivateProtectionPolicy", policiesOfC, it -> it.activateProtectionPolicy(activePolicy));
    failed("ActivateRestoreSession", sessions, it -> it.activateRestoreSession(unknownSession));
    failed("CreateSharePointProtectionPolicy", policies, it -> it.createSharePointProtectionPolicy(sites));
    failed("CreateOneDriveForBusinessProtectionPolicy", policies, it -> it.createOneDriveForBusinessProtectionPolicy(drives));
    failed("ListServiceApps", apps, it -> it.listServiceApps(allApps));
    failed("ListProtectionPolicies", policies, it -> it.listProtectionPolicies(allPolicies));
    // Without a user this fails with DELEGATED_TOKEN_REQUIRED.
    failed("OffboardProtectionUnit", unitsForUserOfC, it -> it.offboardProtectionUnit(protectedUnit));

    // This call does not fail. The unit in its response contains an error, which says why it is not protected.
    var trailers = new AtomicReference<Metadata>();
    var response = unitsOfC.withDeadlineAfter(20, TimeUnit.SECONDS)
        .withInterceptors(MetadataUtils.newCaptureMetadataInterceptor(new AtomicReference<>(), trailers))
        .getProtectionUnit(GetProtectionUnitRequest.newBuilder().setProtectionUnitId("e0000011-f1af-426c-8b0c-000000000003").build());
    show("GetProtectionUnit", response.getProtectionUnit().getError(), trailers.get());

    channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
  }
}
