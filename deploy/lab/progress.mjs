/**
 * Shows what the set-up is doing: what is being built or fetched, how long so far, how long it usually takes.
 * On a terminal one line is updated in place, elsewhere (CI, a pipe) a line comes every 10 s. Steps that are over in a
 * moment leave no line, so that a warm run stays quiet.
 */

const QUIET_MS = 1_000;
const LINE_EVERY_MS = 10_000;
const REDRAW_MS = 200;

/**
 * @typedef {object} Progress
 * @property {(text: string) => void} say prints one lasting line
 * @property {<T>(label: string, options: { usually_s?: number }, work: (note: (text: string) => void) => Promise<T>) => Promise<T>} step
 *   runs `work`, showing `label` while it lasts; `note` adds the current detail. Steps may overlap. Errors pass through.
 */

/**
 * Makes a progress display; nothing is written and no timer runs until the first step.
 * @param {{ stream?: NodeJS.WriteStream, now?: () => number }} [options] `now` in milliseconds
 * @returns {Progress}
 */
export function createProgress({ stream = process.stderr, now = Date.now } = {}) {
  /** @type {Set<{ label: string, note: string, usually_s: number | undefined, started: number, shown: number }>} */
  const active = new Set();
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  let drawn = false;
  const tty = stream.isTTY === true;

  const clear = () => {
    if (drawn) stream.write("\r\x1b[2K");
    drawn = false;
  };
  const say = (/** @type {string} */ text) => {
    clear();
    stream.write(`${text}\n`);
  };
  const describe = (
    /** @type {{ label: string, note: string, usually_s: number | undefined, started: number }} */ s,
  ) => {
    const usually = s.usually_s === undefined ? "" : `, usually ${duration(s.usually_s)}`;
    return `${s.label}${s.note ? `: ${s.note}` : ""} (${duration((now() - s.started) / 1000)}${usually})`;
  };
  const tick = () => {
    if (tty) {
      const line = [...active].map(describe).join("; ");
      clear();
      stream.write(line.slice(0, Math.max(20, (stream.columns ?? 80) - 1)));
      drawn = true;
      return;
    }
    for (const s of active) {
      if (now() - s.shown < LINE_EVERY_MS) continue;
      s.shown = now();
      stream.write(`${describe(s)}\n`);
    }
  };

  return {
    say,
    async step(label, { usually_s }, work) {
      const state = { label, note: "", usually_s, started: now(), shown: now() };
      active.add(state);
      timer ??= setInterval(tick, REDRAW_MS);
      let outcome = "failed after";
      try {
        const value = await work((text) => {
          state.note = text;
        });
        outcome = "done in";
        return value;
      } finally {
        active.delete(state);
        const took_ms = now() - state.started;
        if (took_ms >= QUIET_MS) say(`${label}: ${outcome} ${duration(took_ms / 1000)}`);
        if (active.size === 0) {
          clearInterval(timer);
          timer = undefined;
          clear();
        }
      }
    },
  };
}

/**
 * A length of time as people say it: `4 s`, `3 min 20 s`.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 9.95) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const rest = whole % 60;
  return `${Math.floor(whole / 60)} min${rest === 0 ? "" : ` ${rest} s`}`;
}
