/**
 * Runs what is declared: each check at its own pace, a bounded number at a time. States outlive a restart of the agent, so that "down since" stays true; one
 * that was not asked since the start is shown blind, whatever it was before. Loaded with the first check of a host and not before.
 */
import type { Log } from "@muster/ports/log";
import type { FleetEvent } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { durationMs } from "@muster/protocol/resources/amount";
import {
  CHECKS_LIMIT,
  type Check,
  type CheckMethod,
  methodOf,
  targetOf,
} from "@muster/protocol/resources/check";
import type { CheckRow, ChecksSample } from "@muster/protocol/telemetry/checks";
import { readKept, writeWhole } from "../store.ts";
import { atMost } from "../turns.ts";
import { jittered, pause } from "../wait.ts";
import { tcp, tls } from "./connection.ts";
import { dns } from "./dns.ts";
import { http } from "./http.ts";
import { type Judged, judge, restOf, turnOf, unasked } from "./judge.ts";
import { KeptChecks } from "./kept.ts";
import { probe } from "./probe.ts";
import { command, icmp } from "./program.ts";
import { type Answer, blind, type CheckDoor, type MakeWay, type Way } from "./way.ts";

const WAYS: Readonly<Record<CheckMethod, MakeWay>> = { http, tcp, dns, icmp, tls, command, probe };
const NETWORK_AT_ONCE = 32;
/** A process costs some 5 ms, and memory while it runs. */
const PROGRAMS_AT_ONCE = 4;
/** The first answers are spread over so long. */
const FIRST_MS = 2_000;
const PROGRAM_GRACE_MS = 3_000;

export type DeclaredCheck = { readonly name: string; readonly spec: Check; readonly hash: string };
export type RunnerDoor = CheckDoor & {
  readonly log: Log;
  readonly file: string;
  tell(event: Omit<FleetEvent, "at">): void;
  /** Something is worth to be sent now. */
  turned(): void;
  /** A mistake in the program. */
  broke(error: unknown): void;
};

type One = DeclaredCheck & { readonly begun: number; readonly stop: AbortController; judged: Judged };

export class CheckRunner {
  readonly #door: RunnerDoor;
  readonly #kept: KeptChecks["checks"];
  #all = new Map<string, One>();
  #beyond = 0;
  #keeping = Promise.resolve();
  readonly #network = atMost(NETWORK_AT_ONCE);
  readonly #programs = atMost(PROGRAMS_AT_ONCE);

  private constructor(door: RunnerDoor, kept: KeptChecks["checks"]) {
    this.#door = door;
    this.#kept = kept;
  }

  /** With what was known before the last end of the agent. */
  static async open(door: RunnerDoor): Promise<CheckRunner> {
    try {
      return new CheckRunner(door, (await readKept(door.file, KeptChecks))?.value.checks ?? {});
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      door.log.warn({ err: error }, "since when checks are as they are is lost");
      return new CheckRunner(door, {});
    }
  }

  /** Runs these from now on, until `signal` aborts; what is declared otherwise than before begins anew. */
  declare(declared: readonly DeclaredCheck[], signal: AbortSignal): void {
    const sorted = [...declared].sort((one, other) => (one.name < other.name ? -1 : 1));
    const wanted = new Map(sorted.slice(0, CHECKS_LIMIT).map((each) => [each.name, each]));
    this.#beyond = declared.length - wanted.size;
    for (const one of this.#all.values()) if (wanted.get(one.name)?.hash !== one.hash) one.stop.abort();
    const all = new Map<string, One>();
    for (const each of wanted.values()) {
      const held = this.#all.get(each.name);
      all.set(each.name, held?.hash === each.hash ? held : this.#begin(each, signal));
    }
    this.#all = all;
    this.#keep();
    this.#door.turned();
  }

  /** When what turned so far is on the disk, or is told not to be. */
  kept(): Promise<void> {
    return this.#keeping;
  }

  sample(): ChecksSample {
    const at = this.#door.ports.now();
    const rows = [...this.#all.values()].map(rowOf);
    if (this.#beyond > 0) rows.push(beyond(this.#beyond, at));
    return { at, checks: rows };
  }

  #begin(each: DeclaredCheck, signal: AbortSignal): One {
    const now_ms = this.#door.ports.now();
    const kept = this.#kept[each.name];
    const judged =
      kept?.hash === each.hash
        ? { ...unasked(now_ms), state: kept.state, since: kept.since, up_at: kept.up_at }
        : unasked(now_ms);
    const one: One = { ...each, begun: now_ms, stop: new AbortController(), judged };
    const life = AbortSignal.any([signal, one.stop.signal]);
    this.#run(one, life).catch((error: unknown) => {
      if (!life.aborted) this.#door.broke(error);
    });
    return one;
  }

  async #run(one: One, life: AbortSignal): Promise<void> {
    const { spec } = one;
    const method = methodOf(spec);
    const way = WAYS[method](spec, this.#door);
    const turn = isProgram(method) ? this.#programs : this.#network;
    const every_ms = durationMs(spec.every);
    await pause(Math.random() * Math.min(FIRST_MS, every_ms), life);
    while (!life.aborted) {
      const answer = await turn(() => asked(way, spec, method, life));
      if (life.aborted) return;
      this.#take(one, answer);
      await pause(jittered(restOf(one.judged, every_ms, isProgram(method)), 0.1), life);
    }
  }

  #take(one: One, answer: Answer): void {
    const before = one.judged;
    one.judged = judge(before, answer, one.spec, this.#door.ports.now());
    const event = turnOf(one.name, before, one.judged);
    if (event !== null) this.#door.tell(event);
    if (before.state !== one.judged.state) this.#keep();
    if (before.state !== one.judged.state || before.ran_at === null) this.#door.turned();
  }

  /** Written at a turn alone; after a crash the one before is good enough. */
  #keep(): void {
    const checks = Object.fromEntries(
      [...this.#all.values()].map(({ name, hash, spec, judged: { state, since, up_at, why } }) => [
        name,
        { hash, state, since, up_at, asks: `${methodOf(spec)} ${targetOf(spec)}`, why },
      ]),
    );
    const text = JSON.stringify({ checks } satisfies KeptChecks);
    this.#keeping = this.#keeping
      .then(() => writeWhole(this.#door.file, text))
      .catch((error: unknown) => {
        if (error instanceof FleetError)
          this.#door.log.warn({ err: error }, "states of checks cannot be kept");
        else this.#door.broke(error);
      });
  }
}

/** One answer within its time. Signals of its own that end with it: what `AbortSignal.any` ties to a life that is long stays with it in Node 20. */
async function asked(way: Way, spec: Check, method: CheckMethod, life: AbortSignal): Promise<Answer> {
  const end = new AbortController();
  const stop = () => end.abort();
  let over = false;
  // A program's own limit comes first, and says more.
  const timer = setTimeout(
    () => {
      over = true;
      stop();
    },
    durationMs(spec.timeout) + (isProgram(method) ? PROGRAM_GRACE_MS : 0),
  );
  life.addEventListener("abort", stop, { once: true });
  try {
    const answer = await way(end.signal);
    const whole = answer.ok === true || answer.reasons !== undefined;
    return over && !whole ? late(spec) : answer;
  } catch (error) {
    if (end.signal.aborted) return late(spec);
    if (error instanceof FleetError) return blind(error.detail);
    throw error;
  } finally {
    clearTimeout(timer);
    life.removeEventListener("abort", stop);
  }
}

const isProgram = (method: CheckMethod) => method === "icmp" || method === "command";
const late = ({ timeout }: Check): Answer => ({ ok: false, why: `no answer within ${timeout}` });

function rowOf({ name, spec, begun, judged }: One): CheckRow {
  const { state, since, up_at, ran_at, latency_ms, why, reasons } = judged;
  const fresh = ran_at === null ? ({ state: "blind", since: begun } as const) : { state, since };
  return {
    ...{ name, method: methodOf(spec), target: targetOf(spec), ...fresh },
    ...{ up_at, ran_at, latency_ms, why, every_ms: durationMs(spec.every) },
    ...(reasons === undefined ? {} : { reasons: [...reasons] }),
  };
}

const beyond = (count: number, at: number): CheckRow => ({
  ...{ name: `+${count}`, method: "unknown", target: "", state: "blind", since: at - 3_600_000 },
  ...{ up_at: null, ran_at: null, latency_ms: null, every_ms: 0 },
  why: `${count} more than ${CHECKS_LIMIT} are declared on this host: they are not run`,
});
