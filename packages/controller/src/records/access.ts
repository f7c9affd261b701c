/** Which accesses to the bus people and programs have: bucket `access`, one record a key, which goes when the access has ended. */
import type { Bus, KeyValue } from "@muster/ports/bus";
import { AccessRecord, type Principal } from "@muster/protocol";
import type { ControlReply, ControlRequest } from "@muster/protocol/control/index";
import { FleetError, parseJson } from "@muster/protocol/errors";

/** A reply must fit into one message of 1 MiB; a record takes half a kilobyte. */
const PAGE = 500;
/** The broker deletes by the second, and not before. */
const SLACK_S = 60;

export class AccessRecords {
  readonly #kv: KeyValue;
  readonly #now: () => number;

  constructor(bus: Pick<Bus, "kv">, now: () => number) {
    this.#kv = bus.kv("access");
    this.#now = now;
  }

  /** Writes down a new access before it is given away. Errors: those of the bus; CONFLICT for a key that has one. */
  async create(record: AccessRecord): Promise<void> {
    await this.#kv.create(record.id, bytesOf(record), { ttl_s: this.#left(record) });
  }

  /** As `create`, also once more for the same key and person. Errors: VOIDED for a key that was revoked, CONFLICT for somebody else's. */
  async note(record: AccessRecord): Promise<void> {
    try {
      return await this.create(record);
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "CONFLICT") throw error;
    }
    const entry = await this.#kv.get(record.id);
    if (entry === null) return this.create(record);
    const held = parseJson(AccessRecord, entry.value, `access ${record.id}`);
    if (held.name !== record.name) throw new FleetError("CONFLICT", "this key is somebody else's");
    if (held.revoked !== null) throw new FleetError("VOIDED", `this key of ${record.name}`);
    await this.#kv.update(record.id, bytesOf(record), entry.revision, { ttl_s: this.#left(record) });
  }

  /** Those of one person or program, or all. */
  async list(name?: string): Promise<AccessRecord[]> {
    const entries = await this.#kv.entries();
    return entries
      .map((entry) => parseJson(AccessRecord, entry.value, `access ${entry.key}`))
      .filter((record) => record.ends > this.#now() && (name === undefined || record.name === name))
      .sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  async page(request: ControlRequest<"accesses">): Promise<ControlReply<"accesses">> {
    const { after } = request;
    const all = await this.list(request.name);
    const rest = after === null ? all : all.filter((record) => record.id > after);
    const accesses = rest.slice(0, PAGE);
    return { accesses, next: rest.length > PAGE ? (accesses.at(-1)?.id ?? null) : null };
  }

  /** Whose web page has that key, as they were when it was given; by the broker's word that only its owner asks under it. Errors: NOT_ALLOWED, those of the bus. */
  async ownerOfPage(id: string): Promise<Principal> {
    const entry = await this.#kv.get(id);
    const record = entry === null ? null : parseJson(AccessRecord, entry.value, `access ${id}`);
    if (record === null || record.kind !== "page" || record.certificate === null)
      throw new FleetError("NOT_ALLOWED", "no page was opened with this key");
    if (record.revoked !== null) throw new FleetError("VOIDED", record.name);
    if (record.ends <= this.#now()) throw new FleetError("NOT_ALLOWED", "this page's log-in has ended");
    const { name, rank, kit = false, certificate, certified_at = 0, ends } = record;
    const span = { not_before_ms: certified_at, not_after_ms: ends };
    return { name, rank, kit, fingerprint: certificate, guest: null, ...span };
  }

  /** Marks accesses as void; those that are gone or marked already stay as they are. Resolves with how many it marked. */
  async revoke(ids: readonly string[], by: string, why: string): Promise<number> {
    const marked = await Promise.all(ids.map((id) => this.#mark(id, { at: this.#now(), by, why })));
    return marked.filter(Boolean).length;
  }

  async #mark(id: string, revoked: NonNullable<AccessRecord["revoked"]>): Promise<boolean> {
    for (let tries = 0; ; tries++) {
      const entry = await this.#kv.get(id);
      if (entry === null) return false;
      const record = parseJson(AccessRecord, entry.value, `access ${id}`);
      if (record.revoked !== null) return false;
      const ttl_s = this.#left(record);
      try {
        await this.#kv.update(id, bytesOf({ ...record, revoked }), entry.revision, { ttl_s });
        return true;
      } catch (error) {
        if (!(error instanceof FleetError) || error.code !== "CONFLICT" || tries >= 3) throw error;
      }
    }
  }

  #left(record: AccessRecord): number {
    return Math.max(0, Math.ceil((record.ends - this.#now()) / 1_000)) + SLACK_S;
  }
}

const bytesOf = (record: AccessRecord) => Buffer.from(JSON.stringify(record));
