/**
 * What a signature costs: signing an envelope, opening it with a certificate that the reader knows or sees for the first time, and a whole
 * command with its nonce. Each value is the mean of a batch in processor time, since nothing here waits and a machine with other work would
 * be measured else; told are the median and the ends of the batches.
 *
 *   node --import tsx bench/envelope.ts
 */
import { fileURLToPath } from "node:url";
import { processMemory } from "@muster/ports/nonces";
import { subjects } from "@muster/protocol";
import { CertificateReader } from "@muster/protocol/certificate";
import { open, openCommand, seal, type Verifier } from "@muster/protocol/envelope";
import { PeopleCa } from "../test/kit/people.ts";
import { begin, figure, line, machine, told } from "./machine.ts";

const BATCHES = 25;
const BATCH = 200;
const SIZES_BYTES = [100, 4_096, 65_536];
const LIMIT_US = 300;
/** The target is for a command or a plan; what is larger is told. */
const TARGET_BYTES = 4_096;
const ID = "UBENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCH";

/** Microseconds of processor time a call, one value a batch, after one batch that does not count. */
async function batches(work: (at: number) => unknown): Promise<number[]> {
  const all: number[] = [];
  for (let batch = -1; batch < BATCHES; batch++) {
    const began = process.cpuUsage();
    for (let at = 0; at < BATCH; at++) await work(at);
    const { user, system } = process.cpuUsage(began);
    if (batch >= 0) all.push((user + system) / BATCH);
  }
  return all;
}

export async function main(): Promise<void> {
  begin("a signed message", `Ed25519 through node:crypto, ${BATCHES} batches of ${BATCH}`, machine());
  const operators = await PeopleCa.make("operators");
  const controllers = await PeopleCa.make("controllers");
  const alice = await operators.person("alice", "operator");
  const issuers = { operators: [operators.pem], controllers: [controllers.pem] };
  const verifier = (): Verifier => ({ certificates: new CertificateReader(issuers), voided: () => false });
  const known = verifier();
  const subject = subjects.rpc(ID, "reconcile");
  for (const size_bytes of SIZES_BYTES) {
    const body = Buffer.alloc(size_bytes, "x");
    const now = Date.now();
    const envelope = seal(subject, body, alice, now);
    const size = size_bytes < 1_024 ? `${size_bytes} B` : `${size_bytes / 1_024} KiB`;
    const tell = async (what: string, work: (at: number) => unknown) => {
      const took = figure(await batches(work));
      const verdict = { target: `at most ${LIMIT_US} µs`, met: took.median <= LIMIT_US };
      line(`${what}, ${size}`, told(took, "µs"), size_bytes > TARGET_BYTES ? undefined : verdict);
    };
    await tell("sign", () => seal(subject, body, alice, now));
    await tell("open, certificate known", () => open(subject, envelope, known, "operator"));
    const sealed = Array.from({ length: BATCH }, () => seal(subject, body, alice, now));
    // It takes nothing that was signed before it began.
    const fresh = () => processMemory(() => now - 1_000);
    let memory = fresh();
    await tell("command with its nonce", (at) => {
      if (at === 0) memory = fresh();
      const one = sealed[at] ?? envelope;
      return openCommand(subject, one, known, "operator", { now_ms: now, memory, acts: true });
    });
  }
  const envelope = seal(subject, Buffer.alloc(100, "x"), alice, Date.now());
  const first = figure(await batches(() => open(subject, envelope, verifier(), "operator")));
  line("open, certificate and issuers never seen, 100 B", told(first, "µs"));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
