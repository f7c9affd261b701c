/**
 * Enrolment: from keys alone to credentials. Never gives up: what the network does is retried soon, what a person must mend is said in the
 * status text and retried slowly, or at once when the join string changes. The same way brings a host back that lost its credentials.
 */
import { rm } from "node:fs/promises";
import { release as kernelRelease, networkInterfaces, hostname as osHostname } from "node:os";
import { connectBus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import type { Claim } from "@muster/protocol";
import { HelloReply, JoinReply, proofText, SealedReply } from "@muster/protocol/enrolment";
import { loadEnvelope } from "@muster/protocol/envelope";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { readFleetString, readJoinString, signJoined, splitJoinString } from "@muster/protocol/join";
import { hostFingerprint } from "@muster/protocol/names";
import { openSealed } from "@muster/protocol/sealed";
import { subjects } from "@muster/protocol/subjects";
import { anchorOf } from "@muster/protocol/trust";
import { checkBroker } from "./broker-check.ts";
import { brokersOf } from "./brokers.ts";
import { type AgentConfig, machineName, type Places, readText } from "./config.ts";
import type { CredentialStore, KeptCredentials } from "./credentials.ts";
import { type Identity, prove } from "./identity.ts";
import type { Marks } from "./mark.ts";
import { writeSynced } from "./store.ts";
import type { Trust } from "./trust.ts";
import { backoff_ms, jittered, pause } from "./wait.ts";

export type EnrolmentDoor = {
  readonly config: AgentConfig;
  readonly places: Places;
  readonly identity: Identity;
  readonly trust: Trust;
  readonly credentials: CredentialStore;
  readonly marks: Marks;
  readonly os: string;
  readonly agent_version: string;
  readonly log: Log;
  readonly now: () => number;
  /** Says where enrolment stands, for people. */
  say(text: string): void;
};

/** Where to enrol: brokers in the order to try, the anchor they must show, and the join string if there is one. */
type Invitation = {
  readonly brokers: readonly string[];
  readonly anchor: string;
  /** Without what only this machine may see. */
  readonly join: string | undefined;
  /** For the host's own log-in at Vault. */
  readonly token: KeptCredentials["join_token"] | null;
  /** With which it proves that the join string was given to it. */
  readonly seed: string | null;
};

const REQUEST_MS = 10_000;
const SLOW_MS = 60_000;
const NO_INVITATION_MS = 5_000;
const DEFAULT_PORT = 4222;
/** What time alone may mend. */
const SOON = new Set([
  "BUS_UNREACHABLE",
  "NO_RESPONDER",
  "TIMEOUT",
  "CONFLICT",
  "VAULT_UNREACHABLE",
  "VAULT_SEALED",
  "NOT_LOGGED_IN",
  "CANCELLED",
]);

/** Resolves with the host's name once its credentials are kept; or with null when the signal aborts. */
export async function enrol(door: EnrolmentDoor, signal: AbortSignal): Promise<string | null> {
  let attempt = 0;
  let first = true;
  while (!signal.aborted) {
    const before = fingerprintOfFiles(door.places);
    let wait_ms: number;
    try {
      const invitation = invitationOf(door);
      if (invitation === null) {
        door.say(
          `waiting for a join string in ${door.places.join_file} (or a fleet string in ${door.places.fleet_file})`,
        );
        wait_ms = NO_INVITATION_MS;
      } else {
        // A broker that cannot be reached takes its time to show; later tries leave the last answer to be read.
        if (first) door.say(`asking ${invitation.brokers.join(", ")} to let this machine in`);
        first = false;
        const outcome = await tryOnce(door, invitation, signal);
        if ("host" in outcome) return outcome.host;
        attempt = 0;
        door.say(`waiting for approval: ${outcome.fingerprint}`);
        wait_ms = jittered(outcome.retry_ms, 0.2);
      }
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (signal.aborted) break;
      const soon = SOON.has(error.code);
      wait_ms = soon ? backoff_ms(attempt++) : jittered(SLOW_MS, 0.2);
      door.log.warn({ code: error.code, next_ms: wait_ms }, `enrolment: ${error.message}`);
      door.say(soon ? `waiting for the fleet: ${error.message}` : `enrolment refused: ${error.message}`);
    }
    await pauseUnlessChanged(wait_ms, door.places, before, signal);
  }
  return null;
}

function invitationOf(door: EnrolmentDoor): Invitation | null {
  const root = readText(door.places.root_ca);
  const { bundle } = door.trust;
  const held = (): Invitation | null =>
    bundle === null || root === null
      ? null
      : {
          brokers: brokersOf(bundle, {
            root_ca_file: door.places.root_ca,
            fleet_file: door.places.fleet_file,
            log: door.log,
          }),
          anchor: anchorOf(root),
          join: undefined,
          token: null,
          seed: null,
        };
  // A host that was in comes back by its bound key: its join string was used, should it still lie there.
  if (door.credentials.kept !== null && bundle !== null && root !== null) return held();
  const text = readText(door.places.join_file);
  if (text !== null) {
    const { brokers, anchor, id, not_after } = readJoinString(text);
    const { join, vault_token, seed } = splitJoinString(text);
    const token = vault_token === null ? null : { token: vault_token, instance: id, until: not_after };
    return { brokers, anchor, join, token, seed };
  }
  if (bundle !== null && root !== null) return held();
  const fleet = readText(door.places.fleet_file);
  if (fleet === null) return null;
  const { addresses, anchor } = readFleetString(fleet);
  return { brokers: addresses, anchor, join: undefined, token: null, seed: null };
}

async function tryOnce(
  door: EnrolmentDoor,
  invitation: Invitation,
  signal: AbortSignal,
): Promise<{ host: string } | { fingerprint: string; retry_ms: number }> {
  let worst: FleetError | null = null;
  for (const broker of invitation.brokers) {
    try {
      const server = hostAndPort(broker);
      const checked = await checkBroker(server, invitation.anchor, signal);
      return await ask(door, invitation, broker, checked, signal);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      // An answer that says something outweighs one that says nothing.
      if (worst === null || SOON.has(worst.code)) worst = error;
      if (!SOON.has(error.code) && error.code !== "WRONG_ANCHOR") throw error;
    }
  }
  throw worst ?? new FleetError("CONFIG", "there is no broker to ask");
}

async function ask(
  door: EnrolmentDoor,
  invitation: Invitation,
  broker: string,
  checked: { root_pem: string; handshake_first: boolean },
  signal: AbortSignal,
): Promise<{ host: string } | { fingerprint: string; retry_ms: number }> {
  const { identity, trust, places } = door;
  const bus = await connectBus(
    {
      servers: [broker],
      ca_pem: checked.root_pem,
      handshake_first: checked.handshake_first,
      name: "enrolling",
      inbox_prefix: subjects.enrolInboxPrefix(),
      first_connect: "once",
    },
    signal,
  );
  try {
    const sealed = async (method: string, body: unknown): Promise<Uint8Array> => {
      const answer = await bus.request(subjects.enrol(method), Buffer.from(JSON.stringify(body)), {
        timeout_ms: REQUEST_MS,
        signal,
      });
      const { from, box } = parseJson(SealedReply, answer.body, `answer to enrol.${method}`);
      return openSealed(from, Buffer.from(box, "base64"), identity.curve);
    };
    const hello = parseJson(
      HelloReply,
      await sealed("hello", { v: 1, curve: identity.curve.public }),
      "answer to enrol.hello",
    );
    const envelope = loadEnvelope(hello.bundle);
    if (trust.bundle === null) await trust.first(envelope, invitation.anchor, checked.root_pem);
    else await trust.next(envelope);
    await writeSynced(places.root_ca, checked.root_pem);

    const claim = await claimOf(door, invitation, hello.nonce);
    const proofs = prove(identity, proofText(claim));
    const reply = parseJson(JoinReply, await sealed("join", { claim, proofs }), "answer to enrol.join");
    if (reply.nonce !== null && reply.nonce !== hello.nonce)
      throw new FleetError("REPLAYED", "an answer to another request than ours");
    if (reply.status === "refused") throw FleetError.fromReply(reply.error);
    if (reply.status === "pending")
      return {
        fingerprint: hostFingerprint(claim.id),
        retry_ms: Math.min(60_000, Math.max(500, reply.retry_ms)),
      };
    const said = namedBy(invitation);
    if (said !== undefined && reply.name !== said)
      throw new FleetError("WRONG_TARGET", `let in as ${reply.name}, and the join string is for ${said}`);
    const before = door.credentials.kept?.host;
    if (before !== undefined && reply.name !== before)
      throw new FleetError("WRONG_TARGET", `let in as ${reply.name}, and this host is ${before}`);
    await trust.next(loadEnvelope(reply.bundle));
    await door.credentials.take(reply.name, reply.credentials, identity, door.now());
    // Last: papers that are refused leave it as it was, and a mark that was taken and is told again is no copy's.
    if (claim.mark !== undefined) await door.marks.taken(claim.mark);
    const { join, seed } = invitation;
    if (join !== undefined && seed !== null) {
      const as = { fleet: readJoinString(join).fleet, name: reply.name, id: identity.id };
      await door.credentials.holdJoined(signJoined(join, seed, as));
    }
    if (invitation.token !== null) await door.credentials.holdToken(invitation.token);
    await removeUsed(door);
    return { host: reply.name };
  } finally {
    await bus.close();
  }
}

/** It works once and may carry a token: nothing to leave lying about. */
async function removeUsed(door: EnrolmentDoor): Promise<void> {
  try {
    await rm(door.places.join_file, { force: true });
  } catch (error) {
    door.log.warn({ err: error }, `${door.places.join_file} was used and cannot be removed`);
  }
}

/** The name that a person gave this machine, where one did: no controller may give it another. */
const namedBy = ({ join }: Invitation): string | undefined =>
  join === undefined ? undefined : readJoinString(join).name;

async function claimOf(door: EnrolmentDoor, invitation: Invitation, nonce: string): Promise<Claim> {
  const { identity, config } = door;
  const { makeCsr } = await import("@muster/ports/csr");
  const name = namedBy(invitation) ?? door.credentials.kept?.host ?? config.name ?? machineName();
  if (name === null)
    throw new FleetError(
      "BAD_NAME",
      `${osHostname()}: set "name" in ${door.places.config_file}, or a join string with a name`,
    );
  return {
    v: 1,
    nonce,
    ...(invitation.join === undefined ? {} : { join: invitation.join }),
    name,
    id: identity.id,
    curve: identity.curve.public,
    ssh_public_key: identity.ssh.public_key,
    csr: await makeCsr(identity.tls_pem, { common_name: name }),
    mark: await door.marks.tell(),
    facts: {
      hostname: osHostname().slice(0, 255),
      os: door.os,
      kernel: kernelRelease().slice(0, 255),
      agent_version: door.agent_version,
      addresses: addresses(),
    },
  };
}

const addresses = () =>
  Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal }) => !internal)
    .map(({ address }) => address)
    .slice(0, 32);

function hostAndPort(broker: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(broker);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined) throw new FleetError("CONFIG", `${broker}: must be HOST:PORT or [IPv6]:PORT`);
  return { host, port: Number(match?.[3] ?? DEFAULT_PORT) };
}

const fingerprintOfFiles = (places: Places) =>
  `${readText(places.join_file)}\n${readText(places.fleet_file)}`;

/** Waits, but not beyond a change of the join or fleet string: a person who mends it should see it taken at once. */
async function pauseUnlessChanged(
  wait_ms: number,
  places: Places,
  before: string,
  signal: AbortSignal,
): Promise<void> {
  for (let left_ms = wait_ms; left_ms > 0 && !signal.aborted; left_ms -= 1_000) {
    await pause(Math.min(1_000, left_ms), signal);
    if (fingerprintOfFiles(places) !== before) return;
  }
}
