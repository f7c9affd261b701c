/**
 * A process full of simulated machines for enrolment.ts: real keys, proofs and sealed replies; connections of the enrolment account are shared by a
 * few. A round comes as a list of names and join strings; keys are made before its time begins.
 */
import { connectBus } from "@muster/ports/bus";
import { subjects } from "@muster/protocol";
import { enrol, makeMachine } from "../test/kit/machine.ts";

export type Round = {
  readonly server: string;
  readonly ca_pem: string;
  readonly connections: number;
  readonly at_once: number;
  readonly machines: readonly { readonly name: string; readonly joining: string }[];
};
/** Milliseconds: of the whole round, of each machine, and the processor's of this process in that round, without the keys. */
export type Enrolled =
  | { readonly took_ms: number; readonly each_ms: readonly number[]; readonly used_ms: number }
  | { readonly error: string };

async function enrolAll(round: Round): Promise<Enrolled> {
  const life = new AbortController();
  const dial = () =>
    connectBus(
      {
        servers: [round.server],
        ca_pem: round.ca_pem,
        name: "new machine",
        inbox_prefix: subjects.enrolInboxPrefix(),
        credentials: () => null,
      },
      life.signal,
    );
  try {
    const buses = await Promise.all(Array.from({ length: round.connections }, dial));
    const machines = await Promise.all(
      round.machines.map(async ({ name, joining }) => ({ machine: await makeMachine(name), joining })),
    );
    const queue = machines.entries();
    const each_ms: number[] = [];
    const began = performance.now();
    const used = process.cpuUsage();
    const worker = async (): Promise<void> => {
      for (const [at, { machine, joining }] of queue) {
        const bus = buses[at % buses.length];
        if (bus === undefined) throw new Error("no connection");
        const started = performance.now();
        const reply = await enrol(bus, machine, joining);
        if (reply.status !== "admitted") throw new Error(`${machine.name}: ${JSON.stringify(reply)}`);
        each_ms.push(performance.now() - started);
      }
    };
    await Promise.all(Array.from({ length: round.at_once }, worker));
    const { user, system } = process.cpuUsage(used);
    return { took_ms: performance.now() - began, each_ms, used_ms: (user + system) / 1_000 };
  } finally {
    life.abort();
  }
}

// Started by enrolment.ts: rounds come over the channel, and its end ends us.
if (process.send !== undefined) {
  process.once("disconnect", () => process.exit(0));
  process.on("message", async (round: Round) => {
    const enrolled = await enrolAll(round).catch((error: unknown): Enrolled => ({ error: String(error) }));
    process.send?.(enrolled);
  });
}
