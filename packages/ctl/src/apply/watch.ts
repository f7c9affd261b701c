/**
 * Watches a rollout by what hosts and controllers say of it, without asking: subscribed before the order is given, so that no word is missed.
 * Only news of the rollout itself, and long silence, make it ask the controller.
 */

import type { Bus, BusMessage } from "@muster/ports/bus";
import { type Caller, callController } from "@muster/ports/call";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { FleetEvent } from "@muster/protocol/event";
import type { Release } from "@muster/protocol/release";
import { patterns } from "@muster/protocol/subjects";
import { Convergence } from "@muster/protocol/telemetry/convergence";
import { Outcomes, type Said } from "./outcome.ts";

/** Nothing heard for this long: ask. */
const ASK_AFTER_MS = 15_000;
/** The controller may tell of the end a moment before it has stored it. */
const ASK_AGAIN_MS = 300;
/** Up to here a subscription a host; beyond, one for all. */
const NAMED_LIMIT = 64;
/** Beyond the waves' own time. */
const SLACK_MS = 30_000;

/** Of what hosts say of themselves every time as much as tells how far they are. */
const Word = Convergence.pick({
  ...{ state: true, since: true, generation: true, content_hash: true },
  ...{ release: true, detail: true, error: true, at: true },
});

export type Watch = {
  /** Resolves when the rollout is over for every host, or its time is up; rejects with CANCELLED when the signal aborts. */
  ended(): Promise<Outcomes>;
  /** Takes what the controller is known to say already. */
  told(rollout: Parameters<Outcomes["told"]>[0]): void;
  close(): void;
};

export type WatchOptions = {
  readonly caller: Caller & { readonly bus: Pick<Bus, "subscribe"> };
  readonly release: Pick<Release, "id" | "generation" | "hosts" | "waves" | "gate">;
  readonly before: ReadonlyMap<string, Said>;
  readonly now: () => number;
  /** Hears of every host whose outcome changed. */
  readonly changed: (name: string, outcomes: Outcomes) => void;
  readonly signal: AbortSignal;
};

export function watchRollout(options: WatchOptions): Watch {
  const { caller, release, signal } = options;
  const outcomes = new Outcomes(release, options.before);
  const names = new Map(Object.entries(release.hosts).map(([name, { id }]) => [id, name]));
  const began = options.now();
  const deadline = began + release.gate.wave_timeout_ms * release.waves.length + SLACK_MS;
  let finish: ((result: Outcomes | FleetError) => void) | undefined;
  let result: Outcomes | FleetError | undefined;
  let timer: NodeJS.Timeout | undefined;
  let asking = false;

  const end = (with_what: Outcomes | FleetError): void => {
    if (result !== undefined) return;
    result = with_what;
    clearTimeout(timer);
    finish?.(result);
  };
  const wait = (wait_ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void ask(), Math.max(0, Math.min(wait_ms, deadline - options.now())));
  };
  const ask = async (): Promise<void> => {
    if (asking || result !== undefined) return;
    asking = true;
    let next_ms = ASK_AFTER_MS;
    try {
      const { rollout } = await callController(caller, "rollout", { rollout: release.id });
      if (rollout !== null) {
        const before = new Map(outcomes.hosts);
        outcomes.told(rollout, options.now() - began);
        for (const [name, { outcome }] of outcomes.hosts)
          if (before.get(name)?.outcome !== outcome) options.changed(name, outcomes);
        if (rollout.state === "running") next_ms = told_of_end ? ASK_AGAIN_MS : ASK_AFTER_MS;
      }
    } catch (error) {
      // A controller that restarts is no news of the hosts.
      if (!(error instanceof FleetError) || !error.retryable)
        return end(error instanceof FleetError ? error : new FleetError("FAILED", String(error)));
    } finally {
      asking = false;
      told_of_end = false;
    }
    if (outcomes.over || options.now() >= deadline) end(outcomes);
    else wait(next_ms);
  };
  let told_of_end = false;

  const onTelemetry = (message: BusMessage): void => {
    const [, id = ""] = message.subject.split(".");
    const name = names.get(id);
    if (name === undefined) return;
    const said = parseJson(Word, message.body, `convergence of ${name}`);
    if (outcomes.heard(name, said, options.now() - began)) {
      options.changed(name, outcomes);
      wait(ASK_AFTER_MS);
    }
    if (outcomes.over) end(outcomes);
  };
  const onEvent = (message: BusMessage): void => {
    const event = parseJson(FleetEvent, message.body, "event");
    if (event.rollout !== release.id || !message.subject.endsWith("._.rollout")) return;
    told_of_end = true;
    wait(0);
  };
  const hosts = Object.keys(release.hosts);
  const stops = [
    ...(hosts.length > NAMED_LIMIT ? ["*"] : hosts).map((host) =>
      caller.bus.subscribe(
        patterns.telemetry(host, "convergence"),
        { concurrency: 1, pending_limit: 65_536 },
        onTelemetry,
      ),
    ),
    caller.bus.subscribe("event.*._.rollout", { concurrency: 1 }, onEvent),
  ];
  const cancel = (): void => end(new FleetError("CANCELLED", "watching"));
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  else wait(ASK_AFTER_MS);

  return {
    ended: () =>
      new Promise((resolve, reject) => {
        const conclude = (done: Outcomes | FleetError) =>
          done instanceof FleetError ? reject(done) : resolve(done);
        if (result === undefined) finish = conclude;
        else conclude(result);
      }),
    told(rollout) {
      outcomes.told(rollout, 0);
      if (outcomes.over) end(outcomes);
    },
    close() {
      clearTimeout(timer);
      signal.removeEventListener("abort", cancel);
      for (const stop of stops) stop();
    },
  };
}
