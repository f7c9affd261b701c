/**
 * What works once, in bucket `joins`: our nonces, for a minute, so that any controller may answer the next step, and the ids of join
 * strings, for as long as the string is valid and an hour more. Whoever comes second loses a compare-and-set.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus, KeyValue } from "@muster/ports/bus";
import { FleetError } from "@muster/protocol/errors";

const NONCE_LIFE_S = 60;
const SLACK_S = 3_600;
/** A direct get may be answered by a replica that is a moment behind. */
const REPLICA_LAG_MS = 150;

export class Tickets {
  readonly #kv: KeyValue;

  constructor(bus: Pick<Bus, "kv">) {
    this.#kv = bus.kv("joins");
  }

  /** A nonce for the holder of that curve key. */
  async giveNonce(curve: string): Promise<string> {
    const nonce = randomBytes(16).toString("hex");
    await this.#kv.create(`nonce.${nonce}`, Buffer.from(curve), { ttl_s: NONCE_LIFE_S });
    return nonce;
  }

  /** Uses up a nonce. Errors: BAD_PROOF when it was not given to this curve key, has lapsed or was used. */
  async takeNonce(nonce: string, curve: string): Promise<void> {
    const key = `nonce.${nonce}`;
    let entry = await this.#kv.get(key);
    if (entry === null) {
      await sleep(REPLICA_LAG_MS);
      entry = await this.#kv.get(key);
    }
    if (entry === null || Buffer.from(entry.value).toString() !== curve)
      throw new FleetError("BAD_PROOF", "the nonce is not ours, has lapsed or was used: say hello again");
    try {
      await this.#kv.delete(key, { revision: entry.revision, ttl_s: NONCE_LIFE_S });
    } catch (error) {
      if (error instanceof FleetError && error.code === "CONFLICT")
        throw new FleetError("BAD_PROOF", "the nonce was used: say hello again", { cause: error });
      throw error;
    }
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
