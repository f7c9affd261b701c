/**
 * What was signed last: manifests of hosts and the newest release, read from their streams and believed by their signatures only. A controller
 * that names a higher generation than any that is signed is refused: one jump, and every later number would be its choice.
 */
import { setImmediate as turn } from "node:timers/promises";
import type { Bus, StoredMessage } from "@muster/ports/bus";
import type { ControlReply } from "@muster/protocol/control/index";
import { type Envelope, loadEnvelope, type Verifier } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { manifestsReader, type OpenedManifest, openManifest } from "@muster/protocol/manifest";
import { openRelease } from "@muster/protocol/release";
import { subjects } from "@muster/protocol/subjects";

/** How many direct gets run at once. */
const PARALLEL = 64;
const PROVED_AT_ONCE = 8;
/** How far back a rollback looks for other content. */
const CHAIN_LIMIT = 10;

export type Host = { readonly name: string; readonly id: string };
type Reader = Pick<Bus, "directGet">;

const envelopeOf = ({ headers, body }: StoredMessage): Envelope => ({ headers, body });

/** What is stored last for a host: proved; null for one that never had a manifest; or why it is not believed. */
export type Stored = OpenedManifest | null | FleetError;

/** What is stored last for each host, by name, proved. Anybody with a controller's access may have written it: only a signature makes it count. */
export async function storedLast(
  bus: Reader,
  fleet: string,
  hosts: readonly Host[],
  verifier: Verifier,
): Promise<Map<string, Stored>> {
  return proveStored(fleet, hosts, await readStored(bus, hosts), verifier);
}

/** What is stored last for each host, by name, as it is: nobody has looked at a signature. */
export type Unproved = ReadonlyMap<string, StoredMessage | null>;

export async function readStored(bus: Reader, hosts: readonly Host[]): Promise<Unproved> {
  const found = new Map<string, StoredMessage | null>();
  const queue = [...hosts];
  const work = async (): Promise<void> => {
    for (let host = queue.shift(); host !== undefined; host = queue.shift())
      found.set(host.name, await bus.directGet("DESIRED", subjects.desired(host.id)));
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, hosts.length) }, work));
  return found;
}

/** Proves what was read, some at a time: what is on its way meanwhile goes on, and a large fleet takes seconds. */
export async function proveStored(
  fleet: string,
  hosts: readonly Host[],
  unproved: Unproved,
  verifier: Verifier,
): Promise<Map<string, Stored>> {
  const found = new Map<string, Stored>();
  const read = manifestsReader();
  for (const [index, host] of hosts.entries()) {
    if (index % PROVED_AT_ONCE === 0) await turn();
    const stored = unproved.get(host.name) ?? null;
    found.set(host.name, stored === null ? null : believed(host, fleet, envelopeOf(stored), verifier, read));
  }
  return found;
}

/** What a host said that it holds. */
export type Held = {
  readonly generation: number | null;
  /** The rollout that brought it. */
  release(): Promise<string | null>;
};

/** The manifest to build on. `renew`: what is stored is another one, so that even an unchanged content has to go out again. */
export type Last = { readonly last: OpenedManifest | null; readonly renew: boolean };

/**
 * The newest manifest of a host that is proved. What is stored may be forged, or an old one once more; the host then refuses it, and says which
 * rollout it holds on to: that one's manifest is in the release stream, or, after the stream was lost, with the host itself. Its signature makes it
 * count, wherever it comes from.
 * @param ask the host's own copy; null where it does not answer
 * Errors: why the stored one is not believed, where nothing else is to be had.
 */
export async function lastSigned(
  bus: Reader,
  fleet: string,
  host: Host,
  stored: Stored,
  held: Held | null,
  verifier: Verifier,
  ask: () => Promise<Envelope | null>,
): Promise<Last> {
  const proved = stored instanceof FleetError ? null : stored;
  const held_generation = held?.generation ?? 0;
  if (!(stored instanceof FleetError) && held_generation <= (proved?.manifest.generation ?? 0))
    return { last: proved, renew: false };
  if (stored instanceof FleetError && held !== null && held.generation === null)
    return { last: null, renew: true };
  const release = (await held?.release()) ?? null;
  const newer = (opened: Stored): opened is OpenedManifest =>
    opened !== null &&
    !(opened instanceof FleetError) &&
    opened.manifest.generation > (proved?.manifest.generation ?? 0);
  const kept = release === null ? null : await bus.directGet("RELEASE", subjects.staged(release, host.id));
  const released = kept === null ? null : believed(host, fleet, envelopeOf(kept), verifier);
  if (newer(released)) return { last: released, renew: true };
  const own = await ask();
  const held_there = own === null ? null : believed(host, fleet, own, verifier);
  if (newer(held_there)) return { last: held_there, renew: true };
  if (stored instanceof FleetError) throw stored;
  return { last: stored, renew: false };
}

type Read = ReturnType<typeof manifestsReader>;

function believed(host: Host, fleet: string, envelope: Envelope, verifier: Verifier, read?: Read): Stored {
  try {
    return openFor(host, fleet, envelope, verifier, read);
  } catch (error) {
    if (error instanceof FleetError) return error;
    throw error;
  }
}

function openFor(
  host: Host,
  fleet: string,
  envelope: Envelope,
  verifier: Verifier,
  read?: Read,
): OpenedManifest {
  try {
    return openManifest(envelope, { fleet, id: host.id }, verifier, read);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    throw new FleetError(error.code, `the manifest stored for ${host.name}: ${error.detail}`, {
      cause: error,
    });
  }
}

/**
 * The manifest of this host before the one given, the newest one that `fits`; null when there is none. Walks the rollouts that each
 * manifest names, by signature; the release stream keeps them for 90 days.
 */
export async function signedBefore(
  bus: Reader,
  fleet: string,
  host: Host,
  from: OpenedManifest,
  verifier: Verifier,
  fits: (candidate: OpenedManifest) => boolean,
): Promise<OpenedManifest | null> {
  let { previous } = from.manifest.release;
  let generation = from.manifest.generation;
  for (let step = 0; step < CHAIN_LIMIT && previous !== undefined; step++) {
    const stored = await bus.directGet("RELEASE", subjects.staged(previous, host.id));
    if (stored === null) return null;
    const opened = openFor(host, fleet, envelopeOf(stored), verifier);
    if (opened.manifest.release.id !== previous || opened.manifest.generation >= generation)
      throw new FleetError(
        "ALTERED",
        `the release stream shows another manifest of ${host.name} than the one asked for`,
      );
    if (fits(opened)) return opened;
    ({ previous } = opened.manifest.release);
    ({ generation } = opened.manifest);
  }
  return null;
}

/**
 * The generation that may be built on: the highest that is proved by a signature, of the newest release and of every manifest seen.
 * Errors: GENERATION_JUMP, and as `openRelease`.
 */
export function headGeneration(
  head: ControlReply<"head">,
  fleet: string,
  manifests: Iterable<OpenedManifest | null>,
  verifier: Verifier,
): number {
  let signed = 0;
  if (head.rollout !== null && head.release !== null) {
    const { release } = openRelease(head.rollout, loadEnvelope(head.release), verifier);
    if (release.fleet !== fleet)
      throw new FleetError("WRONG_TARGET", `the newest release is one of ${release.fleet}`);
    signed = release.generation;
  }
  if (head.generation > signed) {
    throw new FleetError(
      "GENERATION_JUMP",
      `the controller names generation ${head.generation}, the newest signed release is ${signed}`,
    );
  }
  // A host may hold more than the newest release: a change that was staged and given up, and published all the same.
  return Math.max(signed, ...[...manifests].map((opened) => opened?.manifest.generation ?? 0));
}
