// Microsoft's JavaScript client with its own credential, against an emulator that wants real tokens over https.
// Usage: tokens.mjs ORIGIN, with NODE_EXTRA_CA_CERTS.
import { ClientSecretCredential } from "@azure/identity";
import { Client } from "@microsoft/microsoft-graph-client";
import { TokenCredentialAuthenticationProvider } from "@microsoft/microsoft-graph-client/authProviders/azureTokenCredentials/index.js";

const [origin] = process.argv.slice(2);
const tenant = "eeeeeeee-0000-4000-8000-00000000000e";
const app = "70000000-0000-4000-8000-000000000001";
const scopes = ["https://graph.microsoft.com/.default"];
let passed = 0, failed = 0;

async function step(name, what) {
  try {
    await what();
    passed++;
  } catch (error) {
    failed++;
    console.log(`${name}: ${error}`);
  }
}

const credential = (secret) => new ClientSecretCredential(tenant, app, secret, { authorityHost: origin, disableInstanceDiscovery: true });

await step("a secret", async () => {
  const authProvider = new TokenCredentialAuthenticationProvider(credential("any"), { scopes });
  const graph = Client.initWithMiddleware({ authProvider, baseUrl: origin, defaultVersion: "v1.0", customHosts: new Set(["127.0.0.1"]) });
  const { value } = await graph.api("/solutions/backupRestore/protectionPolicies").get();
  if (value.length !== 3) throw new Error(`${value.length} policies`);
  const { value: users } = await graph.api("/users").filter("startswith(displayName,'Marta')").get();
  if (users[0].displayName !== "Marta Lindqvist") throw new Error(JSON.stringify(users));
});
await step("an expired secret", async () => {
  const rule = { operation: "POST /{tenant}/oauth2/v2.0/token", code: "AADSTS7000222", times: 1 };
  await fetch(`${origin}/_emulator/faults`, { method: "POST", body: JSON.stringify(rule) });
  try {
    await credential("old").getToken(scopes);
  } catch (error) {
    if (String(error).includes("AADSTS7000222")) return;
    throw error;
  }
  throw new Error("it is good");
});
console.log(`JavaScript's credential: ${passed} passed, ${failed} failed`);
process.exit(failed);
