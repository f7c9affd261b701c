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
    const say = (name: string, kind: "bgp", value: object) => {
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

    test("a mistake is told with its column before anybody is asked", async () => {
      const { code, err } = await ask("core and bgp.sesions(state=idle)");
      assert.is(code, 2);
      assert.match(err, /column 10 of the selector: .*did you mean `sessions`/);
      assert.is((await ground.run("query")).code, 2);
    });
  },
  { limit_ms: 30_000 },
);
