/**
 * What telemetry costs the middle of a fleet: many simulated hosts, each with a connection of its own and all kinds of telemetry at their periods, on one real
 * nats-server and one controller with alerts, metrics and history. The controller is this process, so that its processor time is known; the hosts, one
 * who looks on, and Prometheus' scrapes are another. Processor time, so that what else runs counts little.
 *
 *   node --import tsx bench/telemetry.ts [hosts] [seconds]     1000 and 60 without them
 */
import { type ChildProcess, fork } from "node:child_process";
import { once, setMaxListeners } from "node:events";
import { argv, cpuUsage, pid } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createNkey, TELEMETRY_KINDS } from "@muster/protocol";
import { binary } from "../test/kit/binaries.ts";
import { freePort } from "../test/kit/child.ts";
import { startFleet, type TestFleet } from "../test/kit/fleet.ts";
import { usage } from "./bgp.ts";
import { begin, figure, line, machine, told } from "./machine.ts";
import type { SimulatedHost } from "./simulated-host.ts";
import type { Scraped, SpeakersAsk, SpeakersOrder, Spoken } from "./speakers.ts";
import { control, enrol, type Host, hostName } from "./status.ts";

const CORES = 1;
const SCRAPE_MS = 1_000;
const SCRAPES = 7;
/** Longer than a controller keeps the text of one for others. */
const SCRAPES_APART_MS = 2_500;
const EVENT_MS = 1_000;
/** What the first samples of all, and V8's compiling, cost is over by then. */
const SETTLE_MS = 20_000;

export async function main(count: number, seconds = 60): Promise<void> {
  begin(
    "telemetry",
    `${count} hosts, each all of ${TELEMETRY_KINDS.join(", ")} at their periods, history and an event a second; one looks on; ${seconds} s`,
    machine({ [await binary("nats-server")]: ["--version"] }),
  );
  const life = new AbortController();
  setMaxListeners(0, life.signal);
  const fleet = await startFleet({ name: "as64500" });
  const child = fork(fileURLToPath(new URL("speakers.ts", import.meta.url)), {
    execArgv: ["--import", import.meta.resolve("tsx")],
  });
  try {
    const hosts = Array.from(
      { length: count },
      (_, at): Host => ({ name: hostName(at), key: createNkey("user") }),
    );
    await enrol(fleet, hosts, Date.now(), life.signal);
    const listen = `127.0.0.1:${await freePort()}`;
    const { ended } = await control(fleet, Date.now, life.signal, { metrics: { listen } });
    child.send(await orderFor(fleet, hosts, `http://${listen}/metrics`));
    await answer(child, life.signal);
    await sleep(SETTLE_MS);
    await measure(fleet, child, count, seconds, life.signal);
    life.abort();
    await ended;
  } finally {
    life.abort();
    child.kill();
    await fleet.stop();
  }
}

async function orderFor(fleet: TestFleet, hosts: readonly Host[], metrics: string): Promise<SpeakersOrder> {
  const of = async (role: "agent" | "viewer", { name, key }: Host): Promise<SimulatedHost> => {
    const { id, jwt } = await fleet.credentials(role, name, key);
    return { id, name, jwt, key_pem: key.key.export({ type: "pkcs8", format: "pem" }).toString() };
  };
  return {
    server: fleet.server.address,
    ca_pem: fleet.broker_ca.certificate_pem,
    hosts: await Promise.all(hosts.map((host) => of("agent", host))),
    viewer: await of("viewer", { name: "bob", key: createNkey("user") }),
    metrics,
  };
}

async function answer(child: ChildProcess, signal: AbortSignal): Promise<unknown> {
  const [message] = (await Promise.race([
    once(child, "message", { signal }),
    once(child, "exit", { signal }).then(() => Promise.reject(new Error("the simulated hosts ended"))),
  ])) as [unknown];
  return message;
}

async function measure(
  fleet: TestFleet,
  child: ChildProcess,
  count: number,
  seconds: number,
  signal: AbortSignal,
): Promise<void> {
  const broker = fleet.server.pid();
  const before = [usage(pid), usage(broker)] as const;
  const began_ms = performance.now();
  const ask: SpeakersAsk = { measure_ms: seconds * 1_000 };
  child.send(ask);
  const spoken = (await answer(child, signal)) as Spoken;
  const took_ms = performance.now() - began_ms;
  const after = [usage(pid), usage(broker)] as const;
  const cores = before.map(({ cpu_ms }, at) => ((after[at]?.cpu_ms ?? Number.NaN) - cpu_ms) / took_ms);
  const [controller = Number.NaN, nats = Number.NaN] = cores;

  const messages = Object.values(spoken.told).reduce((sum, each) => sum + each, 0);
  const per_s = (value: number) => (value / (took_ms / 1_000)).toFixed(0);
  const kinds = Object.entries(spoken.told).map(([kind, each]) => `${kind} ${per_s(each)}`);
  line("told, messages a second", `${per_s(messages)}: ${kinds.join(", ")}`);
  line("told, kB a second", per_s(spoken.told_bytes / 1_000));
  line("controller, of a core", `${controller.toFixed(2)}, ${after[0].rss_mib.toFixed(0)} MiB`);
  line("nats-server, of a core", `${nats.toFixed(2)}, ${after[1].rss_mib.toFixed(0)} MiB`);
  line("together", `${(controller + nats).toFixed(2)} cores`, {
    target: `≤ ${CORES} core`,
    met: controller + nats <= CORES,
  });
  const events = figure(spoken.event_ms);
  line("an event, from the host to who looks on", told(events, "ms", 0), {
    target: `≤ ${EVENT_MS} ms`,
    met: events.median <= EVENT_MS,
  });
  await scrapes(child, spoken, count, signal);
}

async function scrapes(
  child: ChildProcess,
  spoken: Spoken,
  count: number,
  signal: AbortSignal,
): Promise<void> {
  const taken: { cpu_ms: number; ms: number; text: string }[] = [];
  for (let at = 0; at < SCRAPES; at += 1) {
    await sleep(SCRAPES_APART_MS);
    const before = cpuUsage();
    const ask: SpeakersAsk = { scrape: true };
    child.send(ask);
    const scraped = (await answer(child, signal)) as Scraped;
    const { user, system } = cpuUsage(before);
    taken.push({ ...scraped, cpu_ms: (user + system) / 1_000 });
  }
  const text = taken.at(-1)?.text ?? "";
  whole(text, spoken, count);
  const cpu = figure(taken.map(({ cpu_ms }) => cpu_ms));
  const size = `${text.split("\n").length} lines, ${(text.length / 1e6).toFixed(1)} MB`;
  line("/metrics, with what else goes on meanwhile", `${told(cpu, "ms", 0)}, ${size}`, {
    target: `≤ ${SCRAPE_MS} ms`,
    met: cpu.median <= SCRAPE_MS,
  });
  line("/metrics, from asking to the last byte", told(figure(taken.map(({ ms }) => ms)), "ms", 0));
}

/** All of it arrived: else the figures would be those of less. */
function whole(metrics: string, { heard, told: sent }: Spoken, count: number): void {
  const rows = (pattern: RegExp) => metrics.match(pattern)?.length ?? 0;
  const wanted: readonly [RegExp, number][] = [
    [/^muster_host_up\{.*\} 1$/gm, count],
    [/^muster_host_collector_blind\{.*\} 0$/gm, count * TELEMETRY_KINDS.length],
    [/^muster_container_up\{.*\} 1$/gm, count * 3],
    [/^muster_wireguard_peer_up\{.*\} 1$/gm, count * 2],
    [/^muster_host_packages_pending\{/gm, count],
  ];
  for (const [pattern, number] of wanted)
    if (rows(pattern) !== number)
      throw new Error(`/metrics has ${rows(pattern)} of ${number} rows ${pattern.source}`);
  const told_all = Object.entries(sent).reduce(
    (sum, [kind, each]) => (kind === "history" ? sum : sum + each),
    0,
  );
  if (heard < told_all * 0.98) throw new Error(`who looks on heard ${heard} of ${told_all}`);
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const [hosts = 1_000, seconds] = argv.slice(2).map(Number);
  await main(hosts, seconds);
  process.exit();
}
