// A request message while somebody writes it: texts as they are typed, by the names of the proto. It becomes JSON, and
// says of each field what is wrong with it, under the same paths that the server uses in a BadRequest.
import { fromJson, ScalarType, toJson, type DescEnum, type DescField, type DescMessage, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { contract } from './store';

export type Draft = string | boolean | Draft[] | { [name: string]: Draft };
export type DraftMessage = { [name: string]: Draft };
/** Sentences, by the path of the field. */
export type Problems = Map<string, string>;

/** What kind of input a value needs. */
export type Kind =
  | { kind: 'text' | 'bool' | 'timestamp' | 'duration' | 'json' | 'bytes' | 'float' }
  | { kind: 'int'; min: bigint; max: bigint }
  | { kind: 'enum'; of: DescEnum }
  | { kind: 'message'; of: DescMessage };

const int = (bits: bigint, signed: boolean): Kind =>
  ({ kind: 'int', min: signed ? -(2n ** (bits - 1n)) : 0n, max: 2n ** (signed ? bits - 1n : bits) - 1n });

/** The kind of a field, or of an element or map value of it. */
export function kindOf(field: { scalar?: ScalarType; enum?: DescEnum; message?: DescMessage }): Kind {
  if (field.enum) return { kind: 'enum', of: field.enum };
  if (field.message) {
    switch (field.message.typeName) {
      case 'google.protobuf.Timestamp': return { kind: 'timestamp' };
      case 'google.protobuf.Duration': return { kind: 'duration' };
    }
    return field.message.typeName.startsWith('google.protobuf.') ? { kind: 'json' } : { kind: 'message', of: field.message };
  }
  switch (field.scalar) {
    case ScalarType.BOOL: return { kind: 'bool' };
    case ScalarType.BYTES: return { kind: 'bytes' };
    case ScalarType.DOUBLE: case ScalarType.FLOAT: return { kind: 'float' };
    case ScalarType.INT32: case ScalarType.SINT32: case ScalarType.SFIXED32: return int(32n, true);
    case ScalarType.UINT32: case ScalarType.FIXED32: return int(32n, false);
    case ScalarType.INT64: case ScalarType.SINT64: case ScalarType.SFIXED64: return int(64n, true);
    case ScalarType.UINT64: case ScalarType.FIXED64: return int(64n, false);
  }
  return { kind: 'text' };
}

export const at = (path: string, name: string) => path ? `${path}.${name}` : name;

/** Whether unset differs from empty, so that the form has to offer both. */
export const hasPresence = (field: DescField) => field.fieldKind === 'scalar' && field.proto.proto3Optional;

/** The JSON of a draft. Where it says problems the JSON is not complete. */
export function draftToJson(schema: DescMessage, draft: DraftMessage, problems: Problems, path = ''): JsonObject {
  const json: JsonObject = {};
  for (const field of schema.fields) {
    const value = draft[field.name];
    const here = at(path, field.name);
    if (value === undefined) continue;
    if (field.fieldKind === 'list') {
      const elements = (value as Draft[]).map((each, i) => valueToJson(kindOf(field), each, problems, `${here}[${i}]`));
      if (elements.length > 0) json[field.name] = elements.map((each) => each ?? '');
    } else if (field.fieldKind === 'map') {
      const entries = (value as DraftMessage[]).map(({ key, value }): [string, JsonValue] =>
        [String(key ?? ''), valueToJson(kindOf(field), value ?? '', problems, `${here}["${key}"]`) ?? '']);
      if (entries.length > 0) json[field.name] = Object.fromEntries(entries);
    } else if (value !== '' || hasPresence(field) && kindOf(field).kind === 'text') {
      const one = valueToJson(kindOf(field), value, problems, here);
      if (one !== undefined) json[field.name] = one;
    }
  }
  return json;
}

function valueToJson(kind: Kind, value: Draft, problems: Problems, path: string): JsonValue | undefined {
  if (kind.kind === 'message') return draftToJson(kind.of, value as DraftMessage, problems, path);
  if (typeof value === 'boolean') return value;
  const text = String(value);
  const wrong = (sentence: string) => { problems.set(path, sentence); return undefined; };
  switch (kind.kind) {
    case 'int': {
      if (!/^-?\d+$/.test(text.trim())) return wrong('This is not a whole number.');
      const number = BigInt(text.trim());
      if (number < kind.min || number > kind.max) return wrong(`The number must be between ${kind.min} and ${kind.max}.`);
      return kind.max > 2n ** 32n ? text.trim() : Number(number);
    }
    case 'float': return Number.isFinite(Number(text)) ? Number(text) : wrong('This is not a number.');
    case 'bool': return text === 'true';
    case 'timestamp': return rfc3339.test(text) && !Number.isNaN(Date.parse(text)) ? text : wrong('Write a time such as 2026-01-31T08:00:00Z.');
    case 'duration': return seconds(text) ?? wrong('Write a duration such as 10s, 5m or 1h.');
    case 'bytes': return /^[A-Za-z0-9+/_-]*={0,2}$/.test(text) ? text : wrong('Write bytes in base64.');
    case 'json':
      try { return JSON.parse(text) as JsonValue; } catch { return wrong('This is not JSON.'); }
  }
  return text;
}

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** `5m` as protobuf writes it: `300s`. */
function seconds(text: string): string | undefined {
  const [, number, unit] = /^\s*(-?\d+(?:\.\d{1,9})?)(s|m|h)\s*$/.exec(text) ?? [];
  if (number === undefined) return undefined;
  return unit === 's' ? `${number}s` : `${Number(number) * (unit === 'm' ? 60 : 3600)}s`;
}

/** The draft of a JSON text. It throws when the text is no such message. */
export function jsonToDraft(schema: DescMessage, text: string): DraftMessage {
  const { registry } = contract();
  const message = fromJson(schema, JSON.parse(text || '{}') as JsonValue, { registry });
  return draftOf(schema, toJson(schema, message, { registry, useProtoFieldName: true }) as JsonObject);
}

export function draftOf(schema: DescMessage, json: JsonObject): DraftMessage {
  const draft: DraftMessage = {};
  for (const field of schema.fields) {
    const value = json[field.name];
    if (value === undefined || value === null) continue;
    const kind = kindOf(field);
    const one = (value: JsonValue): Draft => {
      if (kind.kind === 'message') return draftOf(kind.of, value as JsonObject);
      if (kind.kind === 'json') return JSON.stringify(value);
      return typeof value === 'boolean' ? value : String(value);
    };
    if (field.fieldKind === 'list') draft[field.name] = (value as JsonValue[]).map(one);
    else if (field.fieldKind === 'map') draft[field.name] = Object.entries(value as JsonObject).map(([key, each]) => ({ key, value: one(each) }));
    else draft[field.name] = one(value);
  }
  return draft;
}

/** What a new element or a message that is added begins with. */
export function emptyOf(kind: Kind): Draft {
  return kind.kind === 'message' ? {} : kind.kind === 'bool' ? false : '';
}
