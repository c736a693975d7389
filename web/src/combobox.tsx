// A text input with suggestions. What is typed counts, the suggestions only help: an id that nobody suggests is right too.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { Suggestion } from './suggest';

interface Props {
  id: string;
  value: string;
  label?: string;
  describedBy?: string;
  invalid?: boolean;
  required?: boolean;
  placeholder?: string;
  /** Called when the input gets the focus, so that the suggestions are those of now. */
  load: () => Promise<Suggestion[]>;
  onInput: (value: string) => void;
}

export function Combobox({ id, value, label, describedBy, invalid, required, placeholder, load, onInput }: Props) {
  const list = useId();
  const [open, setOpen] = useState(false);
  const [all, setAll] = useState<Suggestion[]>();
  const [active, setActive] = useState(-1);
  const asked = useRef(0);
  const options = useRef<HTMLUListElement>(null);

  const refresh = async () => {
    const mine = ++asked.current;
    const found = await load().catch(() => []);
    if (mine === asked.current) setAll(found);
  };
  const typed = value.toLowerCase();
  const exact = all?.some((each) => each.value === value);
  const shown = (all ?? []).filter((each) => exact || `${each.value} ${each.label}`.toLowerCase().includes(typed)).slice(0, 50);

  useEffect(() => { options.current?.children[active]?.scrollIntoView({ block: 'nearest' }); }, [active]);

  const show = () => { setOpen(true); setActive(-1); void refresh(); };
  const choose = (one: Suggestion) => { onInput(one.value); setOpen(false); };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (!open) return show();
      const step = event.key === 'ArrowDown' ? 1 : -1;
      if (shown.length > 0) setActive((active + step + shown.length) % shown.length);
    } else if (event.key === 'Enter' && open && shown[active]) {
      event.preventDefault();
      choose(shown[active]);
    } else if (event.key === 'Escape' && open) {
      event.stopPropagation();
      setOpen(false);
    }
  };

  return <div class="combobox">
    <input id={id} type="text" role="combobox" autocomplete="off" spellcheck={false} value={value} placeholder={placeholder}
      aria-label={label} aria-expanded={open && shown.length > 0} aria-controls={list} aria-autocomplete="list" aria-required={required}
      aria-activedescendant={open && active >= 0 ? `${list}-${active}` : undefined}
      aria-describedby={describedBy} aria-invalid={invalid}
      onFocus={show} onClick={() => { if (!open) show(); }} onBlur={() => setOpen(false)} onKeyDown={onKeyDown}
      onInput={(event) => { onInput(event.currentTarget.value); setOpen(true); setActive(-1); }} />
    <ul id={list} role="listbox" aria-label="Suggestions" ref={options} hidden={!open || shown.length === 0}>
      {shown.map((one, i) => <li key={one.value} id={`${list}-${i}`} role="option" aria-selected={i === active}
        onMouseDown={(event) => { event.preventDefault(); choose(one); }}>
        {one.label && <span class="label">{one.label}</span>}<span class="value">{one.value}</span>
      </li>)}
    </ul>
  </div>;
}
