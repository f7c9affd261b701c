/**
 * One revocation over all planes at once: broker, Vault, trust bundle, records. Each step stands for itself, is timed, and can be repeated: what was done
 * already is found done. Nothing waits for anything else, so that a plane that is away holds up none of the others.
 */
import { callController } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import { disableEntity } from "../fleet/people.ts";
import { cutOff } from "../join/host-logins.ts";
import { countText } from "../output/words.ts";
import type { Session } from "../session/session.ts";
import { type BusDone, voidOnBus } from "./bus.ts";
import type { Target } from "./target.ts";
import { type BundleChange, changeBundle, revokingSshKey, voiding } from "./trust.ts";

/** A host's bus access lives 7 days, and one may be issued while this runs. */
const HOST_ACCESS_MS = 8 * 86_400_000;

export type StepDone = {
  readonly step: "bus" | "vault" | "signatures" | "ssh" | "records";
  /** In the operator's words. */
  readonly what: string;
  /** False where it was done before. */
  readonly changed: boolean;
  readonly took_ms: number;
  readonly error: FleetError | null;
};

type Done = { readonly what: string; readonly changed: boolean };
type Order = {
  readonly session: Session;
  readonly target: Target;
  readonly why: string;
  /** What a person signed from then on is void. */
  readonly since_ms: number;
  readonly now: () => number;
  readonly signal: AbortSignal;
};

/** Resolves when every step has ended, well or not; programming errors are thrown. */
export function revokeEverywhere(order: Order): Promise<StepDone[]> {
  return Promise.all(
    stepsOf(order).map(async ([step, work]): Promise<StepDone> => {
      const began = performance.now();
      const took_ms = () => Math.round(performance.now() - began);
      try {
        return { step, ...(await work()), took_ms: took_ms(), error: null };
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        return { step, what: error.message, changed: false, took_ms: took_ms(), error };
      }
    }),
  );
}

function stepsOf(order: Order): [StepDone["step"], () => Promise<Done>][] {
  const { target } = order;
  const bundle = (change: BundleChange, what: string) => async (): Promise<Done> => {
    const { version, changed } = await changeBundle(order.session, change, order.now, order.signal);
    return { what: `${what}, trust bundle ${version}`, changed };
  };
  const steps: [StepDone["step"], () => Promise<Done>][] = [["bus", () => onBus(order)]];
  if (target.kind === "host") {
    steps.push(["vault", () => hostAtVault(order)]);
    const key = target.host?.record?.ssh_public_key;
    if (key !== undefined)
      steps.push(["ssh", bundle(revokingSshKey(key), "its host key is in the revocation list")]);
  }
  if (target.kind === "person") {
    steps.push(["vault", () => atVault(order)]);
    steps.push(["signatures", bundle(voiding({ name: target.name }, order.since_ms), "void on every host")]);
  }
  const certificate = target.kind === "access" ? target.accesses[0]?.certificate : null;
  if (certificate != null)
    steps.push([
      "signatures",
      bundle(voiding({ fingerprint: certificate }, order.since_ms), "of this log-in are void on every host"),
    ]);
  steps.push(["records", () => onRecord(order)]);
  return steps;
}

async function onBus({ session, target, now, signal }: Order): Promise<Done> {
  const keys = new Map(target.accesses.map(({ id, ends }) => [id, ends]));
  if (target.host !== null) {
    const { record, id } = target.host;
    // Once its record is closed nothing more is issued.
    const issued = record?.state === "retired" ? 0 : now() + HOST_ACCESS_MS;
    keys.set(id, Math.max(record?.certificates.user_jwt ?? 0, issued));
  }
  const person = target.kind === "person" ? target.name : null;
  const done = await voidOnBus(session, { keys, person }, now, signal);
  return { what: busText(done), changed: done.changed || done.closed > 0 };
}

function busText({ keys, closed, closed_ms, kicked }: BusDone): string {
  if (keys === 0) return "no access is on record, and nothing is connected";
  const by_hand = kicked === 0 ? "" : `, ${kicked} of them by hand`;
  const gone =
    closed === 0
      ? "nothing was connected"
      : `${countText(closed, "connection")} closed after ${closed_ms ?? 0} ms${by_hand}`;
  return `${countText(keys, "key")} void; ${gone}`;
}

async function atVault({ session, target }: Order): Promise<Done> {
  const done = await disableEntity(await session.vault(), target.name);
  if (done === null) return { what: "Vault knows nobody of that name", changed: false };
  return { what: "can neither log in nor read anything", changed: done };
}

/** Every log-in that was ever made for its name: each is an entity of its own. */
async function hostAtVault({ session, target }: Order): Promise<Done> {
  const count = await cutOff(await session.vault(), target.name);
  const before = target.host?.record?.state === "retired";
  if (count === 0) return { what: "it has no log-in there", changed: false };
  return { what: "can neither log in nor read anything", changed: !before };
}

async function onRecord({ session, target, why, signal }: Order): Promise<Done> {
  if (target.silence !== null) throw target.silence;
  const host = target.host === null ? null : { name: target.name, id: target.host.id };
  const accesses = target.accesses.map(({ id }) => id);
  const connection = await session.connect();
  const reply = await callController(connection, "revoke", { host, accesses, why }, { signal });
  const what =
    host === null
      ? "nothing is issued for it any more"
      : "nothing is issued or renewed for it, and its name stays taken";
  return { what, changed: reply.host || reply.accesses > 0 };
}
