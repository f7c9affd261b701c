/**
 * How a host stands, in words: one state, and a line for each thing that is red or wants attention, with what, since when, the daemon's own
 * words and the next command. Pure. Silence is a state with a time; what is old is not shown as if it were new.
 */
import { type BgpSample, sessionCounts } from "@muster/protocol/telemetry/bgp";
import type { Convergence } from "@muster/protocol/telemetry/convergence";
import { isBehind, type Known } from "./known.ts";
import { clockText, STALE_MS, type Trouble, troublesOf } from "./trouble.ts";
import { durationText } from "./words.ts";

export type Tint = "red" | "amber" | "green" | "grey";

export type HostStatus = {
  readonly known: Known;
  /** For scripts. */
  readonly state: Convergence["state"] | "silent" | "not enrolled" | "pending";
  /** For people: the state with what qualifies it. */
  readonly word: string;
  readonly tint: Tint;
  /** `drained`: of those expected, down because this host or its neighbour is. */
  readonly sessions: { readonly up: number; readonly expected: number; readonly drained?: number } | null;
  readonly soonest: { readonly name: string; readonly not_after: number } | null;
  readonly troubles: readonly Trouble[];
};

/** The worst is the least. */
export const RANK: Readonly<Record<Tint, number>> = { red: 0, amber: 1, grey: 2, green: 3 };

/** The worst that there is to say of a host: of its state, and of what is wrong with it. */
export const worstTint = ({ tint, troubles }: Pick<HostStatus, "tint" | "troubles">): Tint =>
  [tint, ...troubles.map((trouble) => trouble.tint)].reduce((one, other) =>
    RANK[other] < RANK[one] ? other : one,
  );

/** Red first. */
export const byWorst = (one: HostStatus, other: HostStatus): number =>
  RANK[worstTint(one)] - RANK[worstTint(other)];

export function statusOf(known: Known, now_ms: number): HostStatus {
  const { name, convergence, declared_since } = known;
  const base = {
    known,
    sessions: sessionsOf(known, now_ms + known.clock_skew_ms),
    soonest: soonestOf(known),
  };
  if (!known.enrolled) {
    const trouble: Trouble = {
      tint: "red",
      about: "joined",
      what:
        declared_since === undefined
          ? "in the folder, and no machine has joined under this name"
          : `never joined; declared since ${clockText(declared_since, now_ms)} (${durationText(now_ms - declared_since)})`,
      next: `ctl join ${name}`,
    };
    return { ...base, state: "not enrolled", word: "not enrolled", tint: "red", troubles: [trouble] };
  }
  if (known.silent || convergence === null) {
    const since = !known.silent
      ? "says nothing of its state"
      : known.heard_at === null
        ? "silent"
        : `silent since ${clockText(known.heard_at, now_ms)} (${durationText(now_ms - known.heard_at)})`;
    const trouble: Trouble = {
      tint: "red",
      about: "silent",
      what: since,
      next: `ctl rpc ping ${name}    on the host: systemctl status muster-agent`,
    };
    return { ...base, sessions: null, state: "silent", word: since, tint: "red", troubles: [trouble] };
  }
  const { word, tint } = wordOf(known, convergence);
  const behind = isBehind(known, convergence);
  const state = behind && convergence.state === "converged" ? "pending" : convergence.state;
  return { ...base, state, word, tint, troubles: troublesOf(known, convergence, now_ms) };
}

function wordOf(known: Known, convergence: Convergence): { word: string; tint: Tint } {
  const left = convergence.drift.some((drift) => drift.action !== "corrected");
  const more = [
    ...(left ? ["edited by hand"] : []),
    ...(convergence.held.length > 0 ? ["held"] : []),
    ...(convergence.drained == null ? [] : ["drained"]),
  ];
  const also = more.length > 0 ? `, ${more.join(", ")}` : "";
  switch (convergence.state) {
    case "converged":
      if (isBehind(known, convergence)) return { word: `pending${also}`, tint: "amber" };
      return { word: `converged${also}`, tint: also === "" ? "green" : "amber" };
    case "watched":
      return { word: `watched${also}`, tint: "grey" };
    case "applying":
      return { word: "applying", tint: "amber" };
    case "unconfirmed":
      return { word: "unconfirmed", tint: "amber" };
    case "returned":
      return { word: `returned${also}`, tint: "amber" };
    default:
      return { word: `${convergence.state}${also}`, tint: "red" };
  }
}

/** Null while nothing of now is known. */
function sessionsOf(known: Known, now_ms: number): HostStatus["sessions"] {
  const { bgp, counted } = known;
  if (counted !== undefined) return counted;
  if (bgp === null || now_ms - Date.parse(bgp.at) > STALE_MS) return null;
  const counts = sessionCounts(bgp);
  if (!bgp.daemon.reachable) return counts.expected === 0 ? null : { ...counts, up: 0 };
  return {
    ...counts,
    drained: expectedUp(bgp).filter(({ verdict, state }) => verdict === "drained" && state !== "established")
      .length,
  };
}

const expectedUp = (sample: BgpSample) => sample.sessions.filter((session) => session.expected === "up");

function soonestOf(known: Known): HostStatus["soonest"] {
  return [...known.certificates].sort((one, other) => one.not_after - other.not_after)[0] ?? null;
}
