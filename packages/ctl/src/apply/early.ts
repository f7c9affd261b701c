/**
 * What of an apply can be on its way before it is known what may be built on: while the manifests that were signed last are proved here, pinned hosts plan for what the
 * folder says already. An answer counts where that turns out to be what is to be signed, and is thrown away elsewhere: a plan changes nothing on a host.
 */
import { alike } from "@muster/protocol/alike";
import { hashOfContent } from "@muster/protocol/manifest";
import type { Pins } from "../fleet/pins.ts";
import type { Context } from "../program/context.ts";
import type { Connection, Session } from "../session/session.ts";
import { desiredOf } from "./desired.ts";
import { askPlans, type Planned } from "./plans.ts";
import { type Asked, type Ground, readGround, type Wanted } from "./prepare.ts";
import type { Target } from "./scope.ts";
import type { Unproved } from "./signed.ts";

/** What is older, as when a person was asked something in between, is asked anew. */
const FRESH_MS = 5_000;

export type Early = {
  readonly ground: Promise<Ground>;
  readonly plans: Promise<EarlyPlans>;
  isFresh(): boolean;
};

/** Who is asked, by name, and what they answer. */
export type EarlyPlans = {
  readonly targets: ReadonlyMap<string, Target>;
  readonly planned: Promise<readonly Planned[]>;
};

/**
 * Begins; nothing of it is told before it is waited for.
 * @param plain hosts are asked: all of what the folder says is meant, and no hand edit goes
 */
export function beginEarly(
  context: Context,
  session: Session,
  connection: Connection,
  wanted: Wanted,
  pins: Pins,
  asked: Asked,
  plain: boolean,
): Early {
  const began_ms = context.now();
  const plans = asked.stored.then((unproved): EarlyPlans => {
    const targets = plain ? guessed(wanted, pins, unproved) : [];
    const planned = askPlans(connection, targets, () => [], context.signal);
    planned.catch(() => undefined);
    return { targets: new Map(targets.map((target) => [target.name, target])), planned };
  });
  const ground = readGround(session, connection, wanted, pins, asked);
  for (const each of [plans, ground]) each.catch(() => undefined);
  return { ground, plans, isFresh: () => context.now() - began_ms < FRESH_MS };
}

/** Plans of the targets, in their order: those that were asked for early and are for the same, and the others asked now. Errors: as `askPlans`. */
export async function withEarly(
  early: EarlyPlans,
  targets: readonly Target[],
  ask: (targets: readonly Target[]) => Promise<Planned[]>,
): Promise<Planned[]> {
  const same = ({ name, id, desired }: Target) => {
    const guess = early.targets.get(name);
    return guess?.id === id && guess.desired.content_hash === desired.content_hash;
  };
  const [before, now] = await Promise.all([early.planned, ask(targets.filter((target) => !same(target)))]);
  const plans = new Map([...before, ...now].map(({ target, plan }) => [target.name, plan]));
  return targets.map((target) => ({ target, plan: plans.get(target.name) ?? null }));
}

/** Pinned hosts as they will be if what was signed last holds nothing back. Whether they hold that already is the word of an unproved manifest: it only says how to ask. */
function guessed(wanted: Wanted, pins: Pins, unproved: Unproved): Target[] {
  const selected = new Set(wanted.selected);
  const hashOf = alike(hashOfContent);
  return wanted.compiled.flatMap((host) => {
    const id = pins.get(host.host);
    if (id === undefined || !selected.has(host.host)) return [];
    const desired = desiredOf(host, null, null, hashOf);
    const stored = unproved.get(host.host) ?? null;
    const changed = stored === null || !saysHash(stored.body, desired.content_hash);
    return [{ name: host.host, id, desired, last: null, changed }];
  });
}

const saysHash = (body: Uint8Array, hash: string) => Buffer.from(body).includes(`"content_hash":"${hash}"`);
