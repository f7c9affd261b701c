// limit: 300 s
// lane: last
/**
 * First light: the fleet as the set-up leaves it. Three hosts converged with the ends of their certificates, every declared session up with counts,
 * ssh without a question, nothing of the lab's secrets readable by others, a reboot that needs no hand, and what the agent costs at rest.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, HOSTS, measured, openFleet, type ServerName, slowness } from "./kit.ts";
import { openLab } from "./lab.ts";

const DAY_MS = 86_400_000;
/** Of what a host has from its enrolment; what it signs itself later lives longer. */
const LIFE_DAYS: Readonly<Record<string, number>> = { bus: 7, identity: 14, service: 7, ssh: 7 };
/** The period in which an agent looks at all its resources: a shorter time holds that look or does not. */
const REST_S = 30;
const RSS_LIMIT_MIB = 70;
const GIVEN_BACK_MS = 60_000;
const PACKAGES_MS = 90_000;
/** It speaks with Docker. */
const RSS_WITH_CONTAINERS_MIB = 90;
const CPU_LIMIT_PERCENT = 0.5;
/** More than that an agent takes only while it starts or works. */
const STARTING_PERCENT = 5;
/** Boot to converged, from the network being up. */
const BOOT_LIMIT_MS = 5_000;

suite(
  "first light",
  (test) => {
    let fleet: Fleet;
    test.before(async () => {
      fleet = await openFleet();
      await fleet.converged();
    });

    test("ctl status --json: three hosts converged, with the ends of their certificates", async () => {
      const answer = await fleet.ctl(["status", "--json"], { expect: 0 });
      const { fleet: name, hosts } = answer.json();
      assert.is(name, "as64500");
      assert.equal(
        hosts.map((row: { host: string; state: string }) => [row.host, row.state]),
        HOSTS.map((host) => [host, "converged"]),
      );
      assert.equal(
        hosts.map((row: { groups: string[] }) => row.groups),
        ["core", "ixp", "probe"].map((group) => [group, "routers"].sort()),
      );
      for (const { host, certificates } of hosts) {
        assert.equal(Object.keys(certificates).sort(), Object.keys(LIFE_DAYS), host);
        for (const [kind, end] of Object.entries(certificates)) {
          const left_ms = Date.parse(String(end)) - Date.now();
          const most_ms = (LIFE_DAYS[kind] ?? 0) * DAY_MS;
          assert.ok(left_ms > most_ms / 2 && left_ms <= most_ms, `${host} ${kind}: ends ${end}`);
        }
      }
    });

    test("the set-up run again finds everything there and changes nothing", async () => {
      const lab = await openLab();
      const { lab: name, operator } = fleet;
      const bringUp = () => lab.bringUp({ lab: name, operator, progress: lab.createProgress() });
      // As if a story before this one had revoked: the broker gets new files and begins anew, and the set-up waits for the hosts to find back.
      await fleet.on("hub").sh("rm /usr/lib/muster/.delivered-broker");
      assert.equal((await bringUp()).done, ["broker and controller"]);
      await fleet.converged();
      const begun_ms = performance.now();
      const { done } = await bringUp();
      measured("the set-up run again", `${(performance.now() - begun_ms).toFixed(0)} ms`);
      assert.equal(done, []);
    });

    test("ctl bgp: every declared session established with counts; the ordered one amber; exit 0", async () => {
      const { sessions } = (await fleet.ctl(["bgp", "--json"], { expect: 0 })).json();
      const told = sessions.map(
        (s: { host: string; name: string; state: string; verdict: string; channels: Channel[] }) => {
          const counts = s.channels.map((channel) => [channel.imported, channel.exported]);
          return `${s.host} ${s.name} ${s.state} ${s.verdict} ${JSON.stringify(counts)}`;
        },
      );
      const up = (told as string[]).filter((line) => / established ok \[\[\d+,\d+\]\]$/.test(line));
      assert.equal(up.map((line) => line.split(" ").slice(0, 2).join(" ")).sort(), [
        "core1 ixp1",
        "core1 probe1",
        "ixp1 core1",
        "ixp1 upstream",
        "probe1 core1",
      ]);
      const rest = (told as string[]).filter((line) => !up.includes(line));
      assert.is(rest.length, 1, rest.join("\n"));
      assert.match(rest[0] ?? "", /^ixp1 locix_rs1 \w+ pending /);
      const upstream = sessions.find((s: { name: string }) => s.name === "upstream");
      assert.equal([upstream.channels[0].imported, upstream.channels[0].exported], [10, 2]);
      assert.match((await fleet.ctl(["bgp"], { expect: 0 })).stdout, /locix_rs1 .* pending: ordered/);
    });

    test("ssh with only the host CA in known_hosts asks nothing", async () => {
      // From a server that is not managed: this machine may have no ssh.
      const hub = fleet.on("hub");
      await hub.sh("umask 077; cat >/root/lab-key", { input: `${fleet.state.read("ssh/id_ed25519")}\n` });
      await hub.sh("cat >/root/lab-known", { input: `${fleet.state.read("ssh/known_hosts")}\n` });
      const known = fleet.state.read("ssh/known_hosts") ?? "";
      assert.ok(
        known.split("\n").every((line) => line.startsWith("@cert-authority * ")),
        known,
      );
      const ssh = (host: string, known_hosts: string) =>
        hub.exec([
          ...["ssh", "-F", "none", "-i", "/root/lab-key", "-o", `UserKnownHostsFile=${known_hosts}`],
          ...["-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes"],
          ...["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", `root@${host}`, "hostname"],
        ]);
      for (const host of HOSTS) {
        const { code, stdout, stderr } = await ssh(host, "/root/lab-known");
        assert.equal([code, stdout.trim()], [0, host], stderr);
        assert.is.not((await ssh(host, "/dev/null")).code, 0, "without the CA it must refuse");
      }
      await hub.sh("rm /root/lab-key /root/lab-known");
    });

    test("nobody else can read the keys and secrets that the set-up leaves", async () => {
      const found = [fleet.state.directory, fleet.operator.home].flatMap((directory) => walk(directory));
      assert.ok(found.length > 15);
      assert.equal(
        found.filter(({ mode, directory }) => mode !== (directory ? 0o700 : 0o600)),
        [],
      );
      const lax =
        "find /var/lib/muster-agent /etc/muster/join ! -type l ! -user root -o -type f -perm /077 2>/dev/null | grep -v -e '.crt$' -e '.pub$' -e root-ca.pem || true";
      for (const host of HOSTS) assert.is((await fleet.on(host).sh(lax)).trim(), "", host);
      const hub = await fleet
        .on("hub")
        .sh("find /etc/muster -type f -perm /077; find /etc/muster/vault -name unseal.key -perm 600");
      assert.is(hub.trim(), "/etc/muster/vault/unseal.key");
    });

    test(
      "docker restart of a server: enrolled and converged again with no hand on it",
      async () => {
        for (const host of ["probe1", "ixp1"] as const) {
          const begun_ms = Date.now();
          await fleet.on(host).restart();
          const { value: row } = await fleet.until(
            `${host} is converged after its reboot`,
            async () => {
              const found = (await fleet.status()).get(host);
              return found?.state === "converged" && (found.since ?? 0) >= begun_ms ? found : undefined;
            },
            60_000,
          );
          const network_ms = await bootedAt(fleet, host);
          const took_ms = (row.since ?? 0) - network_ms;
          measured(`${host}: network up to converged`, `${took_ms} ms`);
          assert.ok(took_ms <= BOOT_LIMIT_MS * slowness(), `${took_ms} ms`);
        }
        await fleet.converged();
      },
      { limit_ms: 200_000 },
    );

    test(
      "at rest an agent takes at most 70 MiB and half a percent of a core",
      async () => {
        await fleet.converged();
        // What earlier stories and the enrolment left in a process is told, and not held against the figure for an agent at rest.
        for (const host of HOSTS) {
          measured(
            `${host} after all that was before`,
            `${(await usage(fleet, host)).rss_mib.toFixed(1)} MiB`,
          );
          await fleet.on(host).sh("systemctl restart muster-agent");
        }
        await fleet.converged();
        await started(fleet);
        const slow = slowness();
        const before = await Promise.all(HOSTS.map((host) => usage(fleet, host)));
        await sleep(REST_S * 1_000);
        const after = await Promise.all(HOSTS.map((host) => usage(fleet, host)));
        const factor = Math.max(slow, slowness());
        for (const [at, host] of HOSTS.entries()) {
          const [one, other] = [before[at], after[at]];
          if (one === undefined || other === undefined) throw new Error("no measurement");
          assert.is(other.pid, one.pid, `${host}: the agent was started anew`);
          const percent = ((other.cpu_ms - one.cpu_ms) / (other.at_ms - one.at_ms)) * 100;
          measured(`${host} at rest`, `${other.rss_mib.toFixed(1)} MiB, ${percent.toFixed(2)} % of a core`);
          const limit_mib = host === "core1" ? RSS_WITH_CONTAINERS_MIB : RSS_LIMIT_MIB;
          // What its start left behind is given back some time after.
          await fleet.until(
            `${host}: at most ${limit_mib} MiB`,
            async () => {
              const { rss_mib } = await usage(fleet, host);
              if (rss_mib <= limit_mib) return true;
              throw new Error(`${rss_mib.toFixed(1)} MiB`);
            },
            GIVEN_BACK_MS,
          );
          assert.ok(percent <= CPU_LIMIT_PERCENT * factor, `${host}: ${percent} %`);
        }
      },
      { limit_ms: 240_000 },
    );
  },
  { limit_ms: 60_000 },
);

type Channel = { imported: number | null; exported: number | null };

function walk(directory: string): { path: string; mode: number; directory: boolean }[] {
  const entries = readdirSync(directory, { withFileTypes: true });
  const self = { path: directory, mode: statSync(directory).mode & 0o777, directory: true };
  return [
    self,
    ...entries.flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return walk(path);
      return [{ path, mode: statSync(path).mode & 0o777, directory: false }];
    }),
  ];
}

/** When the server's network was up: its init was started by then, and the lab's network unit is the first of all. */
async function bootedAt(fleet: Fleet, host: ServerName): Promise<number> {
  const text = await fleet
    .on(host)
    .sh(
      'date -d "$(systemctl show lab-network.service --property=ActiveEnterTimestamp --value)" +%s%3N; stat -c %Y /proc/1',
    );
  const [active = ""] = text.split("\n");
  return Number(active);
}

/**
 * Waits until no agent is busy with its start any more: its first looks take most of a core, and on a slow machine long. The last of them comes
 * 45 s after the start and asks for packages: 0.2 s of work, which in the time measured here would count as one percent.
 */
async function started(fleet: Fleet): Promise<void> {
  await fleet.until(
    "core1 has looked at its packages",
    async () => {
      await sleep(2_000);
      const { collected } = (await fleet.ctl(["health", "core1", "--json"])).json().hosts.core1;
      if (collected?.packages?.declared?.length > 0) return true;
      throw new Error("not yet");
    },
    PACKAGES_MS,
  );
  let before = await Promise.all(HOSTS.map((host) => usage(fleet, host)));
  await fleet.until(
    "all agents have started",
    async () => {
      await sleep(1_000);
      const now = await Promise.all(HOSTS.map((host) => usage(fleet, host)));
      const percent = now.map(({ cpu_ms, at_ms }, at) => {
        const one = before[at];
        return one === undefined ? 100 : ((cpu_ms - one.cpu_ms) / (at_ms - one.at_ms)) * 100;
      });
      before = now;
      if (percent.every((share) => share < STARTING_PERCENT)) return true;
      throw new Error(`${percent.map((share) => share.toFixed(1)).join(", ")} % of a core`);
    },
    30_000,
  );
}

/** Resident memory of the agent, and the processor time of its whole unit: children such as systemctl count. */
async function usage(
  fleet: Fleet,
  host: ServerName,
): Promise<{ pid: string; rss_mib: number; cpu_ms: number; at_ms: number }> {
  const script = `pid=$(systemctl show muster-agent --property=MainPID --value); echo $pid
    awk '/^VmRSS/ { print $2 }' /proc/$pid/status
    awk '{ sub(/.*\\) /, ""); print $12 + $13 + $14 + $15 }' /proc/$pid/stat; getconf CLK_TCK`;
  const text = await fleet.on(host).sh(script);
  const [pid = "", rss_kib, ticks, tick_hz] = text.split("\n");
  return {
    pid,
    rss_mib: Number(rss_kib) / 1024,
    cpu_ms: (Number(ticks) / Number(tick_hz)) * 1_000,
    at_ms: Date.now(),
  };
}
