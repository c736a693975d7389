import com.azure.core.credential.TokenCredential;
import com.azure.core.credential.TokenRequestContext;
import com.azure.identity.ClientCertificateCredentialBuilder;
import com.azure.identity.ClientSecretCredentialBuilder;
import com.microsoft.graph.core.requests.BaseGraphRequestAdapter;
import com.microsoft.graph.serviceclient.GraphServiceClient;
import com.microsoft.kiota.authentication.AzureIdentityAuthenticationProvider;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/**
 * Microsoft's Java SDK with its own credentials, against an emulator that wants real tokens over https. Usage: Tokens
 * ORIGIN CERTIFICATE, a PEM file with certificate and key; the system property javax.net.ssl.trustStore has the
 * emulator's certificate.
 */
final class Tokens {
    private static final String TENANT = "eeeeeeee-0000-4000-8000-00000000000e";
    private static final String APP = "70000000-0000-4000-8000-000000000001";
    private static final String SCOPE = "https://graph.microsoft.com/.default";

    private static int passed;
    private static int failed;

    private interface Step {
        void run() throws Exception;
    }

    private static void step(String name, Step step) {
        try {
            step.run();
            passed++;
        } catch (Exception | AssertionError e) {
            failed++;
            System.out.println(name + ": " + e);
        }
    }

    /** Lists what the demo tenant has, with tokens of the credential. */
    private static void list(String origin, TokenCredential credential) {
        BaseGraphRequestAdapter adapter =
                new BaseGraphRequestAdapter(new AzureIdentityAuthenticationProvider(credential, new String[] {"127.0.0.1"}, SCOPE));
        adapter.setBaseUrl(origin + "/v1.0");
        GraphServiceClient client = new GraphServiceClient(adapter);
        int policies = client.solutions().backupRestore().protectionPolicies().get().getValue().size();
        if (policies != 3) {
            throw new AssertionError(policies + " policies");
        }
    }

    private static TokenCredential secret(String origin) {
        return new ClientSecretCredentialBuilder().authorityHost(origin).disableInstanceDiscovery()
                .tenantId(TENANT).clientId(APP).clientSecret("any").build();
    }

    public static void main(String[] arguments) {
        String origin = arguments[0];
        step("a secret", () -> list(origin, secret(origin)));
        step("a certificate", () -> list(origin, new ClientCertificateCredentialBuilder().authorityHost(origin)
                .disableInstanceDiscovery().tenantId(TENANT).clientId(APP).pemCertificate(arguments[1]).build()));
        step("an expired secret", () -> {
            String rule = "{\"operation\":\"POST /{tenant}/oauth2/v2.0/token\",\"code\":\"AADSTS7000222\",\"times\":1}";
            HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(origin + "/_emulator/faults"))
                    .POST(HttpRequest.BodyPublishers.ofString(rule)).build(), HttpResponse.BodyHandlers.discarding());
            try {
                secret(origin).getTokenSync(new TokenRequestContext().addScopes(SCOPE));
            } catch (RuntimeException e) {
                if (String.valueOf(e.getMessage()).contains("AADSTS7000222")) {
                    return;
                }
                throw e;
            }
            throw new AssertionError("it is good");
        });
        System.out.printf("Java's credentials: %d passed, %d failed%n", passed, failed);
        System.exit(failed);
    }
}
