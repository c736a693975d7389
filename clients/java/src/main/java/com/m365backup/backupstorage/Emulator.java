package com.m365backup.backupstorage;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Starts the emulator of Microsoft Graph's Backup Storage API for tests, and stops it.
 *
 * <pre>{@code
 * try (Emulator emulator = Emulator.start()) {
 *   emulator.seed("{\"tenant\": \"" + tenant + "\", \"serviceStatus\": \"enabled\"}");
 *   // the program under test, on emulator.url()
 *   emulator.advance(Duration.ofMinutes(5));
 * }
 * }</pre>
 *
 * <p>The program is the one of {@link Options#program}, else of the variable BACKUPSTORAGE_EMULATOR, else {@code
 * backupstorage-emulator} on PATH. {@code go build -o backupstorage-emulator ./cmd/emulator} makes it. Nothing is
 * downloaded. Bodies of control calls are JSON texts, so that no JSON library is needed.
 */
public final class Emulator implements AutoCloseable {
  /**
   * How to start it.
   *
   * @param program path of the program; empty for the one of the variable or of PATH
   * @param flags further flags, such as {@code --require-token}
   * @param tls whether to serve https, with a certificate of its own
   * @param timeout how long it may take to start
   */
  public record Options(Optional<String> program, List<String> flags, boolean tls, Duration timeout) {
    /** An emulator that is empty, and whose clock stands still until it is moved. */
    public static Options forTests() {
      return new Options(Optional.empty(), List.of("--scenario=tests", "--clock-stopped"), false, Duration.ofSeconds(10));
    }

    /** The same, over https. */
    public Options withTls() {
      return new Options(program, flags, true, timeout);
    }

    /** The same, with other flags. */
    public Options withFlags(String... other) {
      return new Options(program, List.of(other), tls, timeout);
    }
  }

  private final Process process;
  private final Path folder;
  private final String url;
  private final Optional<Path> certificate;
  private final HttpClient http;

  private Emulator(Process process, Path folder, String url, Optional<Path> certificate) {
    this.process = process;
    this.folder = folder;
    this.url = url;
    this.certificate = certificate;
    HttpClient.Builder builder = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1);
    certificate.ifPresent(path -> builder.sslContext(trusting(path)));
    this.http = builder.build();
  }

  /** Starts an emulator for tests. */
  public static Emulator start() {
    return start(Options.forTests());
  }

  /**
   * Starts an emulator.
   *
   * @throws IllegalStateException when there is no program, or when it does not start; the message says why
   */
  public static Emulator start(Options options) {
    String program =
        options.program().orElseGet(() -> System.getenv().getOrDefault("BACKUPSTORAGE_EMULATOR", "backupstorage-emulator"));
    Path folder;
    try {
      folder = Files.createTempDirectory("emulator-");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Optional<Path> certificate = options.tls() ? Optional.of(folder.resolve("certificate.pem")) : Optional.empty();
    List<String> command = new ArrayList<>(List.of(program, "--listen=127.0.0.1:0", "--exit-with-stdin"));
    command.addAll(options.flags());
    certificate.ifPresent(path -> command.add("--tls-self-signed=" + path));
    Process process = null;
    try {
      Path log = folder.resolve("log");
      process = new ProcessBuilder(command).redirectError(log.toFile()).start();
      BufferedReader out = process.inputReader(StandardCharsets.UTF_8);
      String line =
          CompletableFuture.supplyAsync(
                  () -> {
                    try {
                      return out.readLine();
                    } catch (IOException e) {
                      throw new UncheckedIOException(e);
                    }
                  })
              .get(options.timeout().toMillis(), TimeUnit.MILLISECONDS);
      if (line == null) {
        process.waitFor();
        throw new IllegalStateException(Files.readString(log).strip());
      }
      return new Emulator(process, folder, line.replace("Emulator on ", ""), certificate);
    } catch (IOException | ExecutionException | TimeoutException | InterruptedException | RuntimeException e) {
      if (process != null) {
        process.destroy();
      }
      delete(folder);
      if (e instanceof IllegalStateException already) {
        throw already;
      }
      throw new IllegalStateException(
          "the emulator did not start: " + e + "; go build -o backupstorage-emulator ./cmd/emulator makes one", e);
    }
  }

  /** Scheme, host and port, such as {@code http://127.0.0.1:40001}; Graph's root is this and {@code /v1.0}. */
  public String url() {
    return url;
  }

  /** The certificate to trust; empty without https. */
  public Optional<Path> certificate() {
    return certificate;
  }

  /** A context that trusts the certificate of an emulator with https. */
  public SSLContext sslContext() {
    return trusting(certificate.orElseThrow());
  }

  /**
   * Makes a control call, such as {@code control("GET", "clock", null, Map.of())}.
   *
   * @param body JSON, or null for none
   * @return what it answers, as JSON
   * @throws IllegalArgumentException when it is refused; the message is the emulator's
   */
  public String control(String method, String path, String body, Map<String, String> query) {
    StringBuilder target = new StringBuilder(url + "/_emulator/" + path);
    char separator = '?';
    for (Map.Entry<String, String> one : new TreeMap<>(query).entrySet()) {
      target.append(separator).append(one.getKey()).append('=').append(URLEncoder.encode(one.getValue(), StandardCharsets.UTF_8));
      separator = '&';
    }
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(target.toString()))
            .timeout(Duration.ofSeconds(30))
            .method(method, body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body))
            .build();
    try {
      HttpResponse<String> response = http.send(request, HttpResponse.BodyHandlers.ofString());
      if (response.statusCode() != 200) {
        throw new IllegalArgumentException(text(response.body(), "message"));
      }
      return response.body();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  /** Replaces the content of a tenant, or of several in a list, given as JSON. */
  public void seed(String content) {
    control("POST", "seed", content, Map.of());
  }

  /** Goes back to the start. */
  public void reset() {
    control("POST", "reset", null, Map.of());
  }

  /** Takes one tenant back to the start, which others do not notice. */
  public void reset(String tenant) {
    control("POST", "reset", null, Map.of("tenant", tenant));
  }

  /** Moves the clock. Returns the time. */
  public String advance(Duration length) {
    return advance(length, Map.of());
  }

  /** Moves the clock of one tenant's own. Returns the time. */
  public String advance(Duration length, String tenant) {
    return advance(length, Map.of("tenant", tenant));
  }

  private String advance(Duration length, Map<String, String> query) {
    return text(control("POST", "clock", "{\"advance\":\"" + length.toMillis() + "ms\"}", query), "now");
  }

  /** Adds a fault rule, or a list of them, given as JSON. */
  public void fault(String rule) {
    control("POST", "faults", rule, Map.of());
  }

  /** Adds fault rules that act on one tenant alone. */
  public void fault(String rule, String tenant) {
    control("POST", "faults", rule, Map.of("tenant", tenant));
  }

  /** Returns the ledger as JSON: all of it, or what since, tenant, operation, kind, from and to select. */
  public String ledger(Map<String, String> query) {
    return control("GET", "ledger", null, query);
  }

  /** Returns a signed token of a user, by object id or address, without a credential. */
  public String token(String tenant, String user) {
    return text(control("POST", "token", "{\"tenant\":\"" + tenant + "\",\"user\":\"" + user + "\"}", Map.of()), "token");
  }

  /** Stops the emulator; a second time does nothing. */
  @Override
  public void close() {
    try {
      process.getOutputStream().close();
      if (!process.waitFor(10, TimeUnit.SECONDS)) {
        process.destroyForcibly().waitFor();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
    delete(folder);
  }

  /** Reads one text of a flat answer. It is matched without a way back, which a long token would run the stack out by. */
  private static String text(String json, String name) {
    Matcher found = Pattern.compile("\"" + name + "\": \"([^\"\\\\]*+(?:\\\\.[^\"\\\\]*+)*+)\"").matcher(json);
    return found.find() ? found.group(1).replace("\\\"", "\"") : json;
  }

  private static SSLContext trusting(Path certificate) {
    try (InputStream in = Files.newInputStream(certificate)) {
      KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
      store.load(null, null);
      store.setCertificateEntry("emulator", CertificateFactory.getInstance("X.509").generateCertificate(in));
      TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
      trust.init(store);
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, trust.getTrustManagers(), null);
      return context;
    } catch (IOException | GeneralSecurityException e) {
      throw new IllegalStateException("the certificate of the emulator cannot be read", e);
    }
  }

  private static void delete(Path folder) {
    try (var files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.deleteIfExists(file);
      }
      Files.deleteIfExists(folder);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
