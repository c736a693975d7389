// Fills a form with an example that fits the tenant: what is required, with values that exist.
import type { DescField, DescMessage } from '@bufbuild/protobuf';
import type { Rpc } from './contract';
import { at, kindOf, type Draft, type DraftMessage } from './draft';
import { contract } from './store';
import { canSuggest, emulatorNow, suggest } from './suggest';

const unknown = '00000000-0000-4000-8000-000000000404';

/** An example of the request message of an rpc. */
export async function example(rpc: Rpc): Promise<DraftMessage> {
  const root: DraftMessage = {};
  await fill(rpc, rpc.method.input, root, root, '');
  return root;
}

async function fill(rpc: Rpc, schema: DescMessage, into: DraftMessage, root: DraftMessage, path: string): Promise<void> {
  for (const member of schema.members) {
    const field = member.kind === 'oneof' ? member.fields[0] : member;
    if (!field || member.kind === 'field' && !wanted(rpc, field, path)) continue;
    const here = at(path, field.name);
    if (field.fieldKind === 'list') {
      const value = await one(rpc, field, root, `${here}[0]`);
      if (value !== '') into[field.name] = [value];
    } else if (field.fieldKind !== 'map') {
      const value = await one(rpc, field, root, here);
      if (value !== '') into[field.name] = value;
    }
  }
}

/** Whether an example has the field: ids of the path, what is required, and what makes an update one. */
function wanted(rpc: Rpc, field: DescField, path: string): boolean {
  if (path === '' && rpc.graph.path?.includes(`{${field.name}}`)) return true;
  const comment = contract().comments.get(`${field.parent.typeName}.${field.name}`) ?? '';
  if (comment.startsWith('Required.') || /^(display_name|max_wait|items)$/.test(field.name)) return true;
  if (/^Create/.test(rpc.name) && /^(mailboxes|drives|site_web_urls|(mailbox|drive|site)_protection_units)$/.test(field.name)) return true;
  return /^Update/.test(rpc.name) && /^(is_enabled|(mailbox|drive|site)_expression|add_(mailbox|drive|site)_restore_artifacts)$/.test(field.name);
}

async function one(rpc: Rpc, field: DescField, root: DraftMessage, path: string): Promise<Draft> {
  const kind = kindOf(field);
  switch (kind.kind) {
    case 'message': {
      const message: DraftMessage = {};
      await fill(rpc, kind.of, message, root, path);
      return message;
    }
    case 'enum': return kind.of.values.find((each) => each.number !== 0 && !each.name.endsWith('_UNKNOWN_FUTURE_VALUE'))?.name ?? '';
    case 'bool': return true;
    case 'timestamp': return await timestamp(field);
    case 'duration': return '2s';
    case 'int': return '';
    case 'text': break;
    default: return '';
  }
  if (field.name === 'display_name') return /^Update/.test(rpc.name) ? 'A new name' : 'An example';
  if (canSuggest(rpc.id, field, path)) {
    const [first] = await suggest(rpc.id, field, path, root).catch(() => []);
    if (first) return first.value;
  }
  return /(^|_)ids?$/.test(field.name) ? unknown : 'example';
}

/** Now; for what has to lie ahead, in eight days: Graph takes 7 to 30. */
async function timestamp(field: DescField): Promise<string> {
  const now = await emulatorNow();
  if (field.name !== 'effective_date_time') return now;
  return new Date(Date.parse(now) + 8 * 24 * 3600 * 1000).toISOString().replace(/\.\d+/, '');
}
