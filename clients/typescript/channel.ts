import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import * as grpc from '@grpc/grpc-js';

/**
 * Returns the credentials that the variables CLIENT_… name; ../README.md explains them. Without CLIENT_CA_FILE there is no
 * TLS, and no caller.
 */
export function channelCredentials(): grpc.ChannelCredentials {
  const { CLIENT_CA_FILE: ca, CLIENT_CERTIFICATE_FILE: certificate, CLIENT_KEY_FILE: key, CLIENT_TOKEN_FILE: token } = process.env;
  if (!ca) {
    if (certificate || key || token) throw new Error('a certificate or a token needs CLIENT_CA_FILE');
    return grpc.credentials.createInsecure();
  }
  const content = (path?: string) => (path ? readFileSync(path) : null);
  const tls = grpc.credentials.createSsl(content(ca), content(key), content(certificate));
  return token ? grpc.credentials.combineChannelCredentials(tls, tokenCredentials(token)) : tls;
}

/** Sends the token in a file. Each call reads it, because tokens expire and something else renews them. */
function tokenCredentials(path: string): grpc.CallCredentials {
  return grpc.credentials.createFromMetadataGenerator((_, done) => {
    readFile(path, 'utf8').then((token) => {
      const metadata = new grpc.Metadata();
      metadata.set('authorization', `Bearer ${token.trim()}`);
      done(null, metadata);
    }, done);
  });
}
