/** Machines that wait for a person, and what the person said: in bucket `joins`, each for a day, at most a thousand. */
import type { Bus, KeyValue } from "@muster/ports/bus";
import { type Claim, GroupName, HostName, hostFingerprint, WaitingEnrolment } from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";

const LIFE_S = 86_400;
const LIMIT = 1_000;
/** How old our count of them may be: a poll must not read the bucket. */
const COUNT_AGE_MS = 5_000;
const MARKER_S = 60;

export const Waiting = z.object({
  view: WaitingEnrolment,
  /** The word is for a machine with this ssh host key too; type and key, without the comment. */
  ssh_key: z.string(),
  approved: z.object({ name: HostName, groups: z.array(GroupName), by: z.string() }).nullable(),
  rejected: z.boolean(),
});
export type Waiting = z.infer<typeof Waiting>;

type Kept = { readonly waiting: Waiting; readonly revision: number };

export class WaitingRoom {
  readonly #kv: KeyValue;
  readonly #now: () => number;
  #count = { at: Number.NEGATIVE_INFINITY, value: 0 };

  constructor(bus: Pick<Bus, "kv">, now: () => number) {
    this.#kv = bus.kv("joins");
    this.#now = now;
  }

  /** What is kept of this machine, if it is about these very keys. */
  async get(claim: Pick<Claim, "id" | "ssh_public_key">): Promise<Waiting | null> {
    const entry = await this.#kv.get(key(claim.id));
    if (entry === null) return null;
    const waiting = parseJson(Waiting, entry.value, "waiting enrolment");
    return waiting.ssh_key === sshKey(claim) ? waiting : null;
  }

  /** Lets a machine wait. False when it waits already. Errors: TOO_LARGE when too many do. */
  async add(claim: Claim, from: string | null): Promise<boolean> {
    if (this.#now() - this.#count.at > COUNT_AGE_MS)
      this.#count = { at: this.#now(), value: (await this.#kv.entries("waiting.>")).length };
    if (this.#count.value >= LIMIT)
      throw new FleetError("TOO_LARGE", `${LIMIT} machines wait for approval already`);
    const { hostname, os, addresses } = claim.facts;
    const waiting: Waiting = {
      view: {
        fingerprint: hostFingerprint(claim.id),
        name: claim.name,
        id: claim.id,
        facts: { hostname, os, addresses },
        from: from ?? "unknown",
        asked_at: this.#now(),
      },
      ssh_key: sshKey(claim),
      approved: null,
      rejected: false,
    };
    try {
      await this.#kv.create(key(claim.id), Buffer.from(JSON.stringify(waiting)), { ttl_s: LIFE_S });
    } catch (error) {
      if (error instanceof FleetError && error.code === "CONFLICT") return false;
      throw error;
    }
    this.#count.value++;
    return true;
  }

  /** Everybody who waits for a word, oldest first. */
  async list(): Promise<WaitingEnrolment[]> {
    const all = await this.#all();
    return all
      .filter(({ waiting }) => waiting.approved === null && !waiting.rejected)
      .map(({ waiting }) => waiting.view)
      .sort((a, b) => a.asked_at - b.asked_at);
  }

  /** A person's word on the machine of that fingerprint. Errors: NOT_FOUND, CONFLICT. */
  async answer(
    fingerprint: string,
    word: { approved: Waiting["approved"] } | { rejected: true },
  ): Promise<WaitingEnrolment> {
    const { waiting, revision } = await this.find(fingerprint);
    const next = { ...waiting, approved: null, rejected: false, ...word };
    const bytes = Buffer.from(JSON.stringify(next));
    await this.#kv.update(key(waiting.view.id), bytes, revision, { ttl_s: LIFE_S });
    return waiting.view;
  }

  async find(fingerprint: string): Promise<Kept> {
    const found = (await this.#all()).find(({ waiting }) => waiting.view.fingerprint === fingerprint);
    if (found === undefined)
      throw new FleetError("NOT_FOUND", `no machine with fingerprint ${fingerprint} waits`);
    return found;
  }

  /** It is in: nothing waits any more. */
  async remove(id: string): Promise<void> {
    await this.#kv.delete(key(id), { ttl_s: MARKER_S });
    this.#count.value = Math.max(0, this.#count.value - 1);
  }

  async #all(): Promise<Kept[]> {
    return (await this.#kv.entries("waiting.>")).map((entry) => ({
      waiting: parseJson(Waiting, entry.value, "waiting enrolment"),
      revision: entry.revision,
    }));
  }
}

const key = (id: string) => `waiting.${id}`;
const sshKey = (claim: Pick<Claim, "ssh_public_key">) =>
  claim.ssh_public_key.split(" ").slice(0, 2).join(" ");
