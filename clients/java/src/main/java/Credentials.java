import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.CompositeChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executor;

/** The credentials of the channel. */
final class Credentials {
  private Credentials() {}

  /**
   * Returns the credentials that the variables CLIENT_… name; README.md of clients explains them. Without CLIENT_CA_FILE
   * there is no TLS, and no caller.
   */
  static ChannelCredentials fromEnvironment() throws IOException {
    String ca = System.getenv("CLIENT_CA_FILE");
    String certificate = System.getenv("CLIENT_CERTIFICATE_FILE");
    String key = System.getenv("CLIENT_KEY_FILE");
    String token = System.getenv("CLIENT_TOKEN_FILE");
    if (ca == null) {
      if (certificate != null || key != null || token != null) {
        throw new IllegalArgumentException("a certificate or a token needs CLIENT_CA_FILE");
      }
      return InsecureChannelCredentials.create();
    }
    if ((certificate == null) != (key == null)) {
      throw new IllegalArgumentException("CLIENT_CERTIFICATE_FILE and CLIENT_KEY_FILE need each other");
    }
    var tls = TlsChannelCredentials.newBuilder().trustManager(new File(ca));
    if (certificate != null) {
      tls.keyManager(new File(certificate), new File(key));
    }
    return token == null ? tls.build() : CompositeChannelCredentials.create(tls.build(), new TokenFile(Path.of(token)));
  }

  /** Sends the token in a file. Each call reads it, because tokens expire and something else renews them. */
  private static final class TokenFile extends CallCredentials {
    private static final Metadata.Key<String> AUTHORIZATION = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private final Path path;

    TokenFile(Path path) {
      this.path = path;
    }

    @Override
    public void applyRequestMetadata(RequestInfo request, Executor executor, MetadataApplier applier) {
      executor.execute(() -> {
        try {
          var headers = new Metadata();
          headers.put(AUTHORIZATION, "Bearer " + Files.readString(path).strip());
          applier.apply(headers);
        } catch (IOException e) {
          applier.fail(Status.UNAUTHENTICATED.withDescription("the token cannot be read").withCause(e));
        }
      });
    }
  }
}
