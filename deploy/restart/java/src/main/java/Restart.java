import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.EquivalentAddressGroup;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.NameResolverRegistry;
import io.grpc.Status;
import io.grpc.StatusOr;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Makes the calls that it reads, on one channel over all replicas: Restart ADDRESSES CONFIG.
 *
 * <p>ADDRESSES are separated by commas; CONFIG is the file of a service config. Each line of standard input is a call as
 * JSON, and each line of standard output is how one ended. Nothing is retried.
 */
public final class Restart {
  record Question(int id, String method, String request, Map<String, String> metadata, double deadline) {}

  record Answer(int id, int code, String message, boolean details, String peer, String response) {}

  private static final Gson GSON = new Gson();
  private static final Metadata.Key<byte[]> DETAILS = Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

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

  /** Returns all replicas, as a name with an address for each would. */
  private static final class Replicas extends NameResolverProvider {
    private final List<EquivalentAddressGroup> groups;

    Replicas(String addresses) {
      groups = Arrays.stream(addresses.split(",")).map(address -> {
        int colon = address.lastIndexOf(':');
        return new EquivalentAddressGroup(new InetSocketAddress(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1))));
      }).toList();
    }

    @Override
    public NameResolver newNameResolver(URI target, NameResolver.Args args) {
      return new NameResolver() {
        private Listener2 listener;

        @Override
        public String getServiceAuthority() {
          return "replicas";
        }

        @Override
        public void start(Listener2 listener) {
          this.listener = listener;
          refresh();
        }

        @Override
        public void refresh() {
          listener.onResult(ResolutionResult.newBuilder().setAddressesOrError(StatusOr.fromValue(groups)).build());
        }

        @Override
        public void shutdown() {}
      };
    }

    @Override
    protected boolean isAvailable() {
      return true;
    }

    @Override
    protected int priority() {
      return 5;
    }

    @Override
    public String getDefaultScheme() {
      return "replicas";
    }
  }

  public static void main(String[] args) throws IOException, InterruptedException {
    NameResolverRegistry.getDefaultRegistry().register(new Replicas(args[0]));
    Map<String, ?> config = GSON.fromJson(Files.readString(Path.of(args[1])), new TypeToken<Map<String, Object>>() {});
    ManagedChannel channel =
        Grpc.newChannelBuilder("replicas:///", InsecureChannelCredentials.create()).disableRetry().defaultServiceConfig(config).build();
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      make(channel, GSON.fromJson(line, Question.class));
    }
    channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
  }

  private static void make(ManagedChannel channel, Question question) {
    MethodDescriptor<byte[], byte[]> method = MethodDescriptor.<byte[], byte[]>newBuilder()
        .setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName(question.method().substring(1))
        .setRequestMarshaller(BYTES)
        .setResponseMarshaller(BYTES)
        .build();
    Metadata sent = new Metadata();
    question.metadata().forEach((key, value) -> sent.put(Metadata.Key.of(key, Metadata.ASCII_STRING_MARSHALLER), value));
    CallOptions options = CallOptions.DEFAULT.withDeadlineAfter((long) (question.deadline() * 1000), TimeUnit.MILLISECONDS);
    ClientCall<byte[], byte[]> call = channel.newCall(method, options);
    call.start(new ClientCall.Listener<>() {
      private byte[] response = {};

      @Override
      public void onMessage(byte[] message) {
        response = message;
      }

      @Override
      public void onClose(Status status, Metadata trailer) {
        // A call that reached no replica has none.
        SocketAddress remote = call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
        String peer = remote instanceof InetSocketAddress a ? a.getAddress().getHostAddress() + ":" + a.getPort() : "";
        print(new Answer(question.id(), status.getCode().value(), status.getDescription(), trailer.containsKey(DETAILS), peer,
            Base64.getEncoder().encodeToString(response)));
      }
    }, sent);
    call.request(2);
    call.sendMessage(Base64.getDecoder().decode(question.request()));
    call.halfClose();
  }

  private static synchronized void print(Answer answer) {
    System.out.println(GSON.toJson(answer));
  }
}
