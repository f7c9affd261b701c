/**
 * Asks of one turn of the event loop share one answer: a round asks the same of a directory or of /etc/passwd once for each of its resources, all in one turn.
 * What is asked in a later turn, such as after a change, is asked anew.
 */
import { nextTick } from "node:process";

/** `ask` gives the answer or a promise of it; what it throws is not shared. */
export function sharedInTurn<V extends object>(ask: (key: string) => V): (key: string) => V {
  const asked = new Map<string, V>();
  return (key) => {
    const known = asked.get(key);
    if (known !== undefined) return known;
    // Ticks run when all promises of this turn are through, and before the next answer of the kernel is heard.
    if (asked.size === 0) nextTick(() => asked.clear());
    const answer = ask(key);
    asked.set(key, answer);
    return answer;
  };
}
