/**
 * What the dispatcher costs above the broker: a ping of N simulated hosts against a scatter-gather of the `nats` library alone over the same
 * nats-server, with the same TLS and JWTs, in turns in one run. Loopback only. The hosts live in one other process, so a figure is
 * what two cores do for all of them: read the ratio, not the milliseconds.
 *
 *   node --import tsx bench/scatter.ts [N …]        100 and 1,000 without it
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { type Caller, callMany, TARGETED_LIMIT } from "@muster/ports/call";
import { createNkey, subjects } from "@muster/protocol";
import type { NatsConnection } from "nats";
import { binary } from "../test/kit/binaries.ts";
import { startFleet, type TestFleet } from "../test/kit/fleet.ts";
import { begin, figure, line, machine, times, told } from "./machine.ts";
import type { Order } from "./responders.ts";
import { dialBare, type SimulatedHost } from "./simulated-host.ts";

const ROUNDS = 41;
const WARM = 15;
const RATIO_TARGET = 1.5;
const LIMIT_MS = 10_000;

async function simulate(
  fleet: TestFleet,
  role: "agent" | "operator",
  names: readonly string[],
): Promise<SimulatedHost[]> {
  return Promise.all(
    names.map(async (name) => {
      const key = createNkey("user");
      const { id, jwt } = await fleet.credentials(role, name, key);
      return { id, name, jwt, key_pem: key.key.export({ type: "pkcs8", format: "pem" }).toString() };
    }),
  );
}

type Shape = "a message each" | "one broadcast";

/** Asks and waits for all, with nothing but the library. */
function scatterBare(
  connection: NatsConnection,
  inbox: string,
  hosts: readonly SimulatedHost[],
  shape: Shape,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = hosts.length;
    const late = setTimeout(() => reject(new Error(`${missing} bare hosts did not answer`)), LIMIT_MS);
    const gathering = connection.subscribe(`${inbox}.*`, {
      callback: () => {
        missing -= 1;
        if (missing > 0) return;
        clearTimeout(late);
        gathering.unsubscribe();
        resolve();
      },
    });
    const body = Buffer.from('{"v":1,"args":{}}');
    if (shape === "one broadcast")
      connection.publish(subjects.rpcAll("bare"), body, { reply: `${inbox}.all` });
    else
      for (const [at, { id }] of hosts.entries())
        connection.publish(subjects.rpc(id, "bare"), body, { reply: `${inbox}.${at}` });
  });
}

/** What `ctl rpc ping` does, once its bus is there. */
async function pingAll(caller: Caller, ids: readonly string[], shape: Shape): Promise<void> {
  const filter = shape === "one broadcast" ? { filter: {} } : {};
  const { answered, failed } = await callMany(caller, ids, "ping", {}, { timeout_ms: LIMIT_MS, ...filter });
  if (answered.size !== ids.length)
    throw new Error(`${answered.size} of ${ids.length} answered, ${failed.size} failed`);
}

async function compare(fleet: TestFleet, count: number, signal: AbortSignal): Promise<void> {
  const names = (kind: string) => Array.from({ length: count }, (_, at) => `${kind}${at}`);
  const bare = await simulate(fleet, "agent", names("bare"));
  const real = await simulate(fleet, "agent", names("real"));
  const ca_pem = fleet.broker_ca.certificate_pem;
  const order: Order = { server: fleet.server.address, ca_pem, bare, real };
  const child: ChildProcess = fork(fileURLToPath(new URL("responders.ts", import.meta.url)), {
    execArgv: ["--import", import.meta.resolve("tsx")],
  });
  try {
    child.send(order);
    const [ready] = (await Promise.race([
      once(child, "message", { signal }),
      once(child, "exit").then(() => Promise.reject(new Error("the simulated hosts ended"))),
    ])) as [{ ready_ms: number; rss_bytes: number }];
    const [asker] = await simulate(fleet, "operator", ["asker"]);
    if (asker === undefined) throw new Error("no asker");
    const connection = await dialBare(fleet.server.address, ca_pem, asker);
    const { bus } = await fleet.connect("operator", "ctl", signal);
    const ids = real.map(({ id }) => id);
    const caller: Caller = { bus, signer: await fleet.person("alice"), now: Date.now };
    // One broadcast is what `callMany` sends above its limit, where a filter says whom it is for.
    const shapes: Shape[] = count > TARGETED_LIMIT ? ["one broadcast", "a message each"] : ["a message each"];
    for (const shape of shapes) {
      const found = { bare: [] as number[], real: [] as number[] };
      for (let round = -WARM; round < ROUNDS; round++) {
        const inbox = `${subjects.inboxPrefix(asker.id)}.b${round + WARM}`;
        const [one] = await times(1, 0, () => scatterBare(connection, inbox, bare, shape));
        const [other] = await times(1, 0, () => pingAll(caller, ids, shape));
        if (round < 0) continue;
        found.bare.push(one ?? Number.NaN);
        found.real.push(other ?? Number.NaN);
      }
      const [base, mine] = [figure(found.bare), figure(found.real)];
      const ratio = mine.median / base.median;
      line(`N = ${count}, ${shape}, library alone`, told(base, "ms"));
      line(`N = ${count}, ${shape}, ctl's ping`, `${told(mine, "ms")}, ratio ${ratio.toFixed(2)}`, {
        target: `a ratio of at most ${RATIO_TARGET}`,
        met: ratio <= RATIO_TARGET,
      });
    }
    await connection.close();
    await bus.close();
    const storm = `${(ready.ready_ms / 1_000).toFixed(1)} s for ${2 * count}, 20 at once`;
    line(`N = ${count}, connecting with TLS and JWT`, storm);
  } finally {
    child.kill();
  }
}

export async function main(counts: readonly number[]): Promise<void> {
  const nats_server = await binary("nats-server");
  begin(
    "a ping of N hosts",
    `dispatcher against the nats library, real nats-server with TLS and JWT, ${ROUNDS} rounds in turns`,
    machine({ [nats_server]: ["--version"] }),
  );
  const life = new AbortController();
  const fleet = await startFleet();
  try {
    for (const count of counts) await compare(fleet, count, life.signal);
  } finally {
    life.abort();
    await fleet.stop();
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const given = argv.slice(2).map(Number);
  await main(given.length > 0 ? given : [100, 1_000]);
}
