// The same call for a shell: with grpcurl, and with curl.
import type { JsonObject } from '@bufbuild/protobuf';
import type { Rpc } from './contract';
import { metadata } from './call';
import { server } from './store';

/** A text as one word of a POSIX shell, whatever is in it. */
export function quote(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The metadata as headers. A token of the caller stays out of the clipboard: the line reads it from a variable. */
function headers(): string[] {
  return metadata().map(([name, value]) => `-H ${name === 'authorization' ? '"authorization: Bearer $TOKEN"' : quote(`${name}: ${value}`)}`);
}

export function grpcurlLine(rpc: Rpc, request: JsonObject): string {
  const { about } = server.get();
  const address = about?.grpcAddress ?? location.hostname;
  const socket = address.startsWith('unix://');
  return [
    'grpcurl', ...(about?.grpcTls ? [] : ['-plaintext']), ...(socket ? ['-unix'] : []), ...headers(),
    ...(Object.keys(request).length > 0 ? [`-d ${quote(JSON.stringify(request))}`] : []),
    quote(socket ? address.slice('unix://'.length) : address), `${rpc.method.parent.typeName}/${rpc.name}`,
  ].join(' ');
}

export function curlLine(rpc: Rpc, request: JsonObject): string {
  const url = quote(`${location.origin}/${rpc.method.parent.typeName}/${rpc.name}`);
  const json = JSON.stringify(request);
  if (!rpc.stream) return ['curl -s', ...headers(), `-H 'content-type: application/json'`, `-d ${quote(json)}`, url].join(' ');
  // A stream has a prefix of five bytes before each message: a flag, and the length of the message.
  const length = new TextEncoder().encode(json).length;
  const octal = [24, 16, 8, 0].map((shift) => `\\${((length >>> shift) & 255).toString(8).padStart(3, '0')}`).join('');
  return [`printf '\\000${octal}%s' ${quote(json)} |`, 'curl -sN', ...headers(), `-H 'content-type: application/connect+json'`,
    `-H 'connect-protocol-version: 1'`, '--data-binary @- --output -', url].join(' ');
}
