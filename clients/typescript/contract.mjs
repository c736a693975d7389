// Usage: node contract.mjs FOLDER OUT. Writes what the stubs lack, from the JSON files of FOLDER: the service config,
// and what to do about each reason.
import { readFileSync, writeFileSync } from 'node:fs';

const [folder, out] = process.argv.slice(2);
const read = (name) => readFileSync(`${folder}/${name}`, 'utf8');
writeFileSync(`${out}/service_config.ts`, `/** Says which calls a gRPC runtime may repeat: the channel option \`grpc.service_config\`. */
export const serviceConfig = ${JSON.stringify(JSON.stringify(JSON.parse(read('service_config.json'))))};
`);
const resolutions = Object.fromEntries(JSON.parse(read('errors.json')).map(({ reason, resolution }) => [reason, resolution]));
writeFileSync(`${out}/resolutions.ts`, `/** What to do about each reason, for people. */
export const resolutions: { [reason: string]: string } = ${JSON.stringify(resolutions, null, 2)};
`);
