// limit: 300 s
/**
 * The truth in time: what stops is told by an event and a red line within five seconds, in the daemon's own words and with the next command; and it is
 * green again when it is well again, not before.
 */
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { birdOn } from "./bird.ts";
import { type Fleet, measured, openFleet, SESSIONS_MS, slowness } from "./kit.ts";

const TOLD_MS = 5_000;

suite(
  "the truth",
  (test) => {
    let fleet: Fleet;
    test.before(async () => {
      fleet = await openFleet();
      await fleet.reset();
    });
    test.after(async () => {
      await fleet.on("upstream").sh("systemctl start bird");
      await fleet.on("ixp1").sh("systemctl start bird");
      await fleet.reset();
    });

    test("BIRD of a host stops: an event and a red line within 5 s; green when it is back", async () => {
      const since_ms = Date.now();
      await fleet.on("ixp1").sh("systemctl stop bird");
      const red = await fleet.until(
        "a red line",
        async () => {
          const { code, stdout } = await fleet.ctl(["status"]);
          return code === 1 && /^ixp1 {2}.*BIRD does not answer.* {6}ctl bgp ixp1$/m.test(stdout)
            ? stdout
            : undefined;
        },
        TOLD_MS,
      );
      const red_ms = Date.now() - since_ms;
      const told = await fleet.event(
        ({ host, kind, severity }) => host === "ixp1" && kind === "session" && severity === "error",
        since_ms,
        TOLD_MS,
      );
      measured(
        "BIRD stopped",
        `event after ${told.value.at - since_ms} ms, red line seen after ${red_ms} ms`,
      );
      const slow = slowness();
      assert.ok(told.value.at - since_ms <= TOLD_MS * slow);
      assert.ok(red_ms <= TOLD_MS * slow, `${red_ms} ms`);
      assert.match(red.value, /^ixp1 .* 0\/2 /m, "its sessions are not shown as up");
      // The neighbour says it too, in its daemon's words.
      await fleet.until(
        "core1 is red for its session with ixp1",
        async () => / ixp1 DOWN .*(shutdown|refused|closed)/i.test((await fleet.ctl(["status"])).stdout),
        TOLD_MS,
      );

      // The example leaves a stopped BIRD to the person (`on_drift: report`): it is still red, and said to be left.
      const { value: left } = await fleet.until(
        "the stopped service is told beside",
        async () => {
          const { stdout } = await fleet.ctl(["status"], { expect: 1 });
          return /^ixp1 {2}service\/bird stopped.* {6}ctl plan ixp1/m.test(stdout) && stdout;
        },
        TOLD_MS,
      );
      assert.not.match(left, /does not answer: BIRD does not answer/);
      await fleet.event(
        (event) => event.kind === "drift" && event.host === "ixp1" && /left/.test(event.what),
        since_ms,
      );

      // It is an alert without a line being written.
      await fleet.until(
        "an alert",
        async () => {
          const { code, stdout } = await fleet.ctl(["alerts", "ixp1"]);
          return code === 1 && /^ixp1 {2}page for .*BIRD does not answer.* {6}ctl bgp ixp1$/m.test(stdout);
        },
        SESSIONS_MS,
      );
      await fleet.until(
        "its count in status",
        async () => /^alerts {2}\d+ firing.* {6}ctl alerts$/m.test((await fleet.ctl(["status"])).stdout),
        SESSIONS_MS,
      );

      await fleet.on("ixp1").sh("systemctl start bird");
      const green = await fleet.until(
        "green again",
        async () => (await fleet.ctl(["status"])).code === 0,
        SESSIONS_MS,
      );
      measured("BIRD started", `green after ${green.ms.toFixed(0)} ms`);
      await fleet.event((event) => event.host === "ixp1" && /answers again/.test(event.what), since_ms);
      await fleet.converged();
      await fleet.until(
        "nothing fires",
        async () => /^nothing fires$/m.test((await fleet.ctl(["alerts", "ixp1"])).stdout),
        SESSIONS_MS,
      );
    });

    test("a neighbour's BIRD stops: the diagnosis says what, since when, BIRD's words and where the path ends", async () => {
      const since_ms = Date.now();
      await fleet.on("upstream").sh("systemctl stop bird");
      const { value } = await fleet.until(
        "ctl bgp ixp1 upstream is red",
        async () => {
          const answer = await fleet.ctl(["bgp", "ixp1", "upstream"]);
          return answer.code === 1 && /^path .*refused/m.test(answer.stdout) ? answer.stdout : undefined;
        },
        TOLD_MS,
      );
      assert.match(value, /^DOWN [\d.]+ m?s, expected up {4}AS64496 2001:db8:ffff::1/m);
      assert.match(
        value,
        /^bird {3}\w+, (Received: Administrative shutdown|Socket: Connection refused|BGP Error: .*)$/m,
      );
      assert.match(value, /^path .*neighbour answers in (less than )?[\d.]+ ms, port 179 refused/m);
      const told = await fleet.event(
        (event) => event.host === "ixp1" && event.session === "upstream" && event.severity === "error",
        since_ms,
        TOLD_MS,
      );
      assert.match(told.value.what, /went down/);
      const down = await fleet.ctl(["bgp", "--down", "--json"], { expect: 1 });
      assert.equal(
        down
          .json()
          .sessions.map((session: { host: string; name: string }) => `${session.host} ${session.name}`),
        ["ixp1 upstream"],
      );
      const line = /^ixp1 {2}upstream DOWN .* {6}ctl bgp ixp1 upstream$/m;
      await fleet.until(
        "a red line",
        async () => line.test((await fleet.ctl(["status"], { expect: 1 })).stdout),
        TOLD_MS,
      );

      await fleet.on("upstream").sh("systemctl start bird");
      await fleet.converged();
    });

    test("what the folder expects of a session: too few routes and a day that is over are red, without a change of BIRD", async () => {
      const EXPECT = "resources/ixp1.yml";
      const ixp1 = birdOn(fleet, "ixp1");
      const before = await ixp1.seen();
      const apply = async () => {
        const planned = (await fleet.ctl(["plan", "ixp1", "--json"])).json();
        assert.is(planned.plans[0].plan.guard, null, "no BIRD is configured: nothing to guard");
        const applied = await fleet.ctl(["apply", "ixp1", "-y"], { expect: 0 });
        assert.ok(applied.ms < 5_000 * slowness(), `no window is waited for: ${applied.ms} ms`);
      };
      const red = async (session: string, status: RegExp) => {
        const { ms } = await fleet.until(
          `${session} is red`,
          async () => {
            const answer = await fleet.ctl(["status"]);
            return answer.code === 1 && status.test(answer.stdout);
          },
          TOLD_MS,
        );
        measured(`${session} against another expectation, applied to red`, `${ms.toFixed(0)} ms`);
        const down = await fleet.ctl(["bgp", "--down", "--json"], { expect: 1 });
        const names = down
          .json()
          .sessions.map((row: { host: string; name: string }) => `${row.host} ${row.name}`);
        assert.equal(names, [`ixp1 ${session}`]);
      };
      const green = () =>
        fleet.until("green again", async () => (await fleet.ctl(["status"])).code === 0, TOLD_MS);

      fleet.edit(EXPECT, (text) => text.replace("import_min: 3", "import_min: 11"));
      await apply();
      await red("upstream", /^ixp1 {2}upstream TOO FEW ROUTES.*imported 10, at least 11 expected/m);
      fleet.edit(EXPECT, (text) => text.replace("import_min: 11", "import_min: 3"));
      await apply();
      await green();

      fleet.edit(EXPECT, (text) => text.replace("2036-12-31", "2020-01-31"));
      await apply();
      await red("locix_rs1", /^ixp1 {2}locix_rs1 OVERDUE.*should have been up by 2020-01-31/m);
      fleet.edit(EXPECT, (text) => text.replace("2020-01-31", "2036-12-31"));
      await apply();
      await green();
      assert.equal(await ixp1.seen(), before);
    });

    test("what must answer: never up is red within 15 s; a port, an echo and a command that may nothing; a host that measures into nothing", async () => {
      const ixp1 = fleet.on("ixp1");
      const counters = (sent: number, received: number) =>
        ixp1.sh(`printf 'sent_total %d\\nreplies_total %d\\n' ${sent} ${received} > /run/counters.prom`);
      await counters(5_000, 500);
      const may_nothing =
        "test $(id -u) -ne 0 && ! touch /usr/seen && ! cat /var/lib/muster-agent/keys.json && ! cat /etc/shadow";
      fleet.edit(
        "resources/ixp1.yml",
        (text) => `${text}
check:
  ssh: { tcp: "[::1]:22" }
  echo: { icmp: "::1" }
  nobody: { tcp: "[::1]:9" }
  rights: { command: [sh, -c, ${JSON.stringify(may_nothing)}] }
  slow: { command: [sleep, "60"], timeout: 1s }
  measuring:
    every: 1s
    fall: 1
    probe:
      { prefix: "2001:db8:5000::/36", sessions: [upstream], counters: { file: /run/counters.prom, sent: sent_total, received: replies_total, accepted: replies_total } }
`,
      );
      const since_ms = Date.now();
      const plan = await fleet.ctl(["plan", "ixp1"], { expect: 3 });
      assert.match(plan.stdout, /\+ check\/nobody {2}tcp \[::1\]:9, every 30s/);
      await fleet.ctl(["apply", "ixp1", "-y"], { expect: 0 });
      const applied_ms = Date.now();
      type Row = {
        name: string;
        state: string;
        since: number;
        why: string;
        reasons?: { name: string; ok: boolean }[];
      };
      const checks = async () => (await fleet.ctl(["checks", "ixp1", "--json"])).json().checks as Row[];
      const wanted = [
        ["echo", "up", ""],
        ["measuring", "up", ""],
        ["nobody", "down", "connect ECONNREFUSED ::1:9"],
        ["rights", "up", ""],
        ["slow", "down", "it took longer than 1s"],
        ["ssh", "up", ""],
      ];
      const all = await fleet.until(
        "every check has answered",
        async () => {
          const rows = await checks();
          const told = rows.map(({ name, state, why }) => [name, state, why]).sort();
          if (JSON.stringify(told) !== JSON.stringify(wanted)) throw new Error(JSON.stringify(told));
          return rows;
        },
        SESSIONS_MS,
      );
      const red_ms = (all.value.find(({ name }) => name === "nobody")?.since ?? 0) - applied_ms;
      measured("a check that was never up", `red ${red_ms} ms after it was applied`);
      assert.ok(red_ms <= 15_000 * slowness(), `${red_ms} ms`);
      const line = /^ixp1 {2}check nobody NEVER UP .*: connect ECONNREFUSED ::1:9 {6}ctl checks ixp1$/m;
      await fleet.until(
        "a red line",
        async () => line.test((await fleet.ctl(["status"], { expect: 1 })).stdout),
        TOLD_MS,
      );
      await fleet.event(({ what }) => /^check nobody is down and was never up: /.test(what), since_ms);

      await counters(700_000_000, 530);
      const dead = await fleet.until(
        "the probe is red",
        async () => (await checks()).find(({ name, state }) => name === "measuring" && state === "down"),
        SESSIONS_MS,
      );
      assert.equal(
        dead.value.reasons?.map(({ name, ok }) => `${name} ${ok}`),
        ["session true", "prefix true", "replies false", "broker true"],
      );
      await fleet.event(({ what }) => /^check measuring is down: replies: 530 replies/.test(what), since_ms);
      await ixp1.sh("rm /run/counters.prom");
      await fleet.reset();
      await fleet.until("none is left", async () => (await checks()).length === 0, 15_000);
    });

    test("what runs on a server: a tunnel with a peer that answers and one that is gone, certificates, units; red ones with the next command", async () => {
      const [core1, probe1] = [fleet.on("core1"), fleet.on("probe1")];
      const tunnel = `set -e; mkdir -p /dev/net /etc/wireguard; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
umask 077; wg genkey > /run/wgt0.key; wireguard-go wgt0 2>/dev/null; ip link set wgt0 up; wg pubkey < /run/wgt0.key`;
      const [key, far_key] = (await Promise.all([core1.sh(tunnel), probe1.sh(tunnel)])).map((text) =>
        text.trim(),
      );
      const near = (
        await core1.sh("ip -4 -o addr show eth0 | awk '{print $4}' | cut -d/ -f1 | head -1")
      ).trim();
      await core1.sh(`wg set wgt0 private-key /run/wgt0.key listen-port 51999 peer ${far_key} allowed-ips 10.99.0.2/32
printf '[Interface]\\nPrivateKey = %s\\n[Peer]\\nPublicKey = %s\\n[Peer]\\nPublicKey = %s\\n' "$(cat /run/wgt0.key)" ${far_key} "$(wg genkey | wg pubkey)" > /etc/wireguard/wgt0.conf`);
      await probe1.sh(
        `wg set wgt0 private-key /run/wgt0.key peer ${key} endpoint ${near}:51999 allowed-ips 10.99.0.1/32 persistent-keepalive 1`,
      );
      fleet.edit(
        "resources/core1.yml",
        (text) => `${text}
certificate:
  own: { file: /var/lib/muster-agent/certificates/service.crt }
  gone: { file: /etc/ssl/gone.pem }
`,
      );
      await fleet.ctl(["apply", "core1", "-y"], { expect: 0 });
      // It looks half a minute after its start, and then once a minute.
      await core1.sh("systemctl restart muster-agent");
      type Row = { name?: string; unit?: string; verdict: string; public_key?: string };
      const seen = async () => {
        const { collected } = (await fleet.ctl(["health", "core1", "--json"])).json().hosts.core1;
        const { wireguard, certificates, services } = collected ?? {};
        const peers: Row[] = wireguard?.interfaces[0]?.peers ?? [];
        const told = (rows: Row[] | undefined, field: "name" | "unit") =>
          (rows ?? []).map((row) => `${row[field]} ${row.verdict}`);
        return {
          peers: peers.map(
            ({ public_key, verdict }) => `${public_key === far_key ? "far" : "other"} ${verdict}`,
          ),
          certificates: told(certificates?.certificates, "name"),
          services: told(services?.services, "unit"),
          text: JSON.stringify(collected ?? {}),
        };
      };
      const { value, ms } = await fleet.until(
        "the tunnel, the certificates and the units are told",
        async () => {
          const now = await seen();
          const whole = now.peers.includes("far ok") && now.certificates.includes("gone missing");
          return whole && now.services.includes("bird.service ok") ? now : undefined;
        },
        75_000,
      );
      measured("tunnels, certificates and units of a server", `all told ${ms} ms after its agent began`);
      assert.equal(value.peers.sort(), ["far ok", "other missing"]);
      assert.ok(value.certificates.includes("service ok") && value.certificates.includes("bus ok"));
      const secret = (await core1.sh("cat /run/wgt0.key")).trim();
      assert.not(value.text.includes(secret.slice(0, 20)), "a private key is told");
      const line = /^core1 {2}certificate gone \(\/etc\/ssl\/gone\.pem\) is not there {6}ctl health core1$/m;
      await fleet.until("a red line", async () => line.test((await fleet.ctl(["status"])).stdout), 30_000);
      for (const host of [core1, probe1])
        await host.sh("ip link del wgt0; rm -f /run/wgt0.key /etc/wireguard/wgt0.conf");
      await fleet.reset();
    });
  },
  { limit_ms: 150_000 },
);
