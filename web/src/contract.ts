// The contract as the server describes it: services, rpcs, reasons, and the comments of all of them. Nothing here is
// generated: a new rpc is on the page as soon as the server has it.
import {
  createFileRegistry, fromBinary, getOption, hasOption, toJson,
  type DescExtension, type DescMethod, type DescService, type FileRegistry, type JsonObject, type Message,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema, type DescriptorProto, type EnumDescriptorProto, type FileDescriptorProto } from '@bufbuild/protobuf/wkt';

const contractPackage = 'm365.backupstorage.v1';

/** The option `graph_call` of an rpc, in the names of the proto. */
export interface GraphCall {
  method?: string;
  path?: string;
  permission?: string;
  delegated_only?: boolean;
  docs?: string;
  errors?: string[];
  effect?: string;
  verify_with?: string;
  of?: string;
}

/** The option `error_spec` of a reason, and the comment of the reason. */
export interface Reason {
  name: string;
  comment: string;
  code?: string;
  retry?: string;
  retry_delay?: string;
  fault?: string;
  domain?: string;
  summary?: string;
  resolution?: string;
  graph_code?: string[];
  side_effects?: string;
  planned?: boolean;
}

export interface Rpc {
  /** Service and method, such as `RestorePointService/ListRestorePoints`. It is unique. */
  id: string;
  service: string;
  name: string;
  comment: string;
  method: DescMethod;
  stream: boolean;
  /** That of the rpc with which it reads, where it has none of its own. */
  graph: GraphCall;
  /** What the search looks through, in lower case. */
  words: string;
}

export interface Service {
  name: string;
  comment: string;
  rpcs: Rpc[];
}

export interface Contract {
  registry: FileRegistry;
  services: Service[];
  rpcs: Map<string, Rpc>;
  reasons: Map<string, Reason>;
  /** The comment of a message, field, enum, value, service or rpc, by its full name. */
  comments: Map<string, string>;
}

export async function loadContract(): Promise<Contract> {
  const response = await fetch('contract.binpb');
  if (!response.ok) throw new Error(`The server sent no contract: HTTP ${response.status}`);
  return readContract(new Uint8Array(await response.arrayBuffer()));
}

export function readContract(bytes: Uint8Array): Contract {
  const set = fromBinary(FileDescriptorSetSchema, bytes);
  const registry = createFileRegistry(set);
  const comments = new Map<string, string>();
  for (const file of set.file) if (file.package === contractPackage || file.package === 'google.rpc') collectComments(file, comments);
  const contract: Contract = { registry, services: [], rpcs: new Map(), reasons: new Map(), comments };
  for (const file of registry.files) {
    for (const service of file.services) {
      if (file.proto.package === contractPackage) contract.services.push(readService(contract, service));
    }
  }
  contract.services.sort((a, b) => a.name.localeCompare(b.name));
  for (const rpc of contract.rpcs.values()) if (rpc.graph.of) rpc.graph = { ...contract.rpcs.get(rpc.graph.of)?.graph, of: rpc.graph.of };
  readReasons(contract);
  return contract;
}

function readService(contract: Contract, service: DescService): Service {
  const rpcs = service.methods.map((method): Rpc => {
    const comment = contract.comments.get(`${service.typeName}.${method.name}`) ?? '';
    const graph = (option(contract, 'graph_call', method) ?? {}) as GraphCall;
    const words = [method.name, spaced(method.name), graph.path, comment].join(' ').toLowerCase();
    const rpc = {
      id: `${service.name}/${method.name}`, service: service.name, name: method.name, comment, method, graph, words,
      stream: method.methodKind === 'server_streaming',
    };
    contract.rpcs.set(rpc.id, rpc);
    return rpc;
  });
  return { name: service.name, comment: contract.comments.get(service.typeName) ?? '', rpcs };
}

function readReasons(contract: Contract): void {
  const reasons = contract.registry.getEnum(`${contractPackage}.ErrorReason`);
  for (const value of reasons?.values ?? []) {
    const spec = option(contract, 'error_spec', value);
    if (!spec) continue;
    const comment = contract.comments.get(`${reasons?.typeName}.${value.name}`) ?? '';
    contract.reasons.set(value.name, { ...(spec as Partial<Reason>), name: value.name, comment });
  }
}

/** An option of this contract as JSON in the names of the proto; undefined where it is not set. */
function option(contract: Contract, name: string, on: Parameters<typeof getOption>[0]): JsonObject | undefined {
  const extension = contract.registry.getExtension(`${contractPackage}.${name}`) as DescExtension | undefined;
  if (extension?.message === undefined || !hasOption(on as never, extension as never)) return undefined;
  const value = getOption(on as never, extension as never) as Message;
  return toJson(extension.message, value, { registry: contract.registry, useProtoFieldName: true }) as JsonObject;
}

/** Comments stand in the source info of a file, by the path of what they describe. */
function collectComments(file: FileDescriptorProto, into: Map<string, string>): void {
  const at = new Map<string, string>();
  for (const { path, leadingComments } of file.sourceCodeInfo?.location ?? []) {
    if (leadingComments) at.set(path.join(), tidy(leadingComments));
  }
  const add = (path: number[], name: string) => {
    const comment = at.get(path.join());
    if (comment) into.set(name, comment);
  };
  const addEnum = (path: number[], scope: string, descriptor: EnumDescriptorProto) => {
    add(path, `${scope}.${descriptor.name}`);
    descriptor.value.forEach((value, i) => add([...path, 2, i], `${scope}.${descriptor.name}.${value.name}`));
  };
  const addMessage = (path: number[], scope: string, descriptor: DescriptorProto) => {
    const name = `${scope}.${descriptor.name}`;
    add(path, name);
    descriptor.field.forEach((field, i) => add([...path, 2, i], `${name}.${field.name}`));
    descriptor.oneofDecl.forEach((oneof, i) => add([...path, 8, i], `${name}.${oneof.name}`));
    descriptor.nestedType.forEach((nested, i) => addMessage([...path, 3, i], name, nested));
    descriptor.enumType.forEach((nested, i) => addEnum([...path, 4, i], name, nested));
  };
  file.messageType.forEach((message, i) => addMessage([4, i], file.package, message));
  file.enumType.forEach((descriptor, i) => addEnum([5, i], file.package, descriptor));
  file.service.forEach((service, i) => {
    add([6, i], `${file.package}.${service.name}`);
    service.method.forEach((method, j) => add([6, i, 2, j], `${file.package}.${service.name}.${method.name}`));
  });
}

const tidy = (comment: string) => comment.split('\n').map((line) => line.replace(/^ /, '').trimEnd()).join('\n').trim();

/** `ListRestorePoints` as words. */
export const spaced = (name: string) => name.replace(/([a-z0-9])([A-Z])/g, '$1 $2');

/** The first sentence of a comment, on one line. */
export function firstSentence(comment: string): string {
  const text = comment.split('\n\n')[0]?.replace(/\s+/g, ' ') ?? '';
  return /^.*?\.(?= [A-Z0-9`]|$)/.exec(text)?.[0] ?? text;
}
