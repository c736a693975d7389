// The form of a request message, made from its descriptor.
import type { DescField, DescMessage, DescOneof } from '@bufbuild/protobuf';
import { useId } from 'preact/hooks';
import { Combobox } from './combobox';
import { firstSentence } from './contract';
import { at, emptyOf, hasPresence, kindOf, type Draft, type DraftMessage, type Kind, type Problems } from './draft';
import { contract } from './store';
import { canSuggest, emulatorNow, suggest } from './suggest';
import { Inline } from './text';

/** What all fields of a form share. */
export interface FormContext {
  /** The rpc, as `Service/Method`. */
  rpc: string;
  root: DraftMessage;
  problems: Problems;
}

interface MessageProps {
  schema: DescMessage;
  value: DraftMessage;
  path: string;
  context: FormContext;
  onChange: (value: DraftMessage) => void;
}

export function MessageFields({ schema, value, path, context, onChange }: MessageProps) {
  const set = (name: string, next: Draft | undefined, without: string[] = []) => {
    const copy = { ...value };
    for (const other of without) delete copy[other];
    if (next === undefined) delete copy[name];
    else copy[name] = next;
    onChange(copy);
  };
  return <>{schema.members.map((member) => member.kind === 'oneof'
    ? <OneofFields key={member.name} oneof={member} value={value} path={path} context={context} set={set} />
    : <Field key={member.name} field={member} value={value[member.name]} path={at(path, member.name)} context={context}
        onChange={(next) => set(member.name, next)} />)}</>;
}

function OneofFields({ oneof, value, path, context, set }: {
  oneof: DescOneof; value: DraftMessage; path: string; context: FormContext;
  set: (name: string, next: Draft | undefined, without?: string[]) => void;
}) {
  const id = useId();
  const chosen = oneof.fields.find((field) => value[field.name] !== undefined);
  const names = oneof.fields.map((field) => field.name);
  const choose = (name: string) => {
    const field = oneof.fields.find((each) => each.name === name);
    set(name || names[0]!, field && emptyOf(kindOf(field)), names);
  };
  return <fieldset class="oneof">
    <legend><span class="name">{oneof.name}</span> <span class="type">one of</span></legend>
    <Hint name={`${oneof.parent.typeName}.${oneof.name}`} id={`${id}-hint`} />
    <select aria-label={oneof.name} value={chosen?.name ?? ''} onChange={(event) => choose(event.currentTarget.value)}>
      <option value="">none</option>
      {names.map((name) => <option key={name} value={name}>{name}</option>)}
    </select>
    {chosen && <Field field={chosen} value={value[chosen.name]} path={at(path, chosen.name)} context={context}
      onChange={(next) => set(chosen.name, next)} inOneof />}
  </fieldset>;
}

interface FieldProps {
  field: DescField;
  value: Draft | undefined;
  path: string;
  context: FormContext;
  onChange: (value: Draft | undefined) => void;
  inOneof?: boolean;
}

function Field({ field, value, path, context, onChange, inOneof }: FieldProps) {
  const id = useId();
  const kind = kindOf(field);
  const comment = contract().comments.get(`${field.parent.typeName}.${field.name}`) ?? '';
  const required = comment.startsWith('Required.');
  const problem = context.problems.get(path);
  const head = <><span class="name">{field.name}</span> <span class="type">{typeName(field, kind)}</span>
    {required && <span class="required">required</span>}</>;
  const notes = <><Hint name={`${field.parent.typeName}.${field.name}`} id={`${id}-hint`} /><Problem id={`${id}-problem`} text={problem} /></>;
  const describedBy = `${id}-hint${problem ? ` ${id}-problem` : ''}`;

  if (field.fieldKind === 'list' || field.fieldKind === 'map') {
    const elements = (value ?? []) as Draft[];
    const replace = (i: number, next: Draft | undefined) => {
      const copy = elements.flatMap((each, j) => j !== i ? [each] : next === undefined ? [] : [next]);
      onChange(copy.length > 0 ? copy : undefined);
    };
    const added = field.fieldKind === 'map' ? { key: '', value: emptyOf(kind) } : emptyOf(kind);
    return <fieldset class={`list${problem ? ' wrong' : ''}`} data-path={path} aria-describedby={describedBy}>
      <legend>{head}</legend>
      {notes}
      {elements.map((element, i) => <div class="element" key={i}>
        {field.fieldKind === 'map'
          ? <Entry kind={kind} entry={element as DraftMessage} path={`${path}["${(element as DraftMessage).key}"]`} field={field} context={context} onChange={(next) => replace(i, next)} />
          : <Value kind={kind} field={field} value={element} path={`${path}[${i}]`} id={`${id}-${i}`} label={`${field.name} ${i + 1}`} context={context} onChange={(next) => replace(i, next ?? emptyOf(kind))} />}
        <button type="button" class="quiet" aria-label={`Remove ${field.name} ${i + 1}`} onClick={() => replace(i, undefined)}>Remove</button>
      </div>)}
      <button type="button" class="small" aria-label={`Add ${field.name}`} onClick={() => onChange([...elements, added])}>Add</button>
    </fieldset>;
  }
  if (kind.kind === 'message') {
    const set = value !== undefined;
    return <fieldset class={`nested${problem ? ' wrong' : ''}`} data-path={path} aria-describedby={describedBy}>
      <legend>{head}</legend>
      {notes}
      {set && <MessageFields schema={kind.of} value={value as DraftMessage} path={path} context={context} onChange={onChange} />}
      {!inOneof && <button type="button" class={set ? 'quiet' : 'small'} aria-label={`${set ? 'Remove' : 'Add'} ${field.name}`} onClick={() => onChange(set ? undefined : {})}>{set ? 'Remove' : 'Add'}</button>}
    </fieldset>;
  }
  return <div class={`field${problem ? ' wrong' : ''}`} data-path={path}>
    <label for={id}>{head}</label>
    <Value kind={kind} field={field} value={value} path={path} id={id} context={context} describedBy={describedBy} required={required} onChange={onChange} />
    {hasPresence(field) && kind.kind === 'text' && value !== undefined &&
      <button type="button" class="quiet" aria-label={`Unset ${field.name}`} onClick={() => onChange(undefined)}>Unset</button>}
    {notes}
  </div>;
}

function Entry({ kind, entry, path, field, context, onChange }: {
  kind: Kind; entry: DraftMessage; path: string; field: DescField; context: FormContext; onChange: (value: DraftMessage) => void;
}) {
  const id = useId();
  return <div class="entry">
    <input type="text" aria-label={`${field.name} key`} value={String(entry.key ?? '')} onInput={(event) => onChange({ ...entry, key: event.currentTarget.value })} />
    <Value kind={kind} field={field} value={entry.value} path={path} id={id} label={`${field.name} value`} context={context} onChange={(value) => onChange({ ...entry, value: value ?? emptyOf(kind) })} />
  </div>;
}

interface ValueProps {
  kind: Kind;
  field: DescField;
  value: Draft | undefined;
  path: string;
  id: string;
  /** The name for people who hear the page; undefined where a label element has it. */
  label?: string;
  context: FormContext;
  describedBy?: string;
  required?: boolean;
  onChange: (value: Draft | undefined) => void;
}

/** One value: of a field, an element or a map entry. */
function Value({ kind, field, value, path, id, label, context, describedBy, required, onChange }: ValueProps) {
  const problem = field.fieldKind === 'list' || field.fieldKind === 'map' ? context.problems.get(path) : undefined;
  const invalid = context.problems.has(path);
  const note = problem && <Problem id={`${id}-problem`} text={problem} />;
  const text = typeof value === 'string' ? value : '';
  const described = [describedBy, problem && `${id}-problem`].filter(Boolean).join(' ') || undefined;
  const common = { id, 'aria-label': label, 'aria-describedby': described, 'aria-invalid': invalid, 'aria-required': required } as const;
  const onInput = (event: { currentTarget: { value: string } }) => onChange(event.currentTarget.value || (hasPresence(field) && value !== undefined ? '' : undefined));
  switch (kind.kind) {
    case 'message':
      return <div class={`message${problem ? ' wrong' : ''}`} data-path={path} role="group" aria-label={label}>
        <MessageFields schema={kind.of} value={(value ?? {}) as DraftMessage} path={path} context={context} onChange={onChange} />{note}
      </div>;
    case 'enum':
      return <><select {...common} data-path={path} value={text} onChange={(event) => onChange(event.currentTarget.value || undefined)}>
        <option value="">not set</option>
        {kind.of.values.filter((each) => each.number !== 0 && !each.name.endsWith('_UNKNOWN_FUTURE_VALUE')).map((each) => <option key={each.name} value={each.name}>{each.name}</option>)}
      </select>{note}</>;
    case 'bool':
      return <><select {...common} value={value === undefined ? '' : String(value)} onChange={(event) => onChange(event.currentTarget.value === '' ? undefined : event.currentTarget.value === 'true')}>
        <option value="">not set</option><option>true</option><option>false</option>
      </select>{note}</>;
    case 'json':
      return <><textarea {...common} rows={3} value={text} onInput={onInput} />{note}</>;
    case 'timestamp':
      return <><div class="with-button">
        <input {...common} type="text" placeholder="2026-01-31T08:00:00Z" autocomplete="off" value={text} onInput={onInput} />
        <button type="button" class="small" aria-label={`Now for ${label ?? field.name}`} onClick={async () => onChange(await emulatorNow())}>Now</button>
      </div>{note}</>;
    case 'text':
      if (canSuggest(context.rpc, field, path)) {
        return <><Combobox id={id} value={text} describedBy={described} invalid={invalid} required={required}
          label={label} load={() => suggest(context.rpc, field, path, context.root)} onInput={(next) => onChange(next || undefined)} />{note}</>;
      }
  }
  return <><input {...common} type="text" autocomplete="off" inputMode={kind.kind === 'int' ? 'numeric' : undefined}
    placeholder={kind.kind === 'duration' ? '10s' : kind.kind === 'int' ? '0' : undefined} value={text} onInput={onInput} />{note}</>;
}

/** The comment of a field: its first sentence, and the rest for who wants it. */
function Hint({ name, id }: { name: string; id: string }) {
  const comment = (contract().comments.get(name) ?? '').replace(/^Required\.\s*/, '');
  const first = firstSentence(comment);
  const rest = comment.replace(/\s+/g, ' ').slice(first.length).trim();
  return <div class="hint" id={id}>
    <Inline text={first} />
    {rest && <details><summary>More</summary><Inline text={rest} /></details>}
  </div>;
}

function Problem({ id, text }: { id: string; text: string | undefined }) {
  return text ? <div class="problem" id={id} role="alert">{text}</div> : null;
}

function typeName(field: DescField, kind: Kind): string {
  const one = kind.kind === 'enum' || kind.kind === 'message' ? kind.of.name : kind.kind === 'int' ? 'number' : kind.kind;
  return field.fieldKind === 'list' ? `list of ${one}` : field.fieldKind === 'map' ? `map to ${one}` : one;
}
