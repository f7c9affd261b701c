/** What the keys do. Pure: bytes of a terminal in, the next state of the view out. */

export const PANES = ["hosts", "sessions", "events", "rollout", "load", "checks"] as const;
export type Pane = (typeof PANES)[number];

export const SORTS: Readonly<Record<Pane, readonly string[]>> = {
  hosts: ["trouble", "name", "state", "sessions", "certificates"],
  sessions: ["trouble", "host", "name", "since", "imported"],
  events: ["newest"],
  rollout: ["wave"],
  load: ["cpu", "memory", "load", "received", "sent", "name"],
  checks: ["trouble", "host", "name", "since", "latency"],
};

export type Ui = {
  readonly pane: Pane;
  /** Key of the row with the mark, by pane; null = the first. */
  readonly marked: Readonly<Record<Pane, string | null>>;
  /** Index into `SORTS`. */
  readonly sort: Readonly<Record<Pane, number>>;
  readonly reversed: boolean;
  readonly filter: string;
  /** Keys go into the filter. */
  readonly typing: boolean;
  readonly help: boolean;
  /** Key of the row that is shown whole. */
  readonly detail: string | null;
  /** First line of the detail that is seen. */
  readonly scroll: number;
  readonly over: boolean;
};

export const START: Ui = {
  pane: "hosts",
  marked: { hosts: null, sessions: null, events: null, rollout: null, load: null, checks: null },
  sort: { hosts: 0, sessions: 0, events: 0, rollout: 0, load: 0, checks: 0 },
  reversed: false,
  filter: "",
  typing: false,
  help: false,
  detail: null,
  scroll: 0,
  over: false,
};

/** With the rows of its pane in that order. */
export const sortedBy = (ui: Ui, sort: string): Ui => ({
  ...ui,
  sort: { ...ui.sort, [ui.pane]: Math.max(0, SORTS[ui.pane].indexOf(sort)) },
});

const NAMED: Readonly<Record<string, string>> = {
  "\u001b[A": "up",
  "\u001bOA": "up",
  "\u001b[B": "down",
  "\u001bOB": "down",
  "\u001b[5~": "page up",
  "\u001b[6~": "page down",
  "\u001b[H": "home",
  "\u001b[1~": "home",
  "\u001b[F": "end",
  "\u001b[4~": "end",
  "\u001b[Z": "back tab",
  "\u001b": "escape",
  "\t": "tab",
  "\r": "enter",
  "\n": "enter",
  "\u007f": "backspace",
  "\b": "backspace",
  "\u0003": "stop",
};

/** Splits what a terminal sends into keys. Sequences that mean nothing here are dropped. */
export function readKeys(text: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a key is a control sequence.
  const parts = text.match(/\u001b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|[\s\S]/gu) ?? [];
  return parts.flatMap((part) => {
    const name = NAMED[part];
    if (name !== undefined) return [name];
    return part.length > 2 || part < " " ? [] : [part];
  });
}

const FILTER_LIMIT = 60;

/** `rows` are the keys of the pane's rows as shown, `page` how many fit. */
export function act(ui: Ui, key: string, rows: readonly string[], page: number): Ui {
  if (key === "stop") return { ...ui, over: true };
  if (ui.typing) {
    if (key === "enter") return { ...ui, typing: false };
    if (key === "escape") return { ...ui, typing: false, filter: "" };
    if (key === "backspace") return { ...ui, filter: ui.filter.slice(0, -1) };
    return [...key].length === 1 && ui.filter.length < FILTER_LIMIT ? { ...ui, filter: ui.filter + key } : ui;
  }
  if (ui.help) return key === "q" ? { ...ui, over: true } : { ...ui, help: false };
  const at = Math.max(0, rows.indexOf(ui.marked[ui.pane] ?? ""));
  const step = STEPS[key];
  if (step !== undefined) {
    const by = step(page);
    if (ui.detail !== null) return { ...ui, scroll: Math.max(0, ui.scroll + by) };
    const next = Math.min(rows.length - 1, Math.max(0, at + by));
    return { ...ui, marked: { ...ui.marked, [ui.pane]: rows[next] ?? null } };
  }
  const pane = PANES.indexOf(ui.pane);
  const to = (next: number): Ui => ({
    ...ui,
    pane: PANES[(next + PANES.length) % PANES.length] ?? "hosts",
    detail: null,
    scroll: 0,
  });
  switch (key) {
    case "q":
      return { ...ui, over: true };
    case "?":
      return { ...ui, help: true };
    case "tab":
      return to(pane + 1);
    case "back tab":
      return to(pane - 1);
    case "1":
    case "2":
    case "3":
    case "4":
    case "5":
    case "6":
      return to(Number(key) - 1);
    case "enter": {
      const row = rows[at];
      return row === undefined || ui.detail !== null ? ui : { ...ui, detail: row, scroll: 0 };
    }
    case "escape":
    case "backspace":
      return ui.detail === null ? { ...ui, filter: "" } : { ...ui, detail: null, scroll: 0 };
    case "s":
      return {
        ...ui,
        sort: { ...ui.sort, [ui.pane]: (ui.sort[ui.pane] + 1) % SORTS[ui.pane].length },
      };
    case "r":
      return { ...ui, reversed: !ui.reversed };
    case "/":
      return { ...ui, typing: true, detail: null, scroll: 0 };
    default:
      return ui;
  }
}

const FAR = 1_000_000;
const STEPS: Readonly<Record<string, (page: number) => number>> = {
  up: () => -1,
  k: () => -1,
  down: () => 1,
  j: () => 1,
  "page up": (page) => -page,
  "page down": (page) => page,
  " ": (page) => page,
  home: () => -FAR,
  g: () => -FAR,
  end: () => FAR,
  G: () => FAR,
};
