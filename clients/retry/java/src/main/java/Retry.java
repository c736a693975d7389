import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.CallOptions;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Makes calls with a service config and prints how they ended: Retry ADDRESS CONFIG CALLS.
 *
 * <p>CONFIG is a file, or empty for none. CALLS is a list of calls as JSON; the program makes them one after the other
 * on one channel. It prints a list as JSON, with an object for each call.
 */
public final class Retry {
  record Call(String method, String request, String tenant, String requestId, double deadline) {}

  /**
   * How a call ended, after the retries of the runtime. The delay is that of RetryInfo, 0 without one. Both times are
   * in seconds.
   */
  record Result(String code, String reason, String pushback, double retryDelay, double elapsed) {}

  private static final Metadata.Key<String> PUSHBACK = key("grpc-retry-pushback-ms");

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  /** Takes messages that are already encoded, so that no stubs are needed. */
  private static final MethodDescriptor.Marshaller<byte[]> BYTES = new MethodDescriptor.Marshaller<>() {
    @Override
    public InputStream stream(byte[] value) {
      return new ByteArrayInputStream(value);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  };

  public static void main(String[] args) throws IOException, InterruptedException {
    Gson gson = new Gson();
    ManagedChannelBuilder<?> builder = Grpc.newChannelBuilder(args[0], InsecureChannelCredentials.create());
    if (!args[1].isEmpty()) {
      Map<String, ?> config = gson.fromJson(Files.readString(Path.of(args[1])), new TypeToken<Map<String, Object>>() {});
      builder.enableRetry().defaultServiceConfig(config);
    }
    ManagedChannel channel = builder.build();
    List<Result> results = new ArrayList<>();
    for (Call call : gson.fromJson(args[2], new TypeToken<List<Call>>() {})) {
      results.add(invoke(channel, call));
    }
    System.out.println(gson.toJson(results));
    channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
  }

  private static Result invoke(ManagedChannel channel, Call call) {
    MethodDescriptor<byte[], byte[]> method = MethodDescriptor.<byte[], byte[]>newBuilder()
        .setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName(call.method())
        .setRequestMarshaller(BYTES)
        .setResponseMarshaller(BYTES)
        .build();
    Metadata sent = new Metadata();
    sent.put(key("x-tenant-id"), call.tenant());
    sent.put(key("x-request-id"), call.requestId());
    AtomicReference<Metadata> trailer = new AtomicReference<>();
    var intercepted = ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(sent),
        MetadataUtils.newCaptureMetadataInterceptor(new AtomicReference<>(), trailer));
    CallOptions options = CallOptions.DEFAULT.withDeadlineAfter((long) (call.deadline() * 1000), TimeUnit.MILLISECONDS);
    byte[] request = Base64.getDecoder().decode(call.request());
    String code = "OK";
    ErrorInfo info = ErrorInfo.getDefaultInstance();
    RetryInfo retry = RetryInfo.getDefaultInstance();
    long start = System.nanoTime();
    try {
      ClientCalls.blockingUnaryCall(intercepted, method, options, request);
    } catch (StatusRuntimeException e) {
      code = e.getStatus().getCode().name();
      info = detail(e, ErrorInfo.class, info);
      retry = detail(e, RetryInfo.class, retry);
    }
    double elapsed = (System.nanoTime() - start) / 1e9;
    double delay = retry.getRetryDelay().getSeconds() + retry.getRetryDelay().getNanos() / 1e9;
    String pushback = trailer.get() == null ? null : trailer.get().get(PUSHBACK);
    return new Result(code, info.getReason(), pushback == null ? "" : pushback, delay, elapsed);
  }

  /** Returns the detail of a type, or the default: an error of the runtime itself has no details. */
  private static <T extends Message> T detail(StatusRuntimeException e, Class<T> kind, T none) {
    com.google.rpc.Status status = StatusProto.fromThrowable(e);
    for (Any detail : status == null ? List.<Any>of() : status.getDetailsList()) {
      if (detail.is(kind)) {
        try {
          return detail.unpack(kind);
        } catch (InvalidProtocolBufferException broken) {
          throw new IllegalStateException(broken);
        }
      }
    }
    return none;
  }
}
