/**
 * What an agent holds on to that has everything declared at once, on a real server: the lab's `core1` with its containers, BIRD, units, packages and timer, and beside
 * them checks of every way, certificates and a tunnel; a change of twenty files every minute. Prints which collectors told how much at the beginning and
 * at the end, and of all three servers' agents the slope of memory and descriptors. Brings a lab up and removes it, as `first-light` does.
 *
 *   node --import tsx bench/soak-all.ts [minutes] [seconds between changes]     60 and 60 without them
 */
import { argv } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Fleet, HOSTS, openFleet } from "../test/e2e/kit.ts";
import { down, up } from "../test/e2e/setup.ts";
import { binary } from "../test/kit/binaries.ts";
import { begin, line, machine } from "./machine.ts";
import { type Sample, tell } from "./soak.ts";

const FILES = 20;
const SAMPLE_MS = 15_000;
/** Packages are looked at 45 s after the start, the others before. */
const TOLD_MS = 120_000;
const RSS_WITH_CONTAINERS_MIB = 90;
const RSS_WITHOUT_MIB = 70;
const EVERYTHING = ["containers", "services", "certificates", "packages", "wireguard", "bgp", "checks"];

/** Beside those that the example has already. */
const CHECKS = `  port: { tcp: "[::1]:22", every: 5s }
  echo: { icmp: "::1", every: 5s }
  web: { http: "http://172.18.0.1:8080/", every: 5s }
  rights: { command: [test, -d, /etc], every: 10s }
  name: { dns: core1.example.net, server: "127.0.0.1:9", every: 10s }
  shown: { tls: "[::1]:9", every: 10s }
  measuring:
    every: 5s
    probe: { prefix: "2001:db8:5000::/36", counters: { file: /run/counters.prom, sent: sent_total, received: replies_total, accepted: replies_total } }
`;

const CERTIFICATES = `
certificate:
  own: { file: /var/lib/muster-agent/certificates/service.crt }
  gone: { file: /etc/ssl/gone.pem }
  asked: { connect: "[::1]:9" }
`;

export async function main(minutes = 60, period_s = 60): Promise<void> {
  const nats = await binary("nats-server");
  const how = `a lab server with everything declared, a change of ${FILES} files every ${period_s} s for ${minutes} min`;
  begin("soak of all collectors", how, machine({ [nats]: ["--version"] }));
  await up();
  try {
    const fleet = await openFleet();
    await fleet.reset();
    await declareAll(fleet);
    await allTold(fleet);
    line("  what core1 tells at the beginning", await toldNow(fleet));
    const { samples, changes } = await soak(fleet, minutes, period_s);
    line("  what core1 tells at the end", await toldNow(fleet));
    for (const [host, all] of samples)
      tell(host, all, changes, host === "core1" ? RSS_WITH_CONTAINERS_MIB : RSS_WITHOUT_MIB);
  } finally {
    await down();
  }
}

async function soak(
  fleet: Fleet,
  minutes: number,
  period_s: number,
): Promise<{ samples: Map<string, Sample[]>; changes: number }> {
  const samples = new Map<string, Sample[]>(HOSTS.map((host) => [host, []]));
  const pids = new Map<string, string>();
  const end_ms = performance.now() + minutes * 60_000;
  let changes = 0;
  while (performance.now() < end_ms) {
    const next_ms = performance.now() + period_s * 1_000;
    fleet.edit("group_vars/routers.yml", () => `round: ${++changes}\n`);
    await fleet.ctl(["apply", "-y", "-m", "soak"], { expect: 0 });
    while (performance.now() < next_ms) {
      for (const host of HOSTS) {
        const { pid, ...sample } = await sampleOf(fleet, host);
        if ((pids.get(host) ?? pid) !== pid) throw new Error(`the agent of ${host} was started anew`);
        pids.set(host, pid);
        samples.get(host)?.push(sample);
      }
      await sleep(Math.min(SAMPLE_MS, Math.max(1, next_ms - performance.now())));
    }
  }
  return { samples, changes };
}

async function declareAll(fleet: Fleet): Promise<void> {
  const [core1, probe1] = [fleet.on("core1"), fleet.on("probe1")];
  const tunnel = `set -e; mkdir -p /dev/net /etc/wireguard; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
umask 077; wg genkey > /run/wgt0.key; wireguard-go wgt0 2>/dev/null; ip link set wgt0 up; wg pubkey < /run/wgt0.key`;
  const [key, far_key] = (await Promise.all([core1.sh(tunnel), probe1.sh(tunnel)])).map((text) =>
    text.trim(),
  );
  const near = (await core1.sh("ip -4 -o addr show eth0 | awk '{print $4}' | cut -d/ -f1 | head -1")).trim();
  await core1.sh(`wg set wgt0 private-key /run/wgt0.key listen-port 51999 peer ${far_key} allowed-ips 10.99.0.2/32
printf '[Interface]\\nPrivateKey = %s\\n[Peer]\\nPublicKey = %s\\n' "$(cat /run/wgt0.key)" ${far_key} > /etc/wireguard/wgt0.conf
printf 'sent_total 5000\\nreplies_total 500\\n' > /run/counters.prom`);
  await probe1.sh(
    `wg set wgt0 private-key /run/wgt0.key peer ${key} endpoint ${near}:51999 allowed-ips 10.99.0.1/32 persistent-keepalive 5`,
  );
  const files = Array.from(
    { length: FILES },
    (_, at) => `  /etc/netinfo/soak-${at}: { template: soak.j2 }\n`,
  );
  fleet.edit("resources/routers.yml", (text) => text.replace(/^file:\n/m, `file:\n${files.join("")}`));
  fleet.edit("templates/soak.j2", () => "round {{ round }} on {{ inventory_hostname }}\n".repeat(20));
  fleet.edit("group_vars/routers.yml", () => "round: 0\n");
  fleet.edit(
    "resources/core1.yml",
    (text) => `${text.replace(/^check:.*\n/m, (head) => head + CHECKS)}${CERTIFICATES}`,
  );
  await fleet.ctl(["apply", "-y", "-m", "everything"], { expect: 0 });
}

/** How many rows each collector of core1 tells. */
async function told(fleet: Fleet): Promise<ReadonlyMap<string, number>> {
  const { collected } = (await fleet.ctl(["health", "core1", "--json"])).json().hosts.core1;
  const { sessions } = (await fleet.ctl(["bgp", "core1", "--json"])).json();
  const { checks } = (await fleet.ctl(["checks", "core1", "--json"])).json();
  const { containers, services, certificates, packages, wireguard } = collected ?? {};
  return new Map<string, number>([
    ["containers", containers?.containers?.length ?? 0],
    ["services", services?.services?.length ?? 0],
    ["certificates", certificates?.certificates?.length ?? 0],
    ["packages", packages?.declared?.length ?? 0],
    ["wireguard", wireguard?.interfaces?.length ?? 0],
    ["bgp", sessions?.length ?? 0],
    ["checks", checks?.filter((row: { ran_at: number | null }) => row.ran_at !== null).length ?? 0],
  ]);
}

async function allTold(fleet: Fleet): Promise<void> {
  await fleet.until(
    "every collector of core1 tells something",
    async () => {
      const rows = await told(fleet);
      const mute = EVERYTHING.filter((kind) => (rows.get(kind) ?? 0) === 0);
      if (mute.length > 0) throw new Error(`nothing yet of ${mute.join(", ")}`);
      return true;
    },
    TOLD_MS,
  );
}

const toldNow = async (fleet: Fleet) =>
  [...(await told(fleet))].map(([kind, rows]) => `${rows} ${kind}`).join(", ");

async function sampleOf(fleet: Fleet, host: (typeof HOSTS)[number]): Promise<Sample & { pid: string }> {
  const text = await fleet
    .on(host)
    .sh(
      `pid=$(systemctl show muster-agent --property=MainPID --value); echo $pid; awk '/^VmRSS/ { print $2 }' /proc/$pid/status; ls /proc/$pid/fd | wc -l`,
    );
  const [pid = "", rss_kib, descriptors] = text.split("\n");
  return {
    pid,
    at_ms: performance.now(),
    rss_mib: Number(rss_kib) / 1_024,
    descriptors: Number(descriptors),
  };
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const [minutes, period_s] = argv.slice(2).map(Number);
  await main(minutes, period_s);
  process.exit();
}
