import com.m365backup.backupstorage.ServiceConfig;
import com.m365backup.backupstorage.TypedError;
import com.m365backup.backupstorage.v1.WaitResult;
import io.grpc.*;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.*;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.ToIntFunction;

/** A connection to the server: arguments, the channel, calls, pages, and waiting. */
final class Server {
  private static final int TRY_LATER = 75;

  /** Ends the program. */
  @SuppressWarnings("serial")
  static final class Stop extends RuntimeException {
    final int code;

    Stop(int code, String message) {
      super(message);
      this.code = code;
    }
  }

  final Channel channel;
  private final Map<String, String> args;
  private final Instant giveUp;

  private Server(Map<String, String> args) throws IOException {
    this.args = args;
    channel = channel(args);
    giveUp = Instant.now().plus(seconds("patience", "7200"));
  }

  String argument(String name) {
    return args.get(name);
  }

  boolean has(String flag) {
    return args.containsKey(flag);
  }

  /** Makes a call. While the server refuses it and says when to come back, it waits and repeats the call. */
  <T> T call(Supplier<T> rpc) {
    while (true) {
      try {
        return rpc.get();
      } catch (StatusRuntimeException e) {
        TypedError error = TypedError.of(e);
        if (error.outcomeUnknown() || error.retryDelay().isEmpty()) {
          throw e;
        }
        sleep(error.retryDelay().get());
      }
    }
  }

  /** Makes a call that must not be done twice. After a lost response it looks for what the call has made. */
  <T> T create(Supplier<T> rpc, Supplier<Optional<T>> look) {
    try {
      return call(rpc);
    } catch (StatusRuntimeException e) {
      if (!TypedError.of(e).outcomeUnknown()) {
        throw e;
      }
    }
    return find(look, "nobody knows whether a call was done");
  }

  /** Looks until there is something, or ends the program when --settle is over: a replica of Graph can lack what is new for a while. */
  <T> T find(Supplier<Optional<T>> look, String otherwise) {
    Instant end = Instant.now().plus(seconds("settle", "30"));
    while (true) {
      Optional<T> found = look.get();
      if (found.isPresent()) {
        return found.get();
      } else if (Instant.now().isAfter(end)) {
        throw new Stop(TRY_LATER, otherwise);
      }
      sleep(Duration.ofMillis(Math.min(2000, seconds("poll", "60").toMillis())));
    }
  }

  /** Returns the items of a list, from all its pages. */
  <R, T> List<T> pages(Function<String, R> list, Function<R, List<T>> items, Function<R, String> next) {
    var result = new ArrayList<T>();
    String token = "";
    do {
      String of = token;
      R page = call(() -> list.apply(of));
      result.addAll(items.apply(page));
      token = next.apply(page);
    } while (!token.isEmpty());
    return result;
  }

  /** Makes a call that waits until its result is another one than TIMED_OUT. Each waits a little less than its deadline. */
  <R> R await(Supplier<R> wait, Function<R, WaitResult> result) {
    R response;
    while (result.apply(response = call(wait)) == WaitResult.WAIT_RESULT_TIMED_OUT) {
      sleep(Duration.ZERO); // The program ends when --patience does.
    }
    return response;
  }

  private void sleep(Duration time) {
    if (Instant.now().plus(time).isAfter(giveUp)) {
      throw new Stop(TRY_LATER, "it takes longer than --patience");
    }
    try {
      Thread.sleep(time.toMillis());
    } catch (InterruptedException e) {
      throw new Stop(TRY_LATER, "interrupted");
    }
  }

  private Duration seconds(String name, String otherwise) {
    return Duration.ofMillis((long) (Double.parseDouble(args.getOrDefault(name, otherwise)) * 1000));
  }

  static String why(TypedError error) {
    return (error.reason().isEmpty() ? error.code() : error.reason()) + ": " + (error.resolution().isEmpty() ? error.message() : error.resolution());
  }

  private static Channel channel(Map<String, String> args) throws IOException {
    var headers = new Metadata();
    headers.put(Metadata.Key.of("x-tenant-id", Metadata.ASCII_STRING_MARSHALLER), args.get("tenant"));
    if (args.containsKey("user-token-file")) {
      headers.put(Metadata.Key.of("x-user-assertion", Metadata.ASCII_STRING_MARSHALLER), Files.readString(Path.of(args.get("user-token-file"))).strip());
    }
    if (args.containsKey("token-file")) {
      headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + Files.readString(Path.of(args.get("token-file"))).strip());
    }
    ChannelCredentials credentials = args.containsKey("ca-file")
        ? TlsChannelCredentials.newBuilder().trustManager(new File(args.get("ca-file"))).build()
        : InsecureChannelCredentials.create();
    return Grpc.newChannelBuilder(args.getOrDefault("server", "127.0.0.1:50051"), credentials)
        .defaultServiceConfig(ServiceConfig.load()).enableRetry()
        .intercept(MetadataUtils.newAttachHeadersInterceptor(headers), new ClientInterceptor() { // Each call has 30 s.
          @Override
          public <Q, R> ClientCall<Q, R> interceptCall(MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
            return next.newCall(method, options.withDeadlineAfter(30, TimeUnit.SECONDS));
          }
        })
        .build();
  }

  /** Runs a program: reads its arguments, and ends it with what a failed call says, never with a stack trace. */
  static void run(String[] line, List<String> required, List<String> flags, ToIntFunction<Server> program) {
    var args = new HashMap<String, String>();
    for (int i = 0; i < line.length; i++) {
      String name = line[i].replaceFirst("^--", "");
      if (flags.contains(name)) {
        args.put(name, "");
      } else if (line[i].startsWith("--") && i + 1 < line.length) {
        args.put(name, line[++i]);
      } else {
        args.clear();
        break;
      }
    }
    if (!args.keySet().containsAll(required)) {
      System.err.println("Arguments: --" + String.join(" … --", required) + " … [--" + String.join("] [--", flags) + "]\n"
          + "  [--server HOST:PORT] [--user-token-file FILE] [--ca-file FILE] [--token-file FILE]\n"
          + "  [--poll SECONDS] [--settle SECONDS] [--patience SECONDS]");
      System.exit(2);
    }
    try {
      System.exit(program.applyAsInt(new Server(args)));
    } catch (StatusRuntimeException e) {
      TypedError error = TypedError.of(e);
      System.err.println(error.metadata().getOrDefault("operation", "a call") + " failed: " + why(error));
      System.exit(error.outcomeUnknown() ? TRY_LATER : 1);
    } catch (Stop e) {
      System.err.println(e.getMessage());
      System.exit(e.code);
    } catch (IOException | IllegalArgumentException | DateTimeParseException e) {
      System.err.println("a file or an argument cannot be read: " + e.getMessage());
      System.exit(2);
    }
  }
}
