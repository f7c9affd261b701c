/** `ctl query` on a real broker and controller: who fits by what was told last, who is not known now, exit codes, JSON. Hosts are played. */
import { subjects } from "@muster/protocol";
import * as assert from "uvu/assert";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";
import { type Ground, startGround, writeSmallFolder } from "../ground.ts";
import { DOWN, SESSION, sample } from "../report/samples.ts";

suite(
  "ctl query",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    const say = (name: string, kind: "bgp" | "health" | "convergence", value: object) => {
      const host = ground.hosts[name];
      assert.ok(host);
      host.bus.publish(subjects.telemetry(host.id, name, kind), Buffer.from(JSON.stringify(value)));
    };
    test.before(async () => {
      ground = await startGround(["core1", "ixp1"], life.signal);
      await writeSmallFolder(ground);
    });
    test.after(async () => {
      life.abort();
      await ground.stop();
    });
    const ask = (expression: string, ...more: string[]) =>
      ground.run("query", { more: [expression, ...more] });
    const down = "bgp.sessions(expected=up and state!=established)";

    test("names the hosts with what fits of them, as a table and as JSON", async () => {
      await eventually(async () => {
        say("core1", "bgp", sample(SESSION));
        say("ixp1", "bgp", sample(SESSION, DOWN));
        assert.is((await ask("bgp.daemon.reachable=true")).code, 0);
      }, 15_000);
      const { code, out } = await ask(down);
      assert.is(code, 0);
      assert.match(out, /^HOST +bgp\.sessions *\n/);
      assert.match(out, new RegExp(`^ixp1 +${DOWN.name}$`, "m"));
      assert.not.match(out, /core1/);
      const told = JSON.parse((await ask(`site=ams and ${down}`, "--json")).out);
      assert.equal(Object.keys(told.hosts), ["ixp1"]);
      assert.is(told.hosts.ixp1["bgp.sessions"][0].value.state, DOWN.state);
      assert.equal([told.unknown, told.not_enrolled], [[], []]);
    });

    test("nobody fits: it says so, and that is no failure", async () => {
      const { code, err } = await ask("core and bgp.sessions(state=idle)");
      assert.is(code, 0);
      assert.match(err, /no host fits core and/);
    });

    test("of whom nothing is known now is named, and the exit code says that it is not whole", async () => {
      const { code, out } = await ask("health.cpu_busy>1% or (core and bgp.daemon.reachable=true)");
      assert.is(code, 4);
      assert.match(out, /^core1/m);
      assert.match(out, /NOT KNOWN NOW {2}ixp1 {6}ctl status/);
      assert.is((await ask("health.cpu_busy>1%")).code, 5);
    });

    test("what was kept: a second, in all, divided, with a chart; of a time that nobody knows whole it says so", async () => {
      const now_ms = Date.now();
      const health = (minute: number) => ({
        ...{ at: now_ms - (6 - minute) * 60_000, uptime_s: 60, load: [0, 0, 0], cpu_busy: 0.1, cores: 2 },
        ...{ failed_units: [], agent: { rss_bytes: 1, cpu_s: 1, uptime_s: 1 } },
        memory: { total_bytes: 4e9, available_bytes: 1e9, swap_used_bytes: 0 },
        disks: [{ mount: "/", size_bytes: 1e11, used_bytes: 1e10 + minute * 1e9 }],
        interfaces: ["eth0", "eth1"].map((name, at) => ({
          ...{ name, rx_bytes: 1, tx_bytes: 1, up: true, rx_errors: at * minute * minute * 12 },
        })),
      });
      for (let minute = 0; minute <= 6; minute++) say("core1", "health", health(minute));
      await eventually(async () => {
        const { out } = await ask("core1 and rate(health.interfaces.rx_errors, 5m)>1");
        assert.match(out, /^core1 +eth1 +1\.4 +[▁▂▃▄▅▆▇█ ]{5}$/mu, out);
        assert.not.match(out, /eth0/);
      }, 15_000);
      assert.match(
        (await ask("core1 and increase(health.disks.used_bytes, 5m)>1G")).out,
        /^core1 +\/ +5G +▁.*█$/m,
      );
      assert.match(
        (await ask("core1 and health.memory.available_bytes / health.memory.total_bytes<30%")).out,
        /^HOST +health\.memory\.available_bytes\/health\.memory\.total_bytes\ncore1 +0\.25$/m,
      );
      const told = JSON.parse((await ask("core1 and max(health.disks.used_bytes, 4m)>1", "--json")).out);
      const [disk] = told.hosts.core1["max(health.disks.used_bytes, 4m)"];
      assert.equal(
        [disk.of, disk.value, disk.points.length],
        ["/", Math.round(1.6e10 / 2 ** 20) * 2 ** 20, 5],
      );
      const hour = await ask("core1 and rate(health.interfaces.rx_errors, 1h)>1");
      assert.is(hour.code, 4);
      assert.match(hour.out, /NOT KNOWN NOW {2}core1 {3}silent, or not told for so long/);
    });

    test("a host without checks is known to have none", async () => {
      const { code, err } = await ask("core1 and checks.checks(state=down)");
      assert.is(code, 0, err);
      assert.match(err, /no host fits/);
      assert.is((await ask("core1 and min(checks.checks.up, 5m)<1")).code, 0);
    });

    test("a mistake is told with its column before anybody is asked", async () => {
      const { code, err } = await ask("core and bgp.sesions(state=idle)");
      assert.is(code, 2);
      assert.match(err, /column 10 of the selector: .*did you mean `sessions`/);
      assert.match(
        (await ask("health.cpu>1")).err,
        /`health\.cpu` is kept over time only: max\(health\.cpu, 1h\)/,
      );
      assert.is((await ground.run("query")).code, 2);
    });
  },
  { limit_ms: 30_000 },
);
