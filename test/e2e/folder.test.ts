// limit: 120 s
/**
 * A fleet folder with mistakes: one run names all of them, each with file, line, column and what would be right; nothing is signed, sent or changed.
 */
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, HOSTS, openFleet } from "./kit.ts";

const ROUTERS = "resources/routers.yml";

suite(
  "folder",
  (test) => {
    let fleet: Fleet;
    test.before(async () => {
      fleet = await openFleet();
      await fleet.reset();
    });
    test.after(() => fleet.reset());

    /** Replaces a text that must be there. */
    const swap = (file: string, from: string, to: string) =>
      fleet.edit(file, (text) => {
        assert.ok(text.includes(from), `${file} has no ${from}`);
        return text.replace(from, to);
      });

    test("every kind of mistake in one run, with place and remedy; exit 2; nothing published", async () => {
      const generations = async () => [...(await fleet.status()).values()].map((row) => row.generation);
      const before = await generations();
      const motd = await fleet.on("core1").read("/etc/motd");
      swap(ROUTERS, `\\\\l\\n" }`, `\\\\l\\n", ownr: root }`);
      swap(ROUTERS, "enabled: true", 'enabled: "often"');
      swap(ROUTERS, 'mode: "0644" }', "mode: 0644 }");
      swap(
        ROUTERS,
        "  /etc/netinfo/README: { source: netinfo.txt }",
        `  /etc/netinfo/README: { source: netinfo.txt }
  /etc/netinfo/README: { source: netinfo.txt }
  /etc/netinfo/one: { content: a, needs: [file//etc/netinfo/other] }
  /etc/netinfo/other: { content: b, needs: [file//etc/netinfo/one] }`,
      );
      fleet.edit("resources/exchange.yml", () => "file:\n  /etc/x: { content: x }\n");
      fleet.edit("templates/motd.j2", (text) => `${text}{{ sight }}\n`);
      swap("host_vars/ixp1.yml", "as: 64496 }", 'as: 64496, password: "vault:kv/as64500/bgp#upstream" }');
      swap(
        "templates/bird.conf.j2",
        "local as {{ asn }};",
        'password "{{ s.password | default("") }}"; local as {{ asn }};',
      );

      const planned = await fleet.ctl(["plan"], { expect: 2 });
      const said = planned.stdout + planned.stderr;
      for (const [what, words] of Object.entries({
        "unknown field": /^ *resources\/routers\.yml:19:\d+: unknown key `ownr` .*did you mean `owner`\?/m,
        "wrong type":
          /^ *resources\/routers\.yml:8:20: `enabled` of service\/bird is the text "often": expected boolean/m,
        "bare mode":
          /^ *resources\/routers\.yml:21:\d+: `mode` .*`0644`.*\n.*write mode: "0644" with the quotes/m,
        duplicate:
          /^ *resources\/routers\.yml:23:3: `\/etc\/netinfo\/README` stands here a second time; the first is at line 22/m,
        cycle:
          /^ *resources\/routers\.yml:2[45]:\d+: resources need each other in a circle: file\/\/etc\/netinfo\/o\w+ → /m,
        "unknown group": /resources\/exchange\.yml:1:1: no group or host `exchange` in hosts\.yml/,
        "undefined name": /^ *templates\/motd\.j2:3:\d+: .*`?sight`?.*(undefined|not defined)/m,
        secret:
          /^ *templates\/bird\.conf\.j2:15:\d+: `vault:kv\/as64500\/bgp#upstream` \(host_vars\/ixp1\.yml:5:\d+\) is a secret; secrets are not supported yet/m,
      }))
        assert.match(said, words, what);
      assert.not.match(said, /^ +at |TypeError/m);

      const applied = await fleet.ctl(["apply", "-y"], { expect: 2 });
      assert.match(applied.stdout + applied.stderr, /unknown key `ownr`/);
      assert.equal(await generations(), before);
      assert.is(await fleet.on("core1").read("/etc/motd"), motd);
      assert.equal(
        [...(await fleet.status()).values()].map((row) => row.state),
        HOSTS.map(() => "converged"),
      );
    });

    test("a name that is host and group, and a variable that two equal groups disagree on", async () => {
      await fleet.reset();
      swap("hosts.yml", "probe:\n  hosts:", "core1:\n  hosts:\n    ixp1: {}\nprobe:\n  hosts:");
      const { stdout, stderr } = await fleet.ctl(["plan"], { expect: 2 });
      assert.match(
        stdout + stderr,
        /hosts\.yml:\d+:\d+: .*`core1`.*(both|host and a group|group and a host)/,
      );
    });
  },
  { limit_ms: 60_000 },
);
