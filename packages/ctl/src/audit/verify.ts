/**
 * Holds the stream's copy of the audit against itself and against what those who wrote it say: each writer's chain, the heads that hosts sign with
 * their own keys, and the heads at which controllers found those before them. A controller hands the records over and is not believed.
 */
import { randomBytes } from "node:crypto";
import { callMany } from "@muster/ports/call";
import { type AuditFault, ChainCheck, headIsSigned } from "@muster/protocol/audit";
import type { RpcReply } from "@muster/protocol/rpc/index";
import type { Connection } from "../session/session.ts";
import type { Own, Stored } from "./read.ts";

export type Verdict = {
  readonly writers: readonly {
    readonly writer: string;
    readonly host: string | null;
    readonly first: number | null;
    readonly last: number;
    readonly records: number;
    /** Its end was held against what the writer, or a controller after it, says. */
    readonly ends: boolean;
    readonly waiting: number;
  }[];
  readonly faults: readonly AuditFault[];
  /** Hosts that did not say their head. */
  readonly silent: readonly string[];
};

export type Heads = {
  readonly said: ReadonlyMap<string, RpcReply<"audit">>;
  readonly faults: readonly AuditFault[];
  readonly silent: readonly string[];
};

/** Asks hosts for their heads, before the records are read: what they have written by then must be there. Errors: those of the bus. */
export async function askHeads(connection: Connection, hosts: ReadonlyMap<string, string>): Promise<Heads> {
  const nonce = randomBytes(16).toString("hex");
  const names = new Map([...hosts].map(([name, id]) => [id, name]));
  const results = await callMany(connection, [...hosts.values()], "audit", { nonce });
  const said = new Map<string, RpcReply<"audit">>();
  const faults: AuditFault[] = [];
  for (const [id, reply] of results.answered) {
    if (headIsSigned(id, reply, nonce, reply.signature)) said.set(id, reply);
    else {
      const what = "the head that it says is not signed by its own key";
      faults.push({ writer: id, host: names.get(id) ?? null, seq: reply.seq, at: null, fault: "head", what });
    }
  }
  const unheard = [...results.silent, ...results.failed.keys()].map((id) => names.get(id) ?? id);
  return { said, faults, silent: unheard.sort() };
}

/** Takes records one after the other and says in the end what is wrong with them. */
export class AuditCheck {
  readonly #chains = new Map<string, ChainCheck>();
  readonly #faults: AuditFault[] = [];
  readonly #follows: { writer: string; seq: number; hash: string }[] = [];
  readonly #hosts: ReadonlySet<string>;
  #first_at: number | null = null;

  /** `hosts`: the ids of enrolled hosts, which speak for themselves and for nobody else. */
  constructor(hosts: ReadonlySet<string>) {
    this.#hosts = hosts;
  }

  take({ at, writer, record, stored_at }: Stored): void {
    this.#first_at ??= at;
    const chain = this.#chains.get(writer) ?? new ChainCheck(writer);
    this.#chains.set(writer, chain);
    if (record === null) {
      const seq = (chain.head?.seq ?? 0) + 1;
      const what = "something under its subject is no audit record";
      this.#faults.push({ writer, host: chain.host, seq, at: stored_at, fault: "foreign", what });
      return;
    }
    const fault = chain.take(record);
    if (fault !== null) this.#faults.push(fault);
    if (record.kind !== "log" || record.what !== "follows" || this.#hosts.has(writer)) return;
    const [before = "", seq = "", hash = ""] = record.target.split(" ");
    this.#follows.push({ writer: before, seq: Number(seq), hash });
  }

  /**
   * `own`: what the answering controller says of itself; null where its records were not read. `whole`: no record was left out by when it was stored;
   * else, and where the stream has let its oldest go, a writer without any may have written before.
   */
  end(heads: Heads, own: Own | null, whole: boolean): Verdict {
    const faults = [...this.#faults, ...heads.faults];
    const ended = new Set<string>();
    const hold = (
      writer: string,
      said: { seq: number; hash: string },
      waiting: number,
      attested: boolean,
    ) => {
      const chain = this.#chains.get(writer);
      if (chain === undefined && (!whole || this.#first_at !== 1 || said.seq === waiting)) return;
      const known = chain ?? new ChainCheck(writer);
      // Who is only followed may have written on.
      if (attested && (known.head?.seq ?? 0) > said.seq && known.hashAt(said.seq) === said.hash) return;
      const fault = known.end(said, waiting);
      if (fault !== null) faults.push(fault);
      ended.add(writer);
    };
    for (const { writer, host, first } of this.#chains.values()) {
      if (!whole || this.#first_at !== 1 || first === null || first === 1) continue;
      const what = `records 1 to ${first - 1} are missing, and the stream holds older ones of others`;
      faults.push({ writer, host, seq: 1, at: null, fault: "missing", what });
    }
    for (const [id, said] of heads.said) hold(id, said, said.waiting, false);
    for (const said of this.#follows) hold(said.writer, said, 0, true);
    if (own !== null) hold(own.writer, own, 0, false);
    return {
      writers: [...this.#chains.values()].map((chain) => ({
        writer: chain.writer,
        host: chain.host,
        first: chain.first,
        last: chain.head?.seq ?? 0,
        records: chain.count,
        ends: ended.has(chain.writer),
        waiting: heads.said.get(chain.writer)?.waiting ?? 0,
      })),
      faults,
      silent: heads.silent,
    };
  }
}
