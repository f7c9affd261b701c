/**
 * Twenty files on many hosts, all of them changed and none of them changed, from Enter to told: real agents as processes with prefixes, and pyinfra and
 * Ansible over ssh on as many hosts as they are given, in the same run, Muster on so many of its own beside them.
 *
 *   node --import tsx bench/files.ts [hosts] [pyinfra's hosts] [Ansible's hosts] [peers' rounds]     50, 10, 3 and 2 without them; 0 for pyinfra = no peers
 */
import { readFileSync } from "node:fs";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { slownessNow } from "../scripts/slowness.mjs";
import { binary } from "../test/kit/binaries.ts";
import { begin, figure, line, machine, told } from "./machine.ts";
import { type Peers, peersMissing, startPeers } from "./peers.ts";
import { type SimulatedFleet, startSimulatedFleet } from "./simulated-fleet.ts";

const FILES = 20;
const ROUNDS = 5;
const PEER_ROUNDS = 2;
const CHANGED_MS = 1_000;
const SAME_MS = 300;

export async function main(
  hosts = 50,
  peer_hosts = 10,
  ansible_hosts = 3,
  peer_rounds = PEER_ROUNDS,
): Promise<void> {
  const nats = await binary("nats-server");
  begin(
    `${FILES} files on ${hosts} hosts`,
    `ctl apply -y from its start to its end, ${ROUNDS} times each; real agents, real broker`,
    machine({ [nats]: ["--version"] }),
  );
  const fleet = await startSimulatedFleet(hosts);
  try {
    const slow_before = slownessNow();
    const { changed, same } = await muster(fleet, fleet.names);
    verdict("  all change", changed, CHANGED_MS);
    verdict("  nothing changes", same, SAME_MS);
    byRatio([changed, same], (slow_before + slownessNow()) / 2);
    for (const size of new Set([peer_hosts, ansible_hosts])) {
      if (peer_hosts === 0 || size >= hosts) continue;
      const some = await muster(fleet, fleet.names.slice(0, size));
      line(`  ${size} of them, all change`, told(figure(some.changed), "ms", 0));
      line(`  ${size} of them, nothing changes`, told(figure(some.same), "ms", 0));
    }
  } finally {
    await fleet.stop();
  }
  if (peer_hosts === 0) return;
  const why = peersMissing();
  if (why !== null) return line("peers", `not measured: ${why}`);
  const peers = await startPeers(peer_hosts, Math.min(peer_hosts, ansible_hosts));
  try {
    await beside(peers, peer_rounds);
  } finally {
    await peers.stop();
  }
}

async function muster(
  fleet: SimulatedFleet,
  hosts: readonly string[],
): Promise<{ changed: number[]; same: number[] }> {
  const whole = hosts.length === fleet.names.length;
  const apply = async (): Promise<number> => {
    const selector = whole ? [] : [hosts.join(",")];
    const { ms, code, output } = await fleet.ctl("apply", ...selector, "-y", "-m", "measured");
    if (code !== 0) throw new Error(`ctl apply ended with ${code}:\n${output.slice(-3_000)}`);
    return ms;
  };
  await fleet.files(FILES, `first on ${hosts.length}`);
  line("  first apply, not counted", `${Math.round(await apply())} ms`);
  const [changed, same]: [number[], number[]] = [[], []];
  for (let round = 1; round <= ROUNDS; round++) {
    const text = `round ${round} on ${hosts.length}`;
    await fleet.files(FILES, text);
    changed.push(await apply());
    for (const host of hosts)
      for (let at = 0; at < FILES; at++)
        if (readFileSync(fleet.path(host, `/etc/bench/${at}.conf`), "utf8") !== `${text} ${at}\n`)
          throw new Error(`${host}: ${at}.conf is not of round ${round}`);
    same.push(await apply());
  }
  return { changed, same };
}

function verdict(what: string, values: readonly number[], target_ms: number): void {
  const found = figure(values);
  line(what, told(found, "ms", 0), { target: `${target_ms} ms`, met: found.median <= target_ms });
}

/** What these would be where the targets were set: there an empty Node takes 45 ms. */
function byRatio(values: readonly (readonly number[])[], slowness: number): void {
  const there = values.map((each) => `${Math.round(figure(each).median / slowness)} ms`);
  line(
    "  by the machine's ratio",
    `${there.join(" and ")}: an empty Node takes ${slowness.toFixed(2)} times as long here`,
  );
}

async function beside(peers: Peers, rounds: number): Promise<void> {
  begin(`peers: ${FILES} files`, `over ssh to loopback, ${rounds} times each`, `         ${peers.versions}`);
  for (const peer of peers.all) {
    const [changed, same]: [number[], number[]] = [[], []];
    try {
      await peer.apply(FILES, "first");
      for (let round = 1; round <= rounds; round++) {
        changed.push(await peer.apply(FILES, `round ${round}`));
        same.push(await peer.apply(FILES, `round ${round}`));
      }
    } catch (error) {
      line(
        `  ${peer.name} on ${peer.hosts}`,
        `not measured: ${error instanceof Error ? error.message.slice(0, 500) : String(error)}`,
      );
      continue;
    }
    line(`  ${peer.name} on ${peer.hosts}, all change`, told(figure(changed), "ms", 0));
    line(`  ${peer.name} on ${peer.hosts}, nothing changes`, told(figure(same), "ms", 0));
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  await main(...argv.slice(2).map(Number));
  process.exit();
}
