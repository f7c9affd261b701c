/**
 * What works once, in bucket `joins`: our nonces, for a minute, so that any controller may answer the next step, the ids of join
 * strings, for as long as the string is valid and an hour more, and the tickets of web pages. Whoever comes second loses a compare-and-set.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus, KeyValue, KeyValueEntry } from "@muster/ports/bus";
import type { Principal } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";

const NONCE_LIFE_S = 60;
/** Time enough to type an address on a telephone. */
const PAGE_LIFE_MS = 120_000;
const SLACK_S = 3_600;
/** A direct get may be answered by a replica that is a moment behind. */
const REPLICA_LAG_MS = 150;

/** A controller knows by itself what it wrote of its newest nonces; of the rest, and of other controllers', it asks the bucket. */
const OWN = 4_096;

/** Written and read by controllers alone. */
type PageTicket = { readonly principal: Principal; readonly ends: number };
const ticketOf = (text: string) => JSON.parse(text) as PageTicket;

type Written = Pick<KeyValueEntry, "value" | "revision">;

export class Tickets {
  readonly #kv: KeyValue;
  /** By key, the oldest first. Whether it is still good is the bucket's to say: it is used up there. */
  readonly #own = new Map<string, Written>();

  constructor(bus: Pick<Bus, "kv">) {
    this.#kv = bus.kv("joins");
  }

  /** A nonce for the holder of that curve key. */
  async giveNonce(curve: string): Promise<string> {
    const nonce = randomBytes(16).toString("hex");
    const key = `nonce.${nonce}`;
    const value = Buffer.from(curve);
    const revision = await this.#kv.create(key, value, { ttl_s: NONCE_LIFE_S });
    this.#own.set(key, { value, revision });
    for (const oldest of this.#own.keys()) {
      if (this.#own.size <= OWN) break;
      this.#own.delete(oldest);
    }
    return nonce;
  }

  /** Uses up a nonce. Errors: BAD_PROOF when it was not given to this curve key, has lapsed or was used. */
  async takeNonce(nonce: string, curve: string): Promise<void> {
    await this.#use(
      `nonce.${nonce}`,
      NONCE_LIFE_S,
      (value) => value === curve,
      "the nonce is not ours, has lapsed or was used: say hello again",
    );
  }

  /** Keeps the hash of a page's ticket for the person who signed for it. Resolves with when it lapses. Errors: CONFLICT for one that was given. */
  async givePage(hash: string, principal: Principal, now_ms: number): Promise<number> {
    const ticket: PageTicket = { principal, ends: now_ms + PAGE_LIFE_MS };
    await this.#kv.create(`page.${hash}`, Buffer.from(JSON.stringify(ticket)), {
      ttl_s: PAGE_LIFE_MS / 1_000,
    });
    return ticket.ends;
  }

  /** Uses up a page's ticket: whose it was. Errors: BAD_PROOF when it is not known, has lapsed or was used. */
  async takePage(hash: string, now_ms: number): Promise<Principal> {
    const text = await this.#use(
      `page.${hash}`,
      PAGE_LIFE_MS / 1_000,
      (value) => ticketOf(value).ends > now_ms,
      "the ticket is not of this fleet, has lapsed or was used: ctl dashboard makes another",
    );
    return ticketOf(text).principal;
  }

  async #use(key: string, ttl_s: number, fits: (value: string) => boolean, why: string): Promise<string> {
    let entry: Written | null = this.#own.get(key) ?? (await this.#kv.get(key));
    if (entry === null) {
      await sleep(REPLICA_LAG_MS);
      entry = await this.#kv.get(key);
    }
    const value = entry === null ? null : Buffer.from(entry.value).toString();
    if (entry === null || value === null || !fits(value)) throw new FleetError("BAD_PROOF", why);
    this.#own.delete(key);
    try {
      await this.#kv.delete(key, { revision: entry.revision, ttl_s });
    } catch (error) {
      if (error instanceof FleetError && error.code === "CONFLICT")
        throw new FleetError("BAD_PROOF", why, { cause: error });
      throw error;
    }
    return value;
  }

  /** The key that has used a join string, or null. */
  async spentBy(id: string): Promise<string | null> {
    const entry = await this.#kv.get(`join.${id}`);
    return entry === null ? null : Buffer.from(entry.value).toString();
  }

  /** Uses up a join string for a key; the same key may come again. Errors: JOIN_USED. */
  async spend(id: string, by: string, not_after: number, now_ms: number): Promise<void> {
    const ttl_s = Math.ceil(Math.max(not_after - now_ms, 0) / 1000) + SLACK_S;
    try {
      await this.#kv.create(`join.${id}`, Buffer.from(by), { ttl_s });
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "CONFLICT") throw error;
      if ((await this.spentBy(id)) !== by)
        throw new FleetError("JOIN_USED", "by another machine", { cause: error });
    }
  }
}
