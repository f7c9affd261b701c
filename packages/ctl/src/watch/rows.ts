/** Rows of the panes of `ctl watch`: which there are, in which order, and what stands in one that is opened. Pure. */

import type { RolloutBrief } from "@muster/protocol/control/rollouts";
import { loadOf } from "@muster/protocol/load";
import type { HostRollout, Rollout } from "@muster/protocol/record";
import { bgpColour } from "@muster/protocol/telemetry/bgp";
import { checkColour } from "@muster/protocol/telemetry/checks";
import { checkText, type HostCheck } from "@muster/view/checks";
import type { FleetModel } from "@muster/view/model";
import type { Seen } from "@muster/view/seen";
import { routeCount, type SessionRow, sinceMs } from "@muster/view/sessions";
import { byWorst, type HostStatus } from "@muster/view/status";
import type { Colour } from "../output/colour.ts";
import { type Column, tableLines } from "../output/table.ts";
import { countText, durationText, listText, numberText, timeText } from "../output/words.ts";
import { checkColumns, reasonLines } from "../report/checks.ts";
import { diagnosisLines } from "../report/diagnosis.ts";
import { eventLines } from "../report/event.ts";
import { LOAD_ORDERS, type LoadRow, loadColumns } from "../report/load.ts";
import { sessionColumns } from "../report/sessions.ts";
import { statusColumns } from "../report/status.ts";
import { type Pane, SORTS, type Ui } from "./keys.ts";

export type Row = {
  readonly key: string;
  /** What the filter looks at. */
  readonly text: string;
};

/** A pane's rows in order, and how a piece of them looks: the titles first. */
export type Listed = {
  readonly rows: readonly Row[];
  lines(from: number, count: number): string[];
  detail(key: string): string[];
};

const TINT = { red: 0, amber: 1, grey: 2, green: 3 } as const;

export function listed(
  pane: Pane,
  model: FleetModel,
  now: Seen,
  ui: Ui,
  now_ms: number,
  colour: Colour,
): Listed {
  const sort = SORTS[pane][ui.sort[pane]] ?? "";
  switch (pane) {
    case "hosts":
      return hostRows(model, now, sort, ui, now_ms, colour);
    case "sessions":
      return sessionRows(now, sort, ui, now_ms, colour);
    case "events":
      return eventRows(model, ui, colour);
    case "rollout":
      return rolloutRows(model, ui, now_ms, colour);
    case "load":
      return loadRows(model, now, sort, ui, now_ms, colour);
    case "checks":
      return checkRows(now, sort, ui, now_ms, colour);
  }
}

/** Filters, sorts and gives the piece that is seen; only that is made into text. */
function list<R>(
  all: readonly R[],
  ui: Ui,
  row: (each: R) => Row,
  order: ((one: R, other: R) => number) | null,
  columns: readonly Column<R>[],
  detail: (each: R) => string[],
): Listed {
  const wanted = ui.filter.toLowerCase();
  const kept = all
    .map((each) => ({ each, row: row(each) }))
    .filter(({ row: { text } }) => wanted === "" || text.toLowerCase().includes(wanted));
  if (order !== null) kept.sort((one, other) => order(one.each, other.each));
  if (ui.reversed) kept.reverse();
  return {
    rows: kept.map((each) => each.row),
    lines: (from, count) =>
      tableLines(
        kept.slice(from, from + count).map(({ each }) => each),
        columns,
      ),
    detail: (key) => {
      const found = kept.find((each) => each.row.key === key);
      return found === undefined ? ["it is gone"] : detail(found.each);
    },
  };
}

const byName = (one: HostStatus, other: HostStatus) => one.known.name.localeCompare(other.known.name);

function hostRows(
  model: FleetModel,
  now: Seen,
  sort: string,
  ui: Ui,
  now_ms: number,
  colour: Colour,
): Listed {
  const orders: Record<string, (one: HostStatus, other: HostStatus) => number> = {
    trouble: (one, other) => byWorst(one, other) || byName(one, other),
    name: byName,
    state: (one, other) => one.word.localeCompare(other.word) || byName(one, other),
    sessions: (one, other) => down(other) - down(one) || byName(one, other),
    certificates: (one, other) =>
      (one.soonest?.not_after ?? Infinity) - (other.soonest?.not_after ?? Infinity) || byName(one, other),
  };
  return list(
    now.hosts,
    ui,
    ({ known, word }) => ({
      key: known.name,
      text: `${known.name} ${known.groups.join(" ")} ${word}`,
    }),
    orders[sort] ?? byName,
    statusColumns(now_ms, colour)
      .filter(({ title }) => title !== "AGENT" && title !== "ID")
      .map(shown),
    (row) => hostDetail(model, now, row, now_ms, colour),
  );
}

const shown = <R>({ wide: _, ...column }: Column<R>): Column<R> => column;
const down = ({ sessions }: HostStatus) => (sessions === null ? -1 : sessions.expected - sessions.up);

function hostDetail(model: FleetModel, now: Seen, row: HostStatus, now_ms: number, colour: Colour): string[] {
  const { known } = row;
  const { convergence, health } = known;
  const facts = [
    ["state", `${row.word}${convergence === null ? "" : `, since ${timeText(convergence.since)}`}`],
    ["groups", listText(known.groups)],
    [
      "generation",
      `${convergence?.generation ?? "-"}${convergence === null ? "" : `, ${convergence.resources.ok} of ${convergence.resources.total} resources as declared`}`,
    ],
    ["heard", known.heard_at === null ? "never" : `${durationText(now_ms - known.heard_at)} ago`],
    ...known.certificates.map(({ name, not_after }) => [
      `${name} cert.`,
      not_after <= now_ms ? "ended" : `${durationText(not_after - now_ms)} left`,
    ]),
    ...(health === null
      ? []
      : [
          [
            "load",
            `${health.load.map((value) => value.toFixed(2)).join(" ")} on ${health.cores} cores, up ${durationText(health.uptime_s * 1_000)}`,
          ],
          [
            "memory",
            `${numberText(Math.round(health.memory.available_bytes / 1_048_576))} of ${numberText(Math.round(health.memory.total_bytes / 1_048_576))} MiB free`,
          ],
          [
            "units",
            health.failed_units.length === 0 ? "none failed" : `failed: ${listText(health.failed_units)}`,
          ],
        ]),
    ["agent", known.agent_version ?? "-"],
  ].map(([name = "", value = ""]) => `${name.padEnd(15)}${value}`);
  const troubles = row.troubles.map(
    ({ tint, what, next }) => `${colour[tint](what.replaceAll("\n", " "))}      ${next}`,
  );
  const own = now.sessions.filter(({ host }) => host === known.name);
  const events = model.events
    .filter(({ host }) => host === known.name)
    .slice(-20)
    .reverse();
  return [
    ...facts,
    ...(troubles.length === 0 ? [] : ["", ...troubles]),
    ...(own.length === 0 ? [] : ["", ...tableLines(own, sessionColumns(now_ms, colour).slice(1))]),
    ...(events.length === 0 ? [] : ["", ...events.flatMap((event) => eventLines(event, colour))]),
  ];
}

function sessionRows(now: Seen, sort: string, ui: Ui, now_ms: number, colour: Colour): Listed {
  const key = ({ host, session }: SessionRow) => `${host} ${session.name}`;
  const plain = (one: SessionRow, other: SessionRow) => key(one).localeCompare(key(other));
  const orders: Record<string, (one: SessionRow, other: SessionRow) => number> = {
    trouble: (one, other) =>
      TINT[bgpColour(one.session.verdict)] - TINT[bgpColour(other.session.verdict)] || plain(one, other),
    host: plain,
    name: (one, other) => one.session.name.localeCompare(other.session.name) || plain(one, other),
    since: (one, other) =>
      (sinceMs(one.session, now_ms) ?? Infinity) - (sinceMs(other.session, now_ms) ?? Infinity) ||
      plain(one, other),
    imported: (one, other) =>
      (routeCount(other.session, "imported") ?? -1) - (routeCount(one.session, "imported") ?? -1) ||
      plain(one, other),
  };
  return list(
    now.sessions,
    ui,
    (row) => ({
      key: key(row),
      text: `${key(row)} ${row.session.neighbor_address ?? ""} AS${row.session.neighbor_as ?? ""} ${row.session.state} ${row.session.verdict}`,
    }),
    orders[sort] ?? plain,
    sessionColumns(now_ms, colour).filter(({ wide }) => wide !== true),
    ({ host, session }) => {
      const sample = now.hosts.find(({ known }) => known.name === host)?.known.bgp;
      return sample == null
        ? ["nothing is known of it now"]
        : [
            ...diagnosisLines({ session, sample, path: null }, now_ms, colour),
            "",
            `the way there, asked of the host now:      ctl bgp ${host} ${session.name}`,
          ];
    },
  );
}

function eventRows(model: FleetModel, ui: Ui, colour: Colour): Listed {
  const newest = model.events.map((event, at) => ({ event, at })).reverse();
  return list(
    newest,
    ui,
    ({ event: { host, event } }) => ({
      key: `${event.at} ${host} ${event.kind} ${event.what}`,
      text: `${host} ${event.kind} ${event.severity} ${event.what} ${event.by ?? ""}`,
    }),
    null,
    [{ title: "WHEN                 WHO  WHAT", value: ({ event }) => eventLines(event, colour)[0] ?? "" }],
    ({ event }) => eventLines(event, colour),
  );
}

/** A host of a rollout, or as many as are not named of those that are in one state. */
type RolloutRow = {
  readonly key: string;
  /** Index of its wave; -1 = of none. */
  readonly wave: number;
  readonly host: string;
  readonly state: HostRollout["state"];
  readonly at: number | null;
  readonly detail: string;
};

function rolloutRows(model: FleetModel, ui: Ui, now_ms: number, colour: Colour): Listed {
  const { rollout } = model;
  return list(
    rollout === null ? [] : "left_out" in rollout ? rowsInShort(rollout) : rowsInWhole(rollout),
    ui,
    ({ key, wave, host, state }) => ({ key, text: `${host} wave ${wave + 1} ${state}` }),
    null,
    [
      { title: "WAVE", value: ({ wave }) => (wave < 0 ? "-" : String(wave + 1)), align: "right" },
      { title: "HOST", value: ({ host }) => host },
      {
        title: "STATE",
        value: ({ state }) => {
          if (state === "converged") return colour.green(state);
          return state === "failed" || state === "silent" ? colour.red(state) : state;
        },
      },
      {
        title: "FOR",
        value: ({ at }) => (at === null ? "-" : durationText((rollout?.ended_at ?? now_ms) - at)),
        align: "right",
      },
      { title: "DETAIL", value: ({ detail }) => detail },
    ],
    ({ host, state, detail }) => [`${host}: ${state}`, detail],
  );
}

const rowsInWhole = ({ waves, hosts }: Rollout): RolloutRow[] =>
  waves.flatMap((names, wave) =>
    names.map((host) => {
      const { state, at, detail } = hosts[host] ?? ({ state: "waiting", at: null, detail: "" } as const);
      return { key: host, wave, host, state, at, detail };
    }),
  );

const STATES = ["failed", "returned", "silent", "published", "waiting", "converged"] as const;

/** Wave by wave: who is named, then how many are not. */
function rowsInShort({ waves, hosts }: RolloutBrief): RolloutRow[] {
  const named = (wave: number) => hosts.filter((each) => each.wave === wave);
  const rows = (wave: number) => named(wave).map((each): RolloutRow => ({ ...each, key: each.host }));
  const others = (wave: number) =>
    STATES.flatMap((state): RolloutRow[] => {
      const count = (waves[wave]?.[state] ?? 0) - named(wave).filter((each) => each.state === state).length;
      const host = countText(count, named(wave).length === 0 ? "host" : "more host");
      return count > 0 ? [{ key: `${wave} ${state}`, wave, host, state, at: null, detail: "" }] : [];
    });
  return [...waves.flatMap((_, wave) => [...rows(wave), ...others(wave)]), ...rows(-1)];
}

/** Of those that are heard: what a silent host was busy with is not shown as if it were so now. */
function loadRows(
  model: FleetModel,
  now: Seen,
  sort: string,
  ui: Ui,
  now_ms: number,
  colour: Colour,
): Listed {
  const rows = now.hosts.flatMap((status): (LoadRow & { status: HostStatus })[] => {
    const { name, health, health_before } = status.known;
    if (health === null || status.state === "silent") return [];
    return [{ host: name, load: loadOf(health, health_before ?? null), status }];
  });
  return list(
    rows,
    ui,
    ({ host, status }) => ({ key: host, text: `${host} ${status.known.groups.join(" ")}` }),
    LOAD_ORDERS[sort] ?? null,
    loadColumns(colour),
    ({ status }) => hostDetail(model, now, status, now_ms, colour),
  );
}

/** Of hosts that are heard, judged by their own clocks. */
function checkRows(now: Seen, sort: string, ui: Ui, now_ms: number, colour: Colour): Listed {
  const skews = new Map(now.hosts.map(({ known }) => [known.name, known.clock_skew_ms]));
  const there = (host: string) => now_ms + (skews.get(host) ?? 0);
  const rows = now.hosts.flatMap(({ known, state }) =>
    state === "silent"
      ? []
      : (known.checks?.checks ?? []).map((check): HostCheck => ({ host: known.name, check })),
  );
  const key = ({ host, check }: HostCheck) => `${host} ${check.name}`;
  const plain = (one: HostCheck, other: HostCheck) => key(one).localeCompare(key(other));
  const tint = ({ host, check }: HostCheck) => TINT[checkColour(check, there(host))];
  const orders: Record<string, (one: HostCheck, other: HostCheck) => number> = {
    trouble: (one, other) => tint(one) - tint(other) || plain(one, other),
    host: plain,
    name: (one, other) => one.check.name.localeCompare(other.check.name) || plain(one, other),
    since: (one, other) => other.check.since - one.check.since || plain(one, other),
    latency: (one, other) =>
      (other.check.latency_ms ?? -1) - (one.check.latency_ms ?? -1) || plain(one, other),
  };
  return list(
    rows,
    ui,
    (row) => ({
      key: key(row),
      text: `${key(row)} ${row.check.method} ${row.check.target} ${row.check.state} ${row.check.why}`,
    }),
    orders[sort] ?? plain,
    checkColumns(there, colour).filter(({ wide }) => wide !== true),
    (row) => {
      const { host, check } = row;
      const before = `ctl query '${host} and min(checks.checks.up, 24h)<1' ; ctl events --kind check --host ${host}`;
      return [
        colour[checkColour(check, there(host))](checkText(check, there(host))),
        `asks     ${check.method} ${check.target}, every ${durationText(check.every_ms)}`,
        `asked    ${check.ran_at === null ? "never" : `${durationText(there(host) - check.ran_at)} ago`}`,
        `good     ${check.up_at === null ? "never" : `last ${timeText(check.up_at)}`}`,
        ...reasonLines(row, colour),
        "",
        `what it was before:      ${before}`,
      ];
    },
  );
}
