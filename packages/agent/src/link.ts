/**
 * The agent's side of the bus: connected when it can be, with the newest credentials, pinned to the CAs of the trust bundle. Brings manifests
 * and trust bundles to their doors: subscribed first, then one direct get, and again every few minutes, so that no lost message matters.
 */
import { type Bus, connectBus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import { signEd25519 } from "@muster/protocol/nkey";
import { subjects } from "@muster/protocol/subjects";
import { type BrokersDoor, brokersOf } from "./brokers.ts";
import { readText } from "./config.ts";
import type { CredentialStore } from "./credentials.ts";
import type { Identity } from "./identity.ts";
import type { Trust } from "./trust.ts";
import { Bell, jittered } from "./wait.ts";

export type LinkDoor = BrokersDoor & {
  readonly identity: Identity;
  readonly credentials: CredentialStore;
  readonly trust: Trust;
  readonly desired_period_ms: number;
  readonly log: Log;
  offerManifest(message: { headers: Readonly<Record<string, string>>; body: Uint8Array }): Promise<void>;
  /** Why there is no connection; null once there is one. */
  broker(why: string | null): void;
  /** The broker refused our JWT. */
  refused(): void;
};

const RECONNECT_MAX_MS = 5_000;
/** What the broker refuses once it refuses with every message: the log has each once in so long. */
const DENIED_EVERY_MS = 3_600_000;
const DENIED_LIMIT = 64;

type Dialling = BrokersDoor & Pick<LinkDoor, "identity" | "credentials" | "trust">;

/** Options of a connection with this host's credentials. */
function connection(door: Dialling, name: string) {
  const { identity, credentials, trust } = door;
  const kept = readText(door.root_ca_file);
  const bundle = trust.bundle;
  if (bundle === null) throw new FleetError("NOT_LOGGED_IN", "no trust bundle is held yet");
  return {
    // Asked before every round: a newer bundle, or the person on the host, may know where the brokers are now.
    servers: () => brokersOf(trust.bundle ?? bundle, door),
    ca_pem: [...new Set([...(kept === null ? [] : [kept]), ...bundle.broker_ca])].join("\n"),
    name,
    inbox_prefix: subjects.inboxPrefix(identity.id),
    credentials: () => {
      const jwt = credentials.kept?.credentials.user_jwt;
      if (jwt === undefined) throw new FleetError("NOT_LOGGED_IN", "no bus JWT is held yet");
      return { jwt, sign: (nonce: Uint8Array) => signEd25519(identity.nkey.key, nonce) };
    },
  };
}

/** Connects and stays until the signal aborts; resolves with the bus at the first connection. */
export async function openLink(door: LinkDoor, host: string, signal: AbortSignal): Promise<Bus> {
  const denied = new Map<string, number>();
  const isNews = (subject: string): boolean => {
    const at = performance.now();
    if (at - (denied.get(subject) ?? Number.NEGATIVE_INFINITY) < DENIED_EVERY_MS) return false;
    if (denied.size >= DENIED_LIMIT) denied.clear();
    denied.set(subject, at);
    return true;
  };
  const bus = await connectBus(
    {
      ...connection(door, host),
      reconnect_max_ms: RECONNECT_MAX_MS,
      on_status: (event) => {
        if (event.type === "connected" || event.type === "reconnected") door.broker(null);
        else if (event.type === "disconnected") door.broker(event.error.message);
        else if (event.type === "unreachable" || event.type === "auth_failed") {
          door.broker(event.error.message);
          door.log.warn({ code: event.error.code, next_ms: event.next_ms }, event.error.message);
          if (event.type === "auth_failed") door.refused();
        } else if (event.type === "handler_failed") {
          door.log.error({ err: event.error, subject: event.subject }, "a message could not be handled");
        } else if (event.type !== "denied" || isNews(event.subject))
          door.log.warn({ ...event }, `bus: ${event.type}`);
      },
    },
    signal,
  );
  return bus;
}

/** Whether a connection that is made anew takes a message there and back. For confirming a change: an old one outlives its route. */
export async function newConnectionWorks(door: Dialling, signal: AbortSignal): Promise<boolean> {
  const ends = new AbortController();
  try {
    const options = {
      ...connection(door, "probe"),
      first_connect: "once" as const,
      connect_timeout_ms: 3_000,
    };
    const bus = await connectBus(options, AbortSignal.any([signal, ends.signal]));
    await bus.roundTrip(3_000);
    await bus.close();
    return true;
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return false;
  } finally {
    ends.abort();
  }
}

/** Follows desired state and trust until the signal aborts. */
export async function follow(bus: Bus, door: LinkDoor, signal: AbortSignal): Promise<void> {
  const { identity, trust, log } = door;
  const takeTrust = async (message: { headers: Readonly<Record<string, string>>; body: Uint8Array }) => {
    try {
      await trust.next({ headers: message.headers, body: message.body });
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      log.error({ err: error }, `a trust bundle was refused: ${error.message}`);
    }
  };
  const bell = new Bell();
  bus.onStatus((event) => {
    if (event.type === "reconnected") bell.ring();
  });
  // One at a time: what comes later is newer.
  bus.subscribe(subjects.liveDesired(identity.id), { concurrency: 1 }, (message) =>
    door.offerManifest(message),
  );
  bus.subscribe(subjects.liveTrust(), { concurrency: 1 }, takeTrust);
  while (!signal.aborted) {
    try {
      const bundle = await bus.directGet("TRUST", subjects.trust());
      if (bundle !== null) await takeTrust(bundle);
      const newest = await bus.directGet("DESIRED", subjects.desired(identity.id));
      if (newest !== null) await door.offerManifest(newest);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (!signal.aborted) log.warn({ code: error.code }, `the stream cannot be asked: ${error.message}`);
      // Without a connection the next one rings; a refused or missing stream is asked again soon.
      await bell.rung(jittered(5_000, 0.5), signal);
      continue;
    }
    await bell.rung(jittered(door.desired_period_ms, 0.2), signal);
  }
}
