/**
 * Which connections of account FLEET are open, by the key that they are made with: from the brokers' list and from what they tell of each that comes and
 * goes. Source: `ConnectEventMsg`, `DisconnectEventMsg` and `ServerAPIConnzResponse` in server/events.go and server/monitor.go of nats-server 2.15.
 */
import { parseJson } from "@muster/protocol/errors";
import { z } from "zod";

/** A connection; `since` is when it was made by the broker's clock, milliseconds since 1970. `key`: public nkey. */
export type Connection = {
  readonly server: string;
  readonly cid: number;
  readonly key: string;
  readonly from: string;
  readonly since: number;
};

const Event = z.object({
  server: z.object({ id: z.string() }),
  client: z.object({
    id: z.int(),
    user: z.string().default(""),
    host: z.string().default("an unknown address"),
    start: z.string(),
    kind: z.string().default("Client"),
  }),
});
const Page = z.object({
  server: z.object({ id: z.string() }),
  data: z.object({
    total: z.int(),
    connections: z
      .array(
        z.object({
          cid: z.int(),
          authorized_user: z.string().default(""),
          ip: z.string().default("an unknown address"),
          start: z.string(),
        }),
      )
      .nullish(),
  }),
});

/** Addresses that are remembered of one key. */
const PLACES = 8;
/** More than a fleet of 50,000 hosts can have. */
const CONNECTIONS = 200_000;

/** Reads what a broker tells of one connection; null for what is no client's. Errors: INVALID. */
export function readEvent(body: Uint8Array): Connection | null {
  const { server, client } = parseJson(Event, body, "a broker's word of a connection");
  const { id: cid, user: key, host: from, start, kind } = client;
  return kind === "Client" ? { server: server.id, cid, key, from, since: Date.parse(start) } : null;
}

/** One page of a broker's list. Errors: INVALID. */
export function readPage(body: Uint8Array): { total: number; connections: Connection[] } {
  const { server, data } = parseJson(Page, body, "a broker's list of connections");
  const connections = (data.connections ?? []).map(({ cid, authorized_user: key, ip: from, start }) => ({
    ...{ server: server.id, cid, key, from },
    since: Date.parse(start),
  }));
  return { total: data.total, connections };
}

export class Connections {
  readonly #of = new Map<string, Map<string, Connection>>();
  readonly #places = new Map<string, readonly string[]>();
  #size = 0;

  /** True when another of the same key is open. */
  opened(one: Connection): boolean {
    const known = this.#of.get(one.key) ?? new Map<string, Connection>();
    const place = placeOf(one);
    if (!known.has(place)) {
      if (this.#size >= CONNECTIONS) return false;
      this.#size += 1;
    }
    known.set(place, one);
    this.#of.set(one.key, known);
    return known.size > 1;
  }

  closed(one: Pick<Connection, "server" | "cid" | "key">): void {
    const known = this.#of.get(one.key);
    if (known?.delete(placeOf(one)) !== true) return;
    this.#size -= 1;
    if (known.size === 0) this.#of.delete(one.key);
  }

  /** Takes note of where a key is; where it was before, when it never was there as far as is known here. A restart forgets. */
  placed({ key, from }: Pick<Connection, "key" | "from">): readonly string[] | null {
    const known = this.#places.get(key) ?? [];
    if (known.includes(from)) return null;
    if (known.length === 0 && this.#places.size >= CONNECTIONS) return null;
    this.#places.set(key, [...known, from].slice(-PLACES));
    return known.length === 0 ? null : known;
  }

  /** Of one key, oldest first. */
  of(key: string): Connection[] {
    return [...(this.#of.get(key)?.values() ?? [])].sort((one, other) => one.since - other.since);
  }

  /** Keys with more than one. */
  doubled(): string[] {
    return [...this.#of].filter(([, known]) => known.size > 1).map(([key]) => key);
  }

  clear(): void {
    this.#of.clear();
    this.#size = 0;
  }
}

const placeOf = ({ server, cid }: Pick<Connection, "server" | "cid">) => `${server} ${cid}`;
