/**
 * Keeps every credential fresh, by one rule: due by age, spread by jitter, tried again with back-off for ever, and told when a third of its life is left.
 * The ways to a new one are in `renewal-ways.ts`; each has a loop of its own, so that none waits for another. When the broker no longer takes our JWT
 * (lost, expired, revoked) the way back is enrolment with the bound key.
 */
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import { CREDENTIAL_NAMES, type CredentialName, type CredentialStore, type Span } from "./credentials.ts";
import type { Events } from "./events.ts";
import { type Bell, backoff_ms, jittered, pause } from "./wait.ts";

/** Of each life the part after which it is renewed: 7 and 14 days after one, 30 days after 10. */
const RENEW_AFTER: Record<CredentialName, number> = {
  bus: 1 / 7,
  identity: 1 / 14,
  service: 1 / 3,
  ssh: 1 / 3,
};
/** Revocation is immediate, so lives are long, and the alarm comes while there is time to act. */
const ALARM_LEFT = 1 / 3;
const JITTER = 0.1;
/** A clock that jumps is seen after this long. */
const LOOK_PERIOD_MS = 60_000;
const LOOK_SOONEST_MS = 250;
const LIVES_REMEMBERED = 32;
const TRIES_IN_A_LIFE = 20;

/** When it is to be renewed. `jitter` in 0.9 to 1.1, kept for the life of the credential, spreads a fleet that was enrolled at once. */
export const dueAt = (name: CredentialName, span: Span, jitter: number): number =>
  span.from + (span.to - span.from) * RENEW_AFTER[name] * jitter;

/** Whether renewal has failed for so long that somebody must look. */
export const isAlarming = (span: Span, now_ms: number): boolean =>
  span.to - now_ms < (span.to - span.from) * ALARM_LEFT;

/** One way to fresh credentials. */
export type Way = {
  /** Which it renews as things are. */
  readonly names: () => readonly CredentialName[];
  /** Which are wanted now, whatever their age. */
  readonly wanted: () => readonly CredentialName[];
  readonly open: () => boolean;
  /** Rings when something is wanted. */
  readonly bell: Bell;
  /** Gets them and keeps them. Errors: whatever stands in the way; it is tried again. */
  readonly renew: (names: readonly CredentialName[], signal: AbortSignal) => Promise<void>;
};

export type RenewalDoor = {
  readonly credentials: CredentialStore;
  readonly ways: readonly Way[];
  readonly events: Events;
  readonly log: Log;
  readonly now: () => number;
  /** New certificates are there to be installed. */
  renewed(names: readonly CredentialName[]): Promise<void>;
};

/** Runs until the signal aborts. */
export async function renewLoop(door: RenewalDoor, signal: AbortSignal): Promise<void> {
  const due = dueTimes(door.credentials);
  await Promise.all([...door.ways.map((way) => followWay(way, due, door, signal)), alarmLoop(door, signal)]);
}

type Due = (name: CredentialName) => number | null;

/** When each is due, null where there is none; the jitter of a life is drawn once. */
function dueTimes(credentials: CredentialStore): Due {
  const jitter = new Map<string, number>();
  return (name) => {
    const span = credentials.kept?.spans[name];
    if (span === undefined) return null;
    const life = `${name} ${span.to}`;
    const factor = jitter.get(life) ?? jittered(1_000, JITTER) / 1_000;
    if (jitter.size > LIVES_REMEMBERED) jitter.clear();
    jitter.set(life, factor);
    return dueAt(name, span, factor);
  };
}

async function followWay(way: Way, due: Due, door: RenewalDoor, signal: AbortSignal): Promise<void> {
  let attempt = 0;
  while (!signal.aborted) {
    const now_ms = door.now();
    const wanted = new Set(way.wanted());
    const times = way.names().map((name) => ({ name, at: wanted.has(name) ? 0 : due(name) }));
    const names = times.filter(({ at }) => at !== null && at <= now_ms).map(({ name }) => name);
    if (names.length === 0 || !way.open()) {
      const next = Math.min(...times.map(({ at }) => at ?? Number.POSITIVE_INFINITY)) - now_ms;
      await way.bell.rung(
        Math.min(jittered(LOOK_PERIOD_MS, JITTER), Math.max(LOOK_SOONEST_MS, next)),
        signal,
      );
      continue;
    }
    try {
      await way.renew(names, signal);
      attempt = 0;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (signal.aborted) return;
      const next_ms = Math.min(backoff_ms(attempt++) * 4, patience_ms(names, door.credentials));
      door.log.warn({ code: error.code, next_ms }, `renewal of ${names.join(", ")}: ${error.message}`);
      await pause(next_ms, signal);
      continue;
    }
    door.log.info({ names }, "credentials were renewed");
    await door.renewed(names);
  }
}

/** The longest wait between two tries: of a short life some must be left for the next. */
function patience_ms(names: readonly CredentialName[], { kept }: CredentialStore): number {
  const lives = names.flatMap((name) => {
    const span = kept?.spans[name];
    return span === undefined ? [] : [span.to - span.from];
  });
  return Math.max(LOOK_SOONEST_MS, Math.min(...lives) / TRIES_IN_A_LIFE);
}

/** Tells once a life. */
async function alarmLoop(door: RenewalDoor, signal: AbortSignal): Promise<void> {
  const alarmed = new Set<string>();
  while (!signal.aborted) {
    for (const name of CREDENTIAL_NAMES) {
      const span = door.credentials.kept?.spans[name];
      if (span === undefined || !isAlarming(span, door.now()) || alarmed.has(`${name} ${span.to}`)) continue;
      alarmed.add(`${name} ${span.to}`);
      const end = new Date(span.to).toISOString().slice(0, 16);
      door.events.tell({
        kind: "credentials",
        severity: "error",
        what: `the ${name} credential ends ${end}Z and could not be renewed`,
      });
    }
    if (alarmed.size > LIVES_REMEMBERED) alarmed.clear();
    await pause(jittered(LOOK_PERIOD_MS, JITTER), signal);
  }
}
