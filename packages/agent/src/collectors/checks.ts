/**
 * What is declared to answer: taken from the ledger when that changes, asked by `checks/runner.ts`, sent at once when one turns and every ten seconds. On a host
 * without checks nothing is loaded, and nothing wakes but with the reconciler.
 *
 * Period 10 s, of each check its own; cost 1.5 ms an answer over TCP, 10 to 16 ms where it is a program (docs/figures.md); CHECKS_LIMIT, 32 and 4 at once.
 */
import type { Log } from "@muster/ports/log";
import type { BgpSample, FleetEvent } from "@muster/protocol";
import { CHECKS_PERIOD_MS, type ChecksSample } from "@muster/protocol/telemetry/checks";
import type { CheckRunner, DeclaredCheck } from "../checks/runner.ts";
import type { Ledger } from "../ledger.ts";
import type { Ports } from "../ports/index.ts";
import { Bell } from "../wait.ts";

export type ChecksDoor = {
  readonly ports: Ports;
  readonly ledger: Pick<Ledger, "state">;
  /** Where states are kept. */
  readonly file: string;
  readonly log: Log;
  tell(event: Omit<FleetEvent, "at">): void;
  bgp(): BgpSample | null;
  fleetCa(): string;
};

export type ChecksCollector = {
  /** As they stand; null on a host without checks. */
  last(): ChecksSample | null;
  /** Something of what is declared may have changed. */
  look(): void;
  /** Runs until the signal aborts. */
  run(publish: (sample: ChecksSample) => void, signal: AbortSignal): Promise<void>;
};

const NEVER_MS = 86_400_000;

export function createChecks(door: ChecksDoor): ChecksCollector {
  const bell = new Bell();
  let runner: CheckRunner | null = null;
  let turned = false;
  const broken: unknown[] = [];

  const load = async () => {
    const { CheckRunner } = await import("../checks/runner.ts");
    return CheckRunner.open({
      ...door,
      turned() {
        turned = true;
        bell.ring();
      },
      broke(error) {
        broken.push(error);
        bell.ring();
      },
    });
  };

  return {
    last: () => runner?.sample() ?? null,
    look: () => bell.ring(),
    async run(publish, signal) {
      let seen: unknown = null;
      let published_at = Number.NEGATIVE_INFINITY;
      while (!signal.aborted) {
        const { resources } = door.ledger.state;
        if (resources !== seen) {
          const declared = declaredIn(resources);
          if (declared.length > 0 || runner !== null) {
            runner ??= await load();
            runner.declare(declared, signal);
            // The last word of a host that has none any more.
            if (declared.length === 0) {
              publish(runner.sample());
              runner = null;
            }
          }
          seen = resources;
        }
        if (broken.length > 0) throw broken[0];
        const age_ms = performance.now() - published_at;
        if (runner !== null && (turned || age_ms >= CHECKS_PERIOD_MS)) {
          turned = false;
          published_at = performance.now();
          publish(runner.sample());
        }
        const next_ms = CHECKS_PERIOD_MS - (performance.now() - published_at);
        await bell.rung(runner === null ? NEVER_MS : Math.max(1, next_ms), signal);
      }
      await runner?.kept();
    },
  };
}

function declaredIn(resources: Ledger["state"]["resources"]): DeclaredCheck[] {
  return Object.values(resources).flatMap(({ resource, spec_hash }) =>
    resource.kind === "check" ? [{ name: resource.name, spec: resource.spec, hash: spec_hash }] : [],
  );
}
