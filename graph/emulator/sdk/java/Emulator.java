import com.microsoft.graph.core.requests.BaseGraphRequestAdapter;
import com.microsoft.graph.serviceclient.GraphServiceClient;
import com.microsoft.kiota.authentication.AuthenticationProvider;
import java.nio.charset.StandardCharsets;
import java.util.Base64;

/** How to point Microsoft's Java SDK at the emulator. */
final class Emulator {
    private Emulator() {}

    /**
     * A token for the emulator, which believes a token's claims: tid chooses the tenant. With neither scp nor roles,
     * everything is allowed.
     */
    static String unsignedToken(String tenant) {
        return part("{\"alg\":\"none\",\"typ\":\"JWT\"}") + "." + part("{\"tid\":\"" + tenant + "\"}") + ".";
    }

    private static String part(String claims) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(claims.getBytes(StandardCharsets.UTF_8));
    }

    /** A client for a tenant of the emulator at origin, such as http://127.0.0.1:50082. */
    static GraphServiceClient connect(String origin, String tenant) {
        // Always the same token: nobody has to sign in for the emulator.
        String token = "Bearer " + unsignedToken(tenant);
        AuthenticationProvider provider = (request, context) -> request.headers.tryAdd("Authorization", token);
        BaseGraphRequestAdapter adapter = new BaseGraphRequestAdapter(provider);
        adapter.setBaseUrl(origin + "/v1.0"); // before the client is made, which keeps it
        return new GraphServiceClient(adapter);
    }
}
