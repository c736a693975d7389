import com.m365backup.backupstorage.Emulator;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Uses the launcher as a test of somebody would. Prints one line at the end. */
public final class Launcher {
  private static final String TENANT = "77777777-0000-4000-8000-000000000007";
  private static final String POLICIES = "/solutions/backupRestore/protectionPolicies";

  public static void main(String[] arguments) throws Exception {
    Emulator.Options plain = Emulator.Options.forTests().withFlags("--scenario=tests", "--clock-stopped", "--require-token");
    for (Emulator.Options options : List.of(plain, plain.withTls())) {
      Emulator started;
      try (Emulator emulator = Emulator.start(options)) {
        started = emulator;
        check(emulator.url().startsWith(options.tls() ? "https:" : "http:"), emulator.url());
        emulator.seed(
            "{\"tenant\":\"" + TENANT + "\",\"serviceStatus\":\"enabled\",\"people\":[{\"mail\":\"ada@corp.example\"}],"
                + "\"policies\":[{\"workload\":\"exchange\",\"units\":1,\"displayName\":\"Mail\"}]}");
        check(get(emulator, POLICIES).body().contains("\"displayName\":\"Mail\""), "the seeded policy is missing");
        String before = emulator.control("GET", "clock", null, Map.of());
        emulator.advance(Duration.ofMinutes(5), TENANT);
        check(emulator.control("GET", "clock", null, Map.of()).equals(before), "the clock of others moved");
        emulator.fault("{\"operation\":\"GET /protectionPolicies\",\"status\":503,\"times\":1}", TENANT);
        check(get(emulator, POLICIES).statusCode() == 503, "the rule does not act");
        check(emulator.ledger(Map.of("tenant", TENANT, "operation", "GET /protectionPolicies")).contains("503"), "the ledger is empty");
        emulator.reset(TENANT);
        check(!emulator.ledger(Map.of("tenant", TENANT)).contains("503"), "the ledger is not empty");
        refused("peeple", () -> emulator.seed("{\"tenant\":\"" + TENANT + "\",\"peeple\":[]}"));
      }
      check(started.certificate().map(Files::notExists).orElse(true), "the certificate is left behind");
    }
    refused("--scenario must be", () -> Emulator.start(plain.withFlags("--scenario=x")));
    refused("did not start", () -> Emulator.start(new Emulator.Options(Optional.of("/nowhere/emulator"), List.of(), false, Duration.ofSeconds(5))));
    System.out.println("Java: ok");
  }

  private static HttpResponse<String> get(Emulator emulator, String path) throws Exception {
    HttpClient.Builder client = HttpClient.newBuilder();
    if (emulator.certificate().isPresent()) {
      client.sslContext(emulator.sslContext());
    }
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(emulator.url() + "/v1.0" + path))
            .header("Authorization", "Bearer " + emulator.token(TENANT, "ada@corp.example"))
            .build();
    return client.build().send(request, HttpResponse.BodyHandlers.ofString());
  }

  private static void check(boolean holds, String otherwise) {
    if (!holds) {
      throw new AssertionError(otherwise);
    }
  }

  private static void refused(String says, Runnable what) {
    try {
      what.run();
    } catch (IllegalStateException | IllegalArgumentException e) {
      check(e.getMessage().contains(says), e.getMessage());
      return;
    }
    throw new AssertionError("nothing was refused");
  }
}
