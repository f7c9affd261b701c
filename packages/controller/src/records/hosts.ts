/**
 * The host records: bucket `hosts`, one record a host under its name, changed by compare-and-set only. A copy in memory answers who a name
 * or an id belongs to; it follows this controller's own changes, and others' through their events.
 */
import type { Bus, KeyValue } from "@muster/ports/bus";
import { type Grant, HostName, HostRecord } from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";

/** More hosts than this a fleet cannot have with these streams. */
const HOSTS = 50_000;

const SEARCH_MS = 5_000;

/** What a manifest says of its host beside its resources. */
export type Said = {
  readonly groups: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
};

export type Kept = { readonly record: HostRecord; readonly revision: number };

export class HostRecords {
  readonly #kv: KeyValue;
  readonly #by_name = new Map<string, HostRecord>();
  readonly #name_by_id = new Map<string, string>();
  #searched_at = Number.NEGATIVE_INFINITY;

  constructor(bus: Pick<Bus, "kv">) {
    this.#kv = bus.kv("hosts");
  }

  /** Reads all of them. */
  async load(): Promise<void> {
    const entries = await this.#kv.entries();
    this.#by_name.clear();
    this.#name_by_id.clear();
    for (const entry of entries) this.#remember(parseJson(HostRecord, entry.value, `record of ${entry.key}`));
  }

  /**
   * The name of an id, also when another controller enrolled it a moment ago: undefined says that the stored records were read for it just now, which
   * they are at most every 5 s. Errors: CONFLICT until then.
   */
  async find(id: string, now_ms: number): Promise<string | undefined> {
    const name = this.#name_by_id.get(id);
    if (name !== undefined) return name;
    if (now_ms - this.#searched_at < SEARCH_MS)
      throw new FleetError("CONFLICT", `${id} may be enrolled by now: ask again`);
    this.#searched_at = now_ms;
    await this.load();
    return this.#name_by_id.get(id);
  }

  byName(name: string): HostRecord | undefined {
    return this.#by_name.get(name);
  }

  nameOf(id: string): string | undefined {
    return this.#name_by_id.get(id);
  }

  get size(): number {
    return this.#by_name.size;
  }

  /** Names in order, from the one after `after`. */
  names(after: string | null = null): string[] {
    const names = [...this.#by_name.keys()].sort();
    return after === null ? names : names.filter((name) => name > after);
  }

  /** The enrolled hosts that a guest may see; to everybody else all are open. */
  seenBy(guest: Pick<Grant, "groups">): HostRecord[] {
    const { groups } = guest;
    return [...this.#by_name.values()].filter(
      (record) =>
        record.state === "enrolled" &&
        (groups === null || groups.some((group) => record.groups.includes(group))),
    );
  }

  /** Writes down which groups a person has put a host into, and with which labels, where that is news. Errors: CONFLICT, those of the bus. */
  async regroup(name: string, said: Said): Promise<void> {
    const known = this.#by_name.get(name);
    if (known === undefined || saysSame(known, said)) return;
    const kept = await this.fetch(name);
    if (kept === null || saysSame(kept.record, said)) return;
    const { groups, labels } = said;
    await this.write({ ...kept.record, groups: [...groups], labels: { ...labels } }, kept.revision);
  }

  /** The record as it is stored now. */
  async fetch(name: string): Promise<Kept | null> {
    if (!HostName.safeParse(name).success) return null;
    const entry = await this.#kv.get(name);
    if (entry === null) {
      this.#forget(name);
      return null;
    }
    const record = parseJson(HostRecord, entry.value, `record of ${name}`);
    this.#remember(record);
    return { record, revision: entry.revision };
  }

  /** Writes a record; `revision` is that of the one it replaces, null = there is none. Errors: CONFLICT, TOO_LARGE. */
  async write(record: HostRecord, revision: number | null): Promise<void> {
    if (revision === null && this.#by_name.size >= HOSTS) throw new FleetError("TOO_LARGE", `${HOSTS} hosts`);
    const bytes = Buffer.from(JSON.stringify(record));
    if (revision === null) await this.#kv.create(record.name, bytes);
    else await this.#kv.update(record.name, bytes, revision);
    this.#remember(record);
  }

  /**
   * Ends a quarantine, whatever mark is told next; frees a name that a host had before. False when there was nothing to end.
   * Errors: NOT_FOUND, CONFLICT.
   */
  async clear(name: string): Promise<boolean> {
    const kept = await this.fetch(name);
    if (kept === null) throw new FleetError("NOT_FOUND", `no host is called ${name}`);
    if (kept.record.state === "renamed") {
      await this.#kv.delete(name, { revision: kept.revision });
      this.#forget(name);
      return true;
    }
    if (kept.record.quarantined == null) return false;
    await this.write({ ...kept.record, quarantined: null, mark: null }, kept.revision);
    return true;
  }

  /**
   * Moves a host's record to another name; the old name stays taken. The new record is written first: who breaks off leaves both, and the next run ends
   * it. False when that was so already.
   * Errors: NOT_FOUND, NOT_ALLOWED for one that is retired, NAME_TAKEN, CONFLICT when the old name stands for another key by now.
   */
  async rename(
    { name, id }: { name: string; id: string },
    to: string,
    by: { at: number; by: string },
  ): Promise<boolean> {
    for (let tries = 0; ; tries++) {
      const [old, next] = await Promise.all([this.fetch(name), this.fetch(to)]);
      if (old === null) throw new FleetError("NOT_FOUND", `no host is called ${name}`);
      const { record } = old;
      if (record.id !== id) throw new FleetError("CONFLICT", `${name} is another machine by now`);
      if (next !== null && next.record.id !== id)
        throw new FleetError("NAME_TAKEN", `${to} is enrolled with another key`);
      const moved = next?.record.state === "enrolled";
      if (record.state === "renamed" && moved && record.renamed?.to === to) return false;
      if (record.state !== "enrolled") throw new FleetError("NOT_ALLOWED", `${name} is ${record.state}`);
      try {
        if (!moved)
          await this.write(
            { ...record, name: to, renamed_from: name, renamed: null },
            next === null ? null : next.revision,
          );
        await this.write({ ...record, state: "renamed", renamed: { to, ...by } }, old.revision);
        return true;
      } catch (error) {
        if (!(error instanceof FleetError) || error.code !== "CONFLICT" || tries >= 3) throw error;
      }
    }
  }

  /**
   * Closes a host's record: nothing is issued for it any more, and its name stays taken. False when that was so already.
   * Errors: NOT_FOUND, CONFLICT when the name stands for another key by now.
   */
  async retire(host: { name: string; id: string }, retired: NonNullable<HostRecord["retired"]>) {
    for (let tries = 0; ; tries++) {
      const kept = await this.fetch(host.name);
      if (kept === null) throw new FleetError("NOT_FOUND", `no host is called ${host.name}`);
      if (kept.record.id !== host.id)
        throw new FleetError("CONFLICT", `${host.name} is another machine by now`);
      if (kept.record.state === "retired") return false;
      try {
        await this.write({ ...kept.record, state: "retired", retired }, kept.revision);
        return true;
      } catch (error) {
        if (!(error instanceof FleetError) || error.code !== "CONFLICT" || tries >= 3) throw error;
      }
    }
  }

  #remember(record: HostRecord): void {
    const before = this.#by_name.get(record.name);
    if (before !== undefined && before.id !== record.id) this.#unname(before);
    this.#by_name.set(record.name, record);
    if (record.state === "renamed") {
      this.#unname(record);
      return;
    }
    // A renaming that broke off left two: the later name counts.
    const other = this.#by_name.get(this.#name_by_id.get(record.id) ?? "");
    if (other?.state === "enrolled" && other.renamed_from === record.name) return;
    this.#name_by_id.set(record.id, record.name);
  }

  #forget(name: string): void {
    const before = this.#by_name.get(name);
    if (before === undefined) return;
    this.#by_name.delete(name);
    this.#unname(before);
  }

  #unname({ id, name }: HostRecord): void {
    if (this.#name_by_id.get(id) === name) this.#name_by_id.delete(id);
  }
}

const saysSame = (record: HostRecord, { groups, labels }: Said) =>
  textOf(record.groups) === textOf(groups) &&
  record.labels !== undefined &&
  textOf(Object.entries(record.labels)) === textOf(Object.entries(labels));

const textOf = (list: readonly unknown[]) => JSON.stringify([...list].sort());
