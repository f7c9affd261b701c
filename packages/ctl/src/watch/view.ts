/**
 * One frame of `ctl watch` as lines of text. Pure: what is known, what the person chose, the size of the terminal and the time in; exactly `rows` lines
 * of at most `columns` out.
 */

import { checkColour } from "@muster/protocol/telemetry/checks";
import type { FleetModel } from "@muster/view/model";
import { type Seen, seen } from "@muster/view/seen";
import { isRed } from "@muster/view/sessions";
import type { Colour } from "../output/colour.ts";
import { clipped, widthOf } from "../output/table.ts";
import { countText, durationText, numberText } from "../output/words.ts";
import { eventLines } from "../report/event.ts";
import { PANES, SORTS, type Ui } from "./keys.ts";
import { type Listed, listed } from "./rows.ts";

export type Size = { readonly rows: number; readonly columns: number };

export type Frame = {
  readonly lines: readonly string[];
  /** Keys of all rows of the pane, and how many are seen at a time: what keys move in. */
  readonly rows: readonly string[];
  readonly page: number;
};

const EVENTS_SHOWN = 5;
const TROUBLES_SHOWN = 3;

const HELP = [
  "j k ↑ ↓           next, previous row            g G       first, last row",
  "space, page keys  a page on or back             tab 1–6   the next pane, or that one",
  "enter             all of a row; escape: back    s r       order by the next column; reverse",
  "/                 only rows with these words; escape: all of them",
  "q ^C              end. The fleet goes on as it is",
  "",
  "Nothing is asked again and again: hosts tell what changes, and every few seconds that they are there.",
  "How a rollout goes is asked every two seconds, while it runs and hosts tell of themselves.",
  "A host that was not heard of for 14 seconds is silent, and red.",
];

export function frameOf(
  model: FleetModel,
  ui: Ui,
  size: Size,
  now_ms: number,
  colour: Colour,
  note: string | null = null,
): Frame {
  const columns = Math.max(20, size.columns);
  const rows = Math.max(6, size.rows);
  const now = seen(model, now_ms);
  const pane = listed(ui.pane, model, now, ui, now_ms, colour);
  const head = [
    header(model, now, now_ms, columns, colour),
    tabs(model, now, ui, pane, now_ms, colour),
    ...above(model, ui, now_ms, colour),
  ];
  const foot = [footer(ui, note, colour)];
  const strip = ui.detail !== null || ui.help ? [] : below(model, now, ui, pane, rows, columns, colour);
  const space = Math.max(1, rows - head.length - strip.length - foot.length);
  const page = Math.max(1, space - 1);
  const body = bodyOf(ui, pane, space, page, colour);
  const blank = Array.from({ length: Math.max(0, space - body.length) }, () => "");
  return {
    lines: [...head, ...body.slice(0, space), ...blank, ...strip, ...foot]
      .slice(0, rows)
      .map((line) => clipped(safe(line), columns)),
    rows: pane.rows.map(({ key }) => key),
    page,
  };
}

function bodyOf(ui: Ui, pane: Listed, space: number, page: number, colour: Colour): string[] {
  if (ui.help) return HELP;
  if (ui.detail !== null) {
    const all = [colour.bold(ui.detail), ...pane.detail(ui.detail)];
    const from = Math.min(ui.scroll, Math.max(0, all.length - space));
    return all.slice(from, from + space);
  }
  if (pane.rows.length === 0) return [ui.filter === "" ? EMPTY[ui.pane] : `nothing fits "${ui.filter}"`];
  const at = Math.max(
    0,
    pane.rows.findIndex(({ key }) => key === ui.marked[ui.pane]),
  );
  // The mark is kept in the middle where there is more than a page.
  const from = Math.max(0, Math.min(at - Math.floor(page / 2), pane.rows.length - page));
  const [titles = "", ...lines] = pane.lines(from, page);
  return [
    `  ${colour.dim(titles)}`,
    ...lines.map((line, index) => (from + index === at ? `${colour.bold("▸")} ${line}` : `  ${line}`)),
  ];
}

const EMPTY = {
  hosts: "no hosts yet      ctl join NAME",
  sessions: "no BGP sessions are known",
  events: "no events yet",
  rollout: "no rollout is known",
  load: "no host tells its health",
  checks: "no checks are declared      ctl docs check",
} as const;

function header(model: FleetModel, now: Seen, now_ms: number, columns: number, colour: Colour): string {
  const red = now.hosts.filter(
    (row) => row.tint === "red" || row.troubles.some(({ tint }) => tint === "red"),
  );
  const up = now.sessions.filter(({ session }) => session.expected === "up");
  const down = up.filter(({ session }) => session.state !== "established").length;
  const left = [
    colour.bold(`${model.fleet} · ${model.person}`),
    `${countText(now.hosts.length, "host")}, ${red.length === 0 ? colour.green("none red") : colour.red(`${numberText(red.length)} red`)}`,
    `sessions ${down === 0 ? `${up.length}/${up.length}` : colour.red(`${up.length - down}/${up.length}`)}`,
  ].join("   ");
  const clock = new Date(now_ms).toISOString().slice(11, 19);
  return left + " ".repeat(Math.max(3, columns - widthOf(left) - clock.length)) + clock;
}

function tabs(model: FleetModel, now: Seen, ui: Ui, pane: Listed, now_ms: number, colour: Colour): string {
  const checks = now.hosts.flatMap(({ known, state }) =>
    state === "silent"
      ? []
      : (known.checks?.checks ?? []).map((check) => ({ check, now_ms: now_ms + known.clock_skew_ms })),
  );
  const counts = {
    hosts: now.hosts.length,
    sessions: now.sessions.length,
    events: model.events.length,
    rollout: null,
    load: null,
    checks: checks.length,
  } as const;
  const bad = checks.filter((row) => checkColour(row.check, row.now_ms) === "red").length;
  const red = now.sessions.filter(({ session }) => isRed(session)).length;
  const names = PANES.map((name) => {
    const count = counts[name] === null ? "" : ` ${numberText(counts[name])}`;
    const wrong = name === "sessions" ? red : name === "checks" ? bad : 0;
    const more = wrong > 0 ? colour.red(` (${wrong} red)`) : "";
    return name === ui.pane ? colour.bold(`[${name}${count}${more}]`) : ` ${name}${count}${more} `;
  });
  const order = `by ${SORTS[ui.pane][ui.sort[ui.pane]]}${ui.reversed ? ", reversed" : ""}`;
  const filter =
    ui.filter === "" && !ui.typing
      ? ""
      : `   /${ui.filter}${ui.typing ? "▏" : ""} ${countText(pane.rows.length, "row")}`;
  return `${names.join(" ")}   ${colour.dim(order)}${filter}`;
}

/** What makes all below it doubtful stands above it. */
function above(model: FleetModel, ui: Ui, now_ms: number, colour: Colour): string[] {
  const cut =
    model.cut_at === null
      ? []
      : [
          colour.red(
            `NO CONNECTION to the broker for ${durationText(now_ms - model.cut_at)}: what stands here is as of then`,
          ),
        ];
  if (ui.pane !== "rollout" || model.rollout === null) return cut;
  const { id, generation, by, state, wave, waves, message, started_at, ended_at, detail } = model.rollout;
  const paint =
    state === "failed" || state === "aborted" ? colour.red : state === "done" ? colour.green : colour.amber;
  return [
    ...cut,
    `generation ${generation} by ${by}: ${paint(state)} ${durationText((ended_at ?? now_ms) - started_at)}, wave ${Math.min(wave + 1, waves.length)} of ${waves.length}   ${message}${detail === "" ? "" : `   ${detail}`}   ${colour.dim(id.slice(0, 8))}`,
  ];
}

/** Below the hosts: what is wrong with the marked one; below all but the events: the last of them. */
function below(
  model: FleetModel,
  now: Seen,
  ui: Ui,
  pane: Listed,
  rows: number,
  columns: number,
  colour: Colour,
): string[] {
  if (rows < 16 || ui.pane === "events") return [];
  const rule = (title: string) =>
    colour.dim(`── ${title} ${"─".repeat(Math.max(0, columns - title.length - 4))}`);
  const name =
    ui.pane === "hosts"
      ? (pane.rows.find(({ key }) => key === ui.marked.hosts) ?? pane.rows[0])?.key
      : undefined;
  const troubles = now.hosts.find(({ known }) => known.name === name)?.troubles ?? [];
  const events = model.events.slice(-EVENTS_SHOWN).reverse();
  return [
    ...(troubles.length === 0
      ? []
      : [
          rule(name ?? ""),
          ...troubles
            .slice(0, TROUBLES_SHOWN)
            .map(({ tint, what, next }) => `${colour[tint](what.replaceAll("\n", " "))}      ${next}`),
        ]),
    ...(events.length === 0
      ? []
      : [rule("events"), ...events.map((event) => eventLines(event, colour)[0] ?? "")]),
  ];
}

function footer(ui: Ui, note: string | null, colour: Colour): string {
  const keys = ui.typing
    ? "type words, enter: keep, escape: all rows"
    : ui.detail !== null
      ? "escape back   j k scroll   q quit"
      : "? help   tab pane   enter detail   s sort   / filter   q quit";
  return note === null ? colour.dim(keys) : `${colour.dim(keys)}   ${colour.amber(note)}`;
}

/** What hosts say is somebody else's text: of control sequences only colours pass. */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about.
  /\u001b(?!\[[0-9;]*m)|[\u0000-\u001a\u001c-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
const safe = (line: string): string => line.replace(UNSAFE, "·");
