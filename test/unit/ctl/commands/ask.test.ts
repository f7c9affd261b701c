/** Commands that ask hosts: selection by every way there is, who was silent, exit codes, JSON. Hosts are played. */

import { callController } from "@muster/ports/call";
import { type Facts, subjects } from "@muster/protocol";
import type { BgpSession } from "@muster/protocol/telemetry/bgp";
import * as assert from "uvu/assert";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";
import { EMPTY_BGP, type Ground, startGround, writeSmallFolder } from "../ground.ts";

const session = (name: string, more: Partial<BgpSession>): BgpSession => ({
  name,
  state: "established",
  protocol_state: "up",
  since: { at: "2026-01-01T00:00:00.000Z", exact: true },
  neighbor_address: "2001:db8::1",
  neighbor_range: null,
  neighbor_as: 64496,
  neighbor_id: null,
  neighbor_port: null,
  local_as: 64500,
  source_address: null,
  session_type: null,
  description: null,
  message: null,
  last_error: null,
  info: null,
  dynamic: false,
  hold_timer: null,
  keepalive_timer: null,
  send_hold_timer: null,
  connect_timer: null,
  tx_pending_bytes: null,
  messages: null,
  local_capabilities: [],
  neighbor_capabilities: [],
  channels: [],
  was: null,
  flaps: 0,
  expected: "up",
  verdict: "ok",
  why: "",
  import_min: null,
  pending_until: null,
  exports: [],
  exports_missing: null,
  ...more,
});

suite(
  "asking hosts",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    test.before(async () => {
      ground = await startGround(["core1", "ixp1"], life.signal);
      await writeSmallFolder(ground);
    });
    test.after(async () => {
      life.abort();
      await ground.stop();
    });
    const names = async (words: string) =>
      Object.keys(JSON.parse((await ground.run(`${words} --json`)).out).answered).sort();

    test("selectors choose by name, group, label, glob and exclusion, pinned or not", async () => {
      for (const lock of [
        "",
        Object.entries(ground.hosts)
          .map(([name, host]) => `${name} ${host.id}\n`)
          .join(""),
      ]) {
        await ground.write("hosts.lock", lock);
        assert.equal(await names("rpc ping"), ["core1", "ixp1"]);
        assert.equal(await names("rpc ping ixp1"), ["ixp1"]);
        assert.equal(await names("rpc ping core,ixp1"), ["core1", "ixp1"]);
        assert.equal(await names("rpc ping site=ams --not core1"), ["ixp1"]);
        assert.equal(await names("rpc ping c*"), ["core1"]);
      }
      assert.equal((await ground.run("rpc ping nowhere")).code, 2);
      assert.match((await ground.run("rpc ping ixp2")).err, /did you mean `ixp1`/);
    });

    test("outside of a folder the records say who there is", async () => {
      const ran = await ground.run("rpc ping --json", { cwd: ground.home });
      assert.equal(Object.keys(JSON.parse(ran.out).answered).sort(), ["core1", "ixp1"]);
    });

    test("a host of the folder that is not enrolled is said to be so", async () => {
      const ran = await ground.run("rpc ping probe");
      assert.match(ran.out, /not enrolled {2}probe1 {6}ctl join probe1/);
    });

    test("facts are asked of the hosts, and one that does not tell is named, not left out", async () => {
      const [core1, ixp1] = [ground.hosts.core1, ground.hosts.ixp1];
      assert.ok(core1 && ixp1);
      const facts = (os: string, bird: string): Facts => ({
        hostname: "h",
        os,
        kernel: "6.1.0",
        arch: "x64",
        virtual: null,
        cpu: "cpu",
        cores: 2,
        memory_bytes: 1,
        boot_at: 0,
        reboot_due: false,
        addresses: [],
        bird,
        agent_version: "0.1.0",
        groups: [],
        labels: {},
      });
      core1.facts = facts("Debian GNU/Linux 12 (bookworm)", "2.0.12");
      ixp1.facts = facts("Debian GNU/Linux 13 (trixie)", "2.16.1");
      assert.equal(await names("rpc ping fact.os=Debian-12"), []);
      const chosen = (...words: string[]) => ground.run("rpc", { more: words });
      const answered = async (selector: string) =>
        Object.keys(JSON.parse((await chosen("ping", selector, "--json")).out).answered).sort();
      assert.equal(await answered("fact.os='Debian 12*'"), ["core1"]);
      assert.equal(await answered("routers and not fact.bird<2.16"), ["ixp1"]);
      assert.match((await ground.run("status fact.bird=2.0.12")).out, /^core1 /m);
      assert.not.match((await ground.run("status fact.bird=2.0.12")).out, /^ixp1 /m);
      const plan = await ground.run("plan fact.bird=2.0.12");
      assert.match(plan.out, /^core1 /m);
      assert.match(plan.err, /do not tell their facts: probe1/);
      ixp1.facts = null;
      const partly = await chosen("ping", "ixp and fact.bird=*");
      assert.is(partly.code, 5);
      assert.match(partly.out, /SILENT {2}ixp1/);
      assert.is((await ground.run("render fact.bird=2")).code, 2);
      core1.facts = null;
    });

    test("bad words are usage, and a refusal is told by host", async () => {
      assert.is((await ground.run("rpc pong")).code, 2);
      assert.is((await ground.run("rpc bgp --args {")).code, 2);
      assert.match((await ground.run('rpc bgp --args {"sesion":1}')).err, /--args of bgp/);
      const facts = await ground.run("facts all");
      assert.is(facts.code, 1);
      assert.match(facts.out, /core1 {2}this cannot be done here: not played/);
    });

    test("bgp: red first and exit 1; filters; a pending session is no failure", async () => {
      const [core1, ixp1] = [ground.hosts.core1, ground.hosts.ixp1];
      assert.ok(core1 && ixp1);
      const down = session("upstream", {
        state: "active",
        protocol_state: "start",
        verdict: "down",
        why: "active, Socket: Connection refused",
        last_error: "Socket: Connection refused",
      });
      const pending = session("locix", {
        state: "active",
        verdict: "pending",
        expected: "pending",
        pending_until: "2036-12-15",
        why: "ordered",
      });
      core1.bgp = { ...EMPTY_BGP, sessions: [session("ixp1", {})] };
      ixp1.bgp = { ...EMPTY_BGP, sessions: [pending, session("core1", { flaps: 2 })] };
      const fine = await ground.run("bgp");
      assert.is(fine.code, 0, fine.out + fine.err);
      ixp1.bgp = { ...EMPTY_BGP, sessions: [session("core1", { flaps: 2 }), pending, down] };
      const red = await ground.run("bgp");
      assert.is(red.code, 1);
      assert.match(
        red.out.split("\n")[1] ?? "",
        /^ixp1 +upstream .*DOWN: active, Socket: Connection refused$/,
      );
      assert.match(red.err, /why: ctl bgp ixp1 upstream/);
      const only = (text: string) => JSON.parse(text).sessions.map((each: { name: string }) => each.name);
      assert.equal(only((await ground.run("bgp --down --json")).out), ["upstream"]);
      assert.equal(only((await ground.run("bgp --flapping --json")).out), ["core1"]);
      assert.match((await ground.run("bgp core1 --down")).out, /none of 1 session/);
      ixp1.path = {
        interface: "eth1",
        interface_up: true,
        reply_ms: 0.4,
        port_179: "refused",
        last_change_here_at: null,
      };
      const diagnosis = await ground.run("bgp ixp1 upstream");
      assert.is(diagnosis.code, 1);
      assert.match(
        diagnosis.out,
        /^DOWN .*expected up {4}AS64496 2001:db8::1\nbird {3}Active, Socket: Connection refused\npath {3}eth1 up, .*: the other side's BGP is stopped/,
      );
      const at = Math.floor(Date.now() / 60_000) * 60_000;
      // Further apart than a mark of the line is wide.
      const track = { at: [at - 240_000, at - 60_000], series: { "imported upstream": [12_104, 0] } };
      const told = [
        [-90_000, "active", "session upstream (AS64496) went down, active: Hold timer expired"],
        [-30_000, "established", "session upstream (AS64496) is established"],
        [-20_000, "active", "session other (AS64496) went down, active"],
      ] as const;
      for (const [ago_ms, state, what] of told)
        await ixp1.bus.publishStored(
          subjects.event(ixp1.id, "ixp1", "session"),
          Buffer.from(
            JSON.stringify({
              ...{ at: at + ago_ms, kind: "session", severity: "error", what, state },
              session: what.split(" ")[1],
            }),
          ),
        );
      await ixp1.bus.publishStored(
        subjects.history(ixp1.id, "ixp1"),
        Buffer.from(JSON.stringify({ tracks: { bgp: track } })),
      );
      const past = await ground.run("bgp ixp1 upstream --since 1h");
      assert.match(past.out, /^past {3}imported 0 to 12,104 in 1 h {2}·+█·+▁·* /m);
      assert.match(
        past.out,
        / went down, active: Hold timer expired\n.* is established {4}was down 1 min\n +down 1 time in 7 d, 1 min in all$/m,
      );
      assert.not.match(past.out, /session other/);
      const json = JSON.parse((await ground.run("bgp ixp1 upstream --json")).out);
      assert.equal(
        [json.past.events.length, json.past.routes.map((each: { imported: number }) => each.imported)],
        [2, [12_104, 0]],
      );
      assert.is((await ground.run("bgp --since 1h")).code, 2);
      assert.is((await ground.run("bgp ixp1 upstraem")).code, 2);
      ixp1.bgp = { ...ixp1.bgp, daemon: { ...EMPTY_BGP.daemon, reachable: false, error: "no such socket" } };
      const dead = await ground.run("bgp ixp1");
      assert.is(dead.code, 1);
      assert.match(dead.out, /ixp1 {2}BIRD does not answer: no such socket/);
    });

    test("bgp --unexpected: what nobody declared alone, in a form for scripts, and who was not asked", async () => {
      const { core1, ixp1 } = ground.hosts;
      assert.ok(core1 && ixp1);
      const stray = session("stray", { expected: "none", verdict: "unexpected", why: "nobody declared it" });
      const down = session("upstream", { state: "active", verdict: "down", flaps: 3 });
      core1.bgp = { ...EMPTY_BGP, sessions: [session("ixp1", {})] };
      ixp1.bgp = { ...EMPTY_BGP, sessions: [down, stray, session("core1", {})] };
      const ran = await ground.run("bgp --unexpected --json");
      assert.is(ran.code, 1, "what is red is red, shown or not");
      const told = JSON.parse(ran.out);
      assert.equal(told.sessions, [{ host: "ixp1", ...stray }]);
      assert.equal(Object.keys(told.beside).sort(), ["core1", "ixp1"]);
      assert.equal([told.faults, told.failed, told.silent, told.not_enrolled], [[], {}, [], []]);
      const none = JSON.parse((await ground.run("bgp core1,probe1 --unexpected --json")).out);
      assert.equal([none.sessions, none.not_enrolled], [[], ["probe1"]]);
      assert.match((await ground.run("bgp core1 --unexpected")).out, /^none of 1 session$/m);
    });

    test("events are told as they come, and those of the past before", async () => {
      const { bus } = await ground.fleet.connect("controller", "teller", life.signal);
      const tell = (what: string) =>
        ground.hosts.core1?.bus.publish(
          subjects.event(ground.hosts.core1.id, "core1", "session"),
          Buffer.from(JSON.stringify({ at: Date.now(), kind: "session", severity: "error", what })),
        );
      tell("first");
      await ground.hosts.core1?.bus.roundTrip();
      await bus.roundTrip();
      const newest = async () => (await ground.run("events --last 1 --kind session")).out;
      await eventually(async () => assert.match(await newest(), /first\n$/));
      const stop = new AbortController();
      const later = setInterval(() => tell("second"), 50);
      const ran = await ground.run("events --follow --host core1", {
        signal: stop.signal,
        on_out: (out) => /second/.test(out) && stop.abort(),
      });
      clearInterval(later);
      assert.is(ran.code, 0, ran.out + ran.err);
      assert.match(ran.out, /core1 {2}session {2}first\n.*core1 {2}session {2}second/);
      assert.is((await ground.run("events --kind sesion")).code, 2);
      assert.match((await ground.run("events --last 1 --kind session")).out, /second\n$/);
    });

    test("audit: of one person, of one who wrote it, no more than asked for", async () => {
      for (const person of ["bob", "dora"]) {
        const signer = await ground.fleet.person(person);
        const { bus } = await ground.fleet.connect("operator", person, life.signal);
        for (const target of ["first", "second"])
          await callController({ bus, signer, now: Date.now }, "note", {
            what: "init",
            target,
            result: "done",
          });
      }
      type Row = { by: { name: string } | null; target: string; host: string | null };
      const rows = async (words: string): Promise<Row[]> =>
        JSON.parse((await ground.run(`audit ${words} --json`)).out);
      const targets = async (words: string) =>
        (await rows(words)).map(({ by, target }) => `${by?.name} ${target}`);
      assert.equal(await targets("--who bob"), ["bob first", "bob second"]);
      assert.equal(await targets("--who bob --since 1h --last 1"), ["bob second"]);
      assert.equal(await targets("--who nobody"), []);
      const all = await rows("--since 1h");
      for (const name of ["bob", "dora"])
        assert.ok(
          all.some(({ by }) => by?.name === name),
          name,
        );
      const [writer] = all.map(({ host }) => host).filter((host) => host !== null);
      assert.ok(writer !== undefined, "a controller says its name");
      assert.equal(new Set((await rows(`--host ${writer}`)).map(({ host }) => host)), new Set([writer]));
      assert.equal(await targets("--host core1"), [], "it wrote nothing");
      assert.match((await ground.run("audit --who bob")).out, /bob[\s\S]*init[\s\S]*second/);
      assert.is((await ground.run("audit --since soon")).code, 2);
      assert.is((await ground.run("audit --last 0")).code, 2);
    });

    test("silent hosts are named; all silent is exit 5", async () => {
      const { core1, ixp1 } = ground.hosts;
      assert.ok(core1 && ixp1);
      await ixp1.bus.close();
      const some = await ground.run("rpc ping");
      assert.is(some.code, 4);
      assert.match(some.out, /SILENT {2}ixp1/);
      assert.is((await ground.run("rpc ping ixp1")).code, 5);
    });
  },
  { limit_ms: 15_000 },
);
