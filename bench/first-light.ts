/**
 * What a person waits for, on the lab's real servers: a change in twenty files from Enter to converged, a ping, a boot; and what an agent takes
 * at rest. Uses the lab of the end-to-end tests (not while they run): brings it up if it is not there, and removes it unless
 * MUSTER_TEST_LAB=keep.
 *
 *   node --import tsx bench/first-light.ts
 */
import { argv } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Fleet, HOSTS, openFleet } from "../test/e2e/kit.ts";
import { down, up } from "../test/e2e/setup.ts";
import { binary } from "../test/kit/binaries.ts";
import { begin, figure, line, machine, times, told } from "./machine.ts";

const FILES = 20;
const APPLIES = 9;
const PINGS = 21;
const BOOTS = 3;
const REST_S = 60;
/** What the loop, the ledger and V8 do after the last change is over by then. */
const SETTLE_MS = 15_000;

const atMost = (limit: number, unit: string, value: number) => ({
  target: `at most ${limit} ${unit}`,
  met: value <= limit,
});

async function applies(fleet: Fleet): Promise<void> {
  const files = Array.from(
    { length: FILES },
    (_, at) => `  /etc/netinfo/bench-${at}: { template: bench.j2 }\n`,
  );
  fleet.edit("resources/routers.yml", (text) => text.replace(/^file:\n/m, `file:\n${files.join("")}`));
  fleet.edit("templates/bench.j2", () => "round {{ round }} on {{ inventory_hostname }}\n".repeat(20));
  const whole_ms: number[] = [];
  const agent_ms: number[] = [];
  for (let at = -1; at < APPLIES; at++) {
    fleet.edit("group_vars/routers.yml", () => `round: ${at}\n`);
    const { ms } = await fleet.ctl(["apply", "-y"], { expect: 0 });
    for (const host of HOSTS) {
      const text = await fleet.on(host).read(`/etc/netinfo/bench-${FILES - 1}`);
      if (!text.startsWith(`round ${at} on ${host}`)) throw new Error(`${host} has not changed: ${text}`);
    }
    // The first makes the files; the others change them.
    if (at < 0) continue;
    whole_ms.push(ms);
    for (const row of (await fleet.status()).values())
      if (row.last_apply_ms !== null) agent_ms.push(row.last_apply_ms);
  }
  const [whole, agent] = [figure(whole_ms), figure(agent_ms)];
  line(
    `${FILES} files on ${HOSTS.length} hosts, Enter to converged`,
    told(whole, "ms", 0),
    atMost(1_500, "ms", whole.median),
  );
  line("the agent's own part of it", told(agent, "ms", 0), atMost(300, "ms", agent.median));
  const none = figure(await times(5, 1, () => fleet.ctl(["apply", "-y"], { expect: 0 })));
  line("the same again, nothing to do", told(none, "ms", 0));
}

async function pings(fleet: Fleet): Promise<void> {
  for (const [words, limit_ms] of [
    [["--version"], null],
    [["whoami"], null],
    [["rpc", "ping"], 200],
    [["status"], null],
  ] as const) {
    const took = figure(await times(PINGS, 2, () => fleet.ctl([...words], { expect: 0 })));
    const verdict = limit_ms === null ? undefined : atMost(limit_ms, "ms", took.median);
    line(`ctl ${words.join(" ")}, with its start`, told(took, "ms", 0), verdict);
  }
}

/** From the network's unit to converged, by the clocks of the server and of its own report. */
async function boots(fleet: Fleet): Promise<void> {
  const took_ms: number[] = [];
  for (let at = 0; at < BOOTS; at++) {
    const begun_ms = Date.now();
    const probe = fleet.on("probe1");
    await probe.restart();
    const { value: row } = await fleet.until(
      "probe1 is converged after its reboot",
      async () => {
        const found = (await fleet.status()).get("probe1");
        return found?.state === "converged" && (found.since ?? 0) >= begun_ms ? found : undefined;
      },
      60_000,
    );
    const network = await probe.sh(
      'date -d "$(systemctl show lab-network.service --property=ActiveEnterTimestamp --value)" +%s',
    );
    // systemd says whole seconds: up to one second more than it was.
    took_ms.push((row.since ?? 0) - Number(network) * 1_000);
  }
  const took = figure(took_ms);
  line("boot: network up to converged", told(took, "ms", 0), atMost(5_000, "ms", took.median));
}

type Usage = { readonly pid: string; readonly rss_mib: number; readonly cpu_ms: number };

async function usage(fleet: Fleet, host: (typeof HOSTS)[number]): Promise<Usage & { at_ms: number }> {
  const text = await fleet
    .on(host)
    .sh(`pid=$(systemctl show muster-agent --property=MainPID --value); echo $pid; getconf CLK_TCK
awk '/^VmRSS/ { print $2 }' /proc/$pid/status; awk '{ sub(/.*\\) /, ""); print $12 + $13 + $14 + $15 }' /proc/$pid/stat`);
  const [pid = "", tick_hz, rss_kib, ticks] = text.split("\n");
  const cpu_ms = (Number(ticks) / Number(tick_hz)) * 1_000;
  return { pid, rss_mib: Number(rss_kib) / 1_024, cpu_ms, at_ms: Date.now() };
}

async function rest(fleet: Fleet): Promise<void> {
  await fleet.converged();
  await sleep(SETTLE_MS);
  const before = await Promise.all(HOSTS.map((host) => usage(fleet, host)));
  await sleep(REST_S * 1_000);
  const after = await Promise.all(HOSTS.map((host) => usage(fleet, host)));
  const percent = before.map((one, at) => {
    const other = after[at];
    if (other?.pid !== one.pid) throw new Error("an agent was started anew in between");
    return ((other.cpu_ms - one.cpu_ms) * 100) / (other.at_ms - one.at_ms);
  });
  const memory = figure(after.map(({ rss_mib }) => rss_mib));
  const cpu = figure(percent);
  line("an agent's resident memory", told(memory, "MiB"), atMost(70, "MiB", memory.max));
  line(`an agent's processor time over ${REST_S} s`, told(cpu, "%", 2), atMost(0.5, "% of a core", cpu.max));
}

export async function main(): Promise<void> {
  const [nats_server, vault] = [await binary("nats-server"), await binary("vault")];
  begin(
    "first light",
    `ctl of this clone, lab servers ${HOSTS.join(", ")} with agent, BIRD and systemd`,
    machine({ [nats_server]: ["--version"], [vault]: ["version"] }),
  );
  await up();
  try {
    const fleet = await openFleet();
    await fleet.reset();
    await pings(fleet);
    await applies(fleet);
    await fleet.reset();
    await rest(fleet);
    await boots(fleet);
    await fleet.converged();
  } finally {
    await down();
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) await main();
