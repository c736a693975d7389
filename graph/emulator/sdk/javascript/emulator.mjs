// How to point Microsoft's JavaScript client at the emulator.
import { Client, MiddlewareFactory } from "@microsoft/microsoft-graph-client";

// unsignedToken is a token for the emulator, which believes a token's claims: tid chooses the tenant, scp or roles say
// what is allowed.
export function unsignedToken(tenant) {
  const part = (claims) => Buffer.from(JSON.stringify(claims)).toString("base64url");
  const scp = "BackupRestore-Configuration.ReadWrite.All";
  return `${part({ alg: "none", typ: "JWT" })}.${part({ tid: tenant, scp })}.`;
}

// PlainHTTP does what the client does with https:// URLs only, customHosts or not: it sends the token, and it follows
// next links, which the client otherwise takes for a path and appends to the base URL.
class PlainHTTP {
  constructor(token) {
    this.token = token;
  }

  setNext(next) {
    this.next = next;
  }

  async execute(context) {
    context.request = context.request.slice(context.request.lastIndexOf("http://"));
    context.options.headers = { ...context.options.headers, Authorization: `Bearer ${this.token}` };
    await this.next.execute(context);
  }
}

// connect returns a client for a tenant of the emulator at origin, such as http://127.0.0.1:50082.
export function connect(origin, tenant) {
  const token = unsignedToken(tenant);
  // The first of the chain, the client's own authentication, removes the token from plain HTTP: PlainHTTP comes after it.
  const [authentication, ...others] = MiddlewareFactory.getDefaultMiddlewareChain({ getAccessToken: async () => token });
  return Client.initWithMiddleware({
    baseUrl: origin,
    defaultVersion: "v1.0",
    middleware: [authentication, new PlainHTTP(token), ...others],
  });
}
