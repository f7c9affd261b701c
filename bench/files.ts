/**
 * Twenty files on many hosts, all of them changed and none of them changed, from Enter to told: real agents as processes with prefixes, and pyinfra and
 * Ansible over ssh on as many hosts as they are given, in the same run.
 *
 *   node --import tsx bench/files.ts [hosts] [peers' hosts] [peers' rounds]     50, 10 and 2 without them; 0 hosts = no peers
 */
import { readFileSync } from "node:fs";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { binary } from "../test/kit/binaries.ts";
import { begin, figure, line, machine, told } from "./machine.ts";
import { type Peers, peersMissing, startPeers } from "./peers.ts";
import { type SimulatedFleet, startSimulatedFleet } from "./simulated-fleet.ts";

const FILES = 20;
const ROUNDS = 5;
const PEER_ROUNDS = 2;
const CHANGED_MS = 1_000;
const SAME_MS = 300;

export async function main(hosts = 50, peer_hosts = 10, peer_rounds = PEER_ROUNDS): Promise<void> {
  const nats = await binary("nats-server");
  begin(
    `${FILES} files on ${hosts} hosts`,
    `ctl apply -y from its start to its end, ${ROUNDS} times each; real agents, real broker`,
    machine({ [nats]: ["--version"] }),
  );
  const fleet = await startSimulatedFleet(hosts);
  try {
    await muster(fleet);
  } finally {
    await fleet.stop();
  }
  if (peer_hosts === 0) return;
  const why = peersMissing();
  if (why !== null) return line("peers", `not measured: ${why}`);
  const peers = await startPeers(peer_hosts);
  try {
    await beside(peers, peer_hosts, peer_rounds);
  } finally {
    await peers.stop();
  }
}

async function muster(fleet: SimulatedFleet): Promise<void> {
  const apply = async (): Promise<number> => {
    const { ms, code, output } = await fleet.ctl("apply", "-y", "-m", "measured");
    if (code !== 0) throw new Error(`ctl apply ended with ${code}:\n${output.slice(-3_000)}`);
    return ms;
  };
  await fleet.files(FILES, "first");
  line("  first apply, not counted", `${Math.round(await apply())} ms`);
  const [changed, same]: [number[], number[]] = [[], []];
  for (let round = 1; round <= ROUNDS; round++) {
    await fleet.files(FILES, `round ${round}`);
    changed.push(await apply());
    for (const host of fleet.names)
      for (let at = 0; at < FILES; at++)
        if (readFileSync(fleet.path(host, `/etc/bench/${at}.conf`), "utf8") !== `round ${round} ${at}\n`)
          throw new Error(`${host}: ${at}.conf is not of round ${round}`);
    same.push(await apply());
  }
  verdict("  all change", changed, CHANGED_MS);
  verdict("  nothing changes", same, SAME_MS);
}

function verdict(what: string, values: readonly number[], target_ms: number): void {
  const found = figure(values);
  line(what, told(found, "ms", 0), { target: `${target_ms} ms`, met: found.median <= target_ms });
}

async function beside(peers: Peers, hosts: number, rounds: number): Promise<void> {
  begin(
    `peers: ${FILES} files on ${hosts} hosts`,
    `over ssh to loopback, ${rounds} times each`,
    `         ${peers.versions}`,
  );
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
        `  ${peer.name}`,
        `not measured: ${error instanceof Error ? error.message.slice(0, 500) : String(error)}`,
      );
      continue;
    }
    line(`  ${peer.name}, all change`, told(figure(changed), "ms", 0));
    line(`  ${peer.name}, nothing changes`, told(figure(same), "ms", 0));
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  await main(...argv.slice(2).map(Number));
  process.exit();
}
