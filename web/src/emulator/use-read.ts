import { useEffect, useRef, useState } from 'preact/hooks';

/**
 * Reads something, and reads it again with each version, but one at a time. What was read stays until there is something
 * newer, so nothing jumps.
 */
export function useRead<T>(version: number, read: () => Promise<T>): { value?: T; failure?: string } {
  const [state, setState] = useState<{ value?: T; failure?: string }>({});
  const under = useRef({ way: false, again: false, gone: false });
  useEffect(() => () => { under.current.gone = true; }, []);
  useEffect(() => {
    const now = under.current;
    if (now.way) {
      now.again = true;
      return;
    }
    const run = async () => {
      now.way = true;
      do {
        now.again = false;
        try {
          const value = await read();
          if (!now.gone) setState({ value });
        } catch (thrown) {
          if (!now.gone) setState((old) => ({ value: old.value, failure: (thrown as Error).message }));
        }
      } while (now.again && !now.gone);
      now.way = false;
    };
    void run();
  }, [version]);
  return state;
}
