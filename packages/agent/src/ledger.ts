/**
 * What a host remembers of its desired state: the newest accepted manifest and some before it, for each resource what was applied and how it
 * looked afterwards, what was undone, thrown switches. One small file and one file a manifest, each replaced whole: after a crash at any
 * moment the host knows either the state before or the one after. Holds decisions of nobody: see `decide.ts` and `reconcile.ts`.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { StoredEnvelope } from "@muster/protocol/envelope";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { Manifest } from "@muster/protocol/manifest";
import { Instant, RandomId, ResourceRef, Sha256 } from "@muster/protocol/names";
import { Resource } from "@muster/protocol/resources/index";
import { ThrownSwitch } from "@muster/protocol/switch";
import { z } from "zod";
import { isMissing, lookAtKept, readKept, writeKept, writeSynced } from "./store.ts";

/** One resource that Muster has applied here. */
export const Entry = z.object({
  /** As it was applied, for drift, removal and the next plan. */
  resource: Resource,
  spec_hash: Sha256,
  /** Hash of the managed part as it was after applying: another one now is a hand edit. */
  managed_hash: Sha256.nullable(),
  made: z.boolean(),
  applied_at: Instant,
  /** When it was put back by us, newest last; only the last ten minutes count. */
  corrected: z.array(Instant).max(16).default([]),
  /** The generation whose `--overwrite` has done its work here: what is edited by hand after that is a new edit. */
  overwritten: z.int().nullable().default(null),
});
export type Entry = z.infer<typeof Entry>;

/** A spec that was taken back: it is not tried again until it changes. */
export const UndoneSpec = z.object({
  spec_hash: Sha256,
  why: z.string().max(2_000),
  at: Instant,
  /** Taken back because the agent died in the middle: that alone is tried once more. */
  crashed: z.boolean(),
  /** The unconfirmed change it was noted for, when recovery did it: that one is not counted twice. */
  record: RandomId.optional(),
});
export type UndoneSpec = z.infer<typeof UndoneSpec>;

const Accepted = z.object({
  generation: z.int(),
  content_hash: Sha256,
  signed_at: Instant,
  by: z.string(),
  kit: z.boolean(),
  /** Its plan was compared with the one that the operator was shown, or it is past that. */
  admitted: z.boolean(),
});
export type Accepted = z.infer<typeof Accepted>;

const State = z.object({
  v: z.literal(1),
  /** The newest that was accepted; what is kept of it stands in a file of its own. */
  accepted: Accepted.nullable(),
  /** The one before, in force while the newest waits to be admitted. */
  in_force: Accepted.nullable(),
  /** Sent back by the controller to this content. */
  returned_to: Sha256.nullable(),
  /** Generations that were refused after they were accepted, such as for another plan than shown. */
  refused: z.array(z.object({ generation: z.int(), content_hash: Sha256 })).max(16),
  resources: z.record(ResourceRef, Entry),
  undone: z.record(ResourceRef, UndoneSpec),
  /** Reactions (reload, restart) that were noted before the first step and are not done. */
  owed: z
    .array(z.object({ verb: z.enum(["reload", "restart"]), service: z.string(), because: ResourceRef }))
    .max(10_000),
  /** Resources that a step under way makes: noted before it, since a crash can come between making and noting. */
  making: z.array(ResourceRef).max(10_000),
  switches: z.array(ThrownSwitch).max(256),
  /** When Muster last changed BIRD here. */
  bird_changed_at: Instant.nullable(),
});
export type LedgerState = z.infer<typeof State>;

export type LedgerChange = Partial<Omit<LedgerState, "v">>;

const Held = z.object({ envelope: StoredEnvelope, accepted: Accepted });

const EMPTY: LedgerState = {
  v: 1,
  accepted: null,
  in_force: null,
  returned_to: null,
  refused: [],
  resources: {},
  undone: {},
  owed: [],
  making: [],
  switches: [],
  bird_changed_at: null,
};

/** How many manifests are kept to return to. */
const MANIFESTS_KEPT = 6;

export class Ledger {
  /** What could not be read at the start, for an event; null when all was well. */
  readonly damaged: string | null;
  readonly #file: string;
  readonly #directory: string;
  #state: LedgerState;
  #manifests = new Map<string, Manifest>();
  /** The manifests that have a file, newest first; null while it is not known. */
  #kept: readonly Accepted[] | null = null;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(file: string, directory: string, state: LedgerState, damaged: string | null) {
    this.#file = file;
    this.#directory = directory;
    this.#state = state;
    this.damaged = damaged;
  }

  /** Reads the ledger, or the version before a damaged one, or begins an empty one and says why in `damaged`. Errors: FAILED on the disk's. */
  static async open(file: string, directory: string): Promise<Ledger> {
    let state = EMPTY;
    let damaged: string | null = null;
    try {
      const kept = await readKept(file, State);
      state = kept?.value ?? EMPTY;
      damaged = kept?.damaged ?? null;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      damaged = error.detail;
    }
    const ledger = new Ledger(file, directory, state, damaged);
    try {
      await ledger.#goOn();
      return ledger;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      return new Ledger(file, directory, state, damaged ?? error.detail);
    }
  }

  /** What it says, for who only looks: nothing is changed on disk. Errors: FAILED on the disk's. */
  static async look(file: string): Promise<{ readonly state: LedgerState; readonly damaged: string | null }> {
    const { value, damaged } = await lookAtKept(file, State);
    return { state: value ?? EMPTY, damaged };
  }

  get state(): LedgerState {
    return this.#state;
  }

  /**
   * Changes and keeps, one writer at a time; resolves when it is on disk. What depends on the state is computed in a callback: it gets the
   * state that its change goes on top of. An empty change writes nothing; what the callback throws changes nothing.
   */
  update(change: LedgerChange | ((state: LedgerState) => LedgerChange)): Promise<void> {
    return this.#turn(() => this.#write(typeof change === "function" ? change(this.#state) : change));
  }

  /**
   * Keeps a manifest as the newest accepted one; resolves when a crash does not take it back. That is so with its own file on the disk, from which the
   * next start goes on: the ledger names it from its next writing on, which is that of the verdict.
   */
  accept(manifest: Manifest, envelope: StoredEnvelope, accepted: Accepted): Promise<void> {
    return this.#turn(async () => {
      const kept = await this.kept();
      await writeSynced(this.#manifestFile(accepted), `${JSON.stringify({ envelope, accepted })}\n`);
      this.#kept = newestFirst([...kept.filter((each) => key(each) !== key(accepted)), accepted]);
      this.#manifests.set(key(accepted), manifest);
      if (isNews(this.#state, accepted)) this.#state = { ...this.#state, accepted };
      else await this.#write({ accepted });
      await this.#prune();
    });
  }

  /**
   * Goes on from what was accepted just before the agent died: a file is written for nothing else. Errors: FAILED, ALTERED when the file or the
   * directory cannot be read.
   */
  async #goOn(): Promise<void> {
    const [newest] = await this.kept();
    if (newest === undefined || !isNews(this.#state, newest)) return;
    const held = await this.#held(newest);
    await this.manifest(held.accepted);
    this.#state = { ...this.#state, accepted: held.accepted };
  }

  /** Reads a manifest that was accepted here. It was proved then, and outlives its signer's certificate. Errors: NOT_FOUND, ALTERED. */
  async manifest(accepted: Accepted, remember = true): Promise<Manifest> {
    const known = this.#manifests.get(key(accepted));
    if (known !== undefined) return known;
    const body = Buffer.from((await this.envelope(accepted)).body, "base64");
    const manifest = parseJson(Manifest, body, `generation ${accepted.generation}`);
    if (manifest.content_hash !== accepted.content_hash || manifest.generation !== accepted.generation)
      throw new FleetError("ALTERED", `generation ${accepted.generation}`);
    if (remember) this.#manifests.set(key(accepted), manifest);
    return manifest;
  }

  /** As it came, with the signature. Errors: NOT_FOUND. */
  async envelope(accepted: Accepted): Promise<StoredEnvelope> {
    return (await this.#held(accepted)).envelope;
  }

  async #held(accepted: Accepted): Promise<z.infer<typeof Held>> {
    const kept = await readKept(this.#manifestFile(accepted), Held);
    if (kept === null)
      throw new FleetError("NOT_FOUND", `generation ${accepted.generation} is not kept here`);
    return kept.value;
  }

  /** The newest kept manifest with that content; null when it is not kept. */
  async byContent(content_hash: string): Promise<Manifest | null> {
    for (const accepted of await this.kept()) {
      if (accepted.content_hash === content_hash) return this.manifest(accepted);
    }
    return null;
  }

  #turn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    // Who asked hears of it; the next one goes on from what is kept.
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #write(change: LedgerChange): Promise<void> {
    if (Object.keys(change).length === 0) return;
    const next = { ...this.#state, ...change };
    await writeKept(this.#file, next);
    this.#state = next;
  }

  /** The manifests that are kept, newest first; of what was noted with them only generation and content. */
  async kept(): Promise<readonly Accepted[]> {
    if (this.#kept !== null) return this.#kept;
    const found: Accepted[] = [];
    for (const name of await this.#names()) {
      const match = /^(\d+)-([0-9a-f]{64})\.json$/.exec(name);
      if (match === null) continue;
      const [, generation = "", content_hash = ""] = match;
      found.push({
        generation: Number(generation),
        content_hash,
        signed_at: 0,
        by: "",
        kit: false,
        admitted: true,
      });
    }
    this.#kept = newestFirst(found);
    return this.#kept;
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.#directory);
    } catch (cause) {
      if (isMissing(cause)) return [];
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new FleetError("FAILED", `${this.#directory}: ${why}`, { cause });
    }
  }

  async #prune(): Promise<void> {
    const { accepted, in_force, returned_to } = this.#state;
    const needed = new Set([accepted, in_force].flatMap((each) => (each === null ? [] : [key(each)])));
    const kept = await this.kept();
    const old = kept.slice(MANIFESTS_KEPT).filter((each) => {
      return !needed.has(key(each)) && each.content_hash !== returned_to;
    });
    for (const each of old) {
      this.#manifests.delete(key(each));
      await rm(this.#manifestFile(each), { force: true });
      await rm(`${this.#manifestFile(each)}.previous`, { force: true });
    }
    this.#kept = kept.filter((each) => !old.includes(each));
    // Parsed manifests cost memory: only what is in force is looked at again and again.
    for (const known of this.#manifests.keys()) if (!needed.has(known)) this.#manifests.delete(known);
  }

  #manifestFile(accepted: Pick<Accepted, "generation" | "content_hash">): string {
    return join(this.#directory, `${accepted.generation}-${accepted.content_hash}.json`);
  }
}

/**
 * Whether a manifest's own file says enough: the generation is above all that the ledger has heard of, so that it was accepted after the ledger's last
 * writing. A ledger that knows of none begins anew, whatever else is there.
 */
const isNews = ({ accepted, refused }: LedgerState, { generation }: Pick<Accepted, "generation">) =>
  accepted !== null && generation > Math.max(accepted.generation, ...refused.map((each) => each.generation));

const newestFirst = (kept: readonly Accepted[]) => [...kept].sort((a, b) => b.generation - a.generation);

const key = (accepted: Pick<Accepted, "generation" | "content_hash">) =>
  `${accepted.generation}-${accepted.content_hash}`;
