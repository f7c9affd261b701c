// limit: 300 s
/**
 * Maintenance of a router: drained, its neighbours see GRACEFUL_SHUTDOWN and no session resets; it stays drained over a restart of the agent and
 * past the time it was meant to be back, which alarms, until somebody undrains it.
 */
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { birdOn } from "./bird.ts";
import { type Fleet, measured, openFleet } from "./kit.ts";

const GSHUT = "(65535,0)";

suite(
  "drain",
  (test) => {
    let fleet: Fleet;
    /** Sessions with their state and since when, to a tenth of a second: BIRD itself rounds it a little otherwise each time. */
    const begun = async () => {
      const shown = await fleet.on("ixp1").sh("birdc show protocols | awk '/BGP/ { print $1, $4, $5 }'");
      return shown
        .trim()
        .split("\n")
        .map((line) => {
          const [name = "", state = "", since = ""] = line.split(" ");
          const [hours = 0, minutes = 0, seconds = 0] = since.split(":").map(Number);
          return { name, state, since_s: state === "up" ? hours * 3_600 + minutes * 60 + seconds : 0 };
        });
    };
    const sameSessions = async (before: Awaited<ReturnType<typeof begun>>) => {
      const now = await begun();
      assert.equal(
        now.map(({ name, state }) => [name, state]),
        before.map(({ name, state }) => [name, state]),
      );
      for (const [at, { name, since_s }] of now.entries())
        assert.ok(Math.abs(since_s - (before[at]?.since_s ?? 0)) < 0.1, `${name} was reset`);
    };
    const seenByUpstream = () => fleet.on("upstream").sh("birdc show route 2001:db8:5000::/36 all");
    /** An update takes its way to the neighbour after BIRD here has it. */
    const communityGoes = () =>
      fleet.until(
        "upstream no longer sees the community",
        async () => !(await seenByUpstream()).includes(GSHUT),
        5_000,
      );
    const drainedRow = async () => (await fleet.status()).get("ixp1");

    test.before(async () => {
      fleet = await openFleet();
      await fleet.reset();
    });
    test.after(async () => {
      await fleet.ctl(["undrain", "ixp1"]);
      await fleet.reset();
    });

    test("the last one that announces a prefix asks for its name; nothing is done without", async () => {
      const asked = await fleet.ctl(["drain", "ixp1", "--why", "switch swap", "-y"], { expect: 2 });
      assert.match(asked.stderr, /1\/3 nobody else announces 2001:db8:5000::\/36: type ixp1/);
      assert.match(await fleet.on("ixp1").read("/etc/bird/muster.conf"), /muster_drain = false/);
      const more = await fleet.ctl(["drain", "all", "--why", "x", "--alone"], { expect: 2 });
      assert.match(more.stderr, /all is more than one host/);
    });

    test("drained: the neighbour sees 65535:0, no session resets, and status says who and why", async () => {
      const before = await begun();
      await communityGoes();
      const drained = await fleet.ctl(["drain", "ixp1", "--why", "switch swap", "--for", "30s", "--alone"], {
        expect: 0,
      });
      measured("ctl drain, from Enter to safe", `${(drained.ms / 1_000).toFixed(1)} s`);
      assert.match(drained.stdout, /^1\/3 nobody else announces 2001:db8:5000::\/36$/m);
      assert.match(drained.stdout, /^2\/3 GRACEFUL_SHUTDOWN on \d sessions?$/m);
      assert.match(drained.stdout, /^3\/3 .* → \d+ Mbit\/s.*: safe$/m);
      assert.ok((await seenByUpstream()).includes(GSHUT), await seenByUpstream());
      await sameSessions(before);
      assert.is((await birdOn(fleet, "ixp1").seen()).leftovers, "");
      // The host has it already; the controllers hear of it a moment later.
      const { value: told } = await fleet.until(
        "ctl status shows the drain",
        async () => {
          const { stdout } = await fleet.ctl(["status"]);
          return /^ixp1 .*converged, drained/m.test(stdout) && stdout;
        },
        5_000,
      );
      assert.match(told, /^ixp1 {2}drained since \d\d:\d\d UTC by \S+ .*: switch swap {6}ctl undrain ixp1$/m);
    });

    test("it outlives the agent, a plan agrees with it, and past its time it is red and still drained", async () => {
      await fleet.on("ixp1").sh("systemctl restart muster-agent");
      const { value } = await fleet.until(
        "the drain is overdue",
        async () => {
          const row = await drainedRow();
          return row?.troubles.find(({ tint, what }) => tint === "red" && /SHOULD BE BACK since/.test(what));
        },
        60_000,
      );
      assert.match(value.what, /switch swap/);
      assert.ok((await seenByUpstream()).includes(GSHUT));
      const planned = await fleet.ctl(["plan", "ixp1"], { expect: 0 });
      assert.not.match(planned.stdout, /bird\/main/);
      await fleet.event(
        ({ host, kind, what }) => host === "ixp1" && kind === "drain" && /still drained/.test(what),
        0,
      );
    });

    test("undrained: the community is gone, no session reset, and the row is green", async () => {
      const before = await begun();
      const back = await fleet.ctl(["undrain", "ixp1"], { expect: 0 });
      assert.match(back.stdout, /^ixp1 {2}back after .*: switch swap$/m);
      await communityGoes();
      await sameSessions(before);
      await fleet.converged({ limit_ms: 20_000 });
    });

    test("birdc: what it reads, and nothing that changes", async () => {
      const shown = await fleet.ctl(["birdc", "ixp1", "show", "route", "for", "2001:db8:5000::1"], {
        expect: 0,
      });
      assert.match(shown.stdout, /2001:db8:5000::\/36/);
      await fleet.ctl(["birdc", "ixp1", "disable", "upstream"], { expect: 2 });
      const refused = await fleet.ctl(["rpc", "birdc", "ixp1", "--args", '{"command":"disable upstream"}']);
      assert.is.not(refused.code, 0);
      const wrong = await fleet.ctl(["birdc", "ixp1", "show", "nothing"], { expect: 1 });
      assert.match(wrong.stdout, /BIRD refused.*syntax error/);
    });

    test("without the include line sessions are disabled, once that is agreed to; nothing drained is red, here or at the far end", async () => {
      fleet.edit("templates/bird.conf.j2", (text) =>
        text.replace(/^include .*$/m, "define muster_drain = false;"),
      );
      await fleet.ctl(["apply", "ixp1", "-y"], { expect: 0 });
      const wish = ["drain", "ixp1", "--why", "switch swap", "--alone"];
      const asked = await fleet.ctl(wish, { expect: 2 });
      assert.match(asked.stdout, /lacks the line include .*can only be disabled$/m);
      assert.match(asked.stderr, /Disable them\? upstream go down/);
      await fleet.until(
        "nothing is wrong with it",
        async () => (await drainedRow())?.troubles.length === 0,
        10_000,
      );
      const drained = await fleet.ctl([...wish, "-y"], { expect: 0 });
      assert.match(drained.stdout, /^2\/3 disabled 1 session$/m);
      const states = Object.fromEntries((await begun()).map(({ name, state }) => [name, state]));
      assert.equal([states.upstream, states.core1], ["down", "up"]);
      const since = Date.now();
      await fleet.on("ixp1").sh("systemctl stop bird");
      const { value: far } = await fleet.until(
        "the far end is judged anew",
        async () => {
          const shown = await fleet.ctl(["bgp", "core1", "--json"]);
          const sessions: { name: string; verdict: string; why: string }[] = shown.json().sessions;
          return sessions.find(({ name, verdict }) => name === "ixp1" && verdict !== "ok") ?? false;
        },
        30_000,
      );
      assert.is(far.verdict, "drained");
      assert.match(far.why, /^ixp1 is drained by \S+: switch swap/);
      const own = await fleet.ctl(["bgp", "ixp1"]);
      assert.match(own.stdout, /upstream .*drained: drained by \S+: switch swap/);
      assert.not.match(own.stdout, /MISSING|DOWN/);
      const rows = await fleet.status();
      for (const name of ["ixp1", "core1"]) {
        const red = rows
          .get(name)
          ?.troubles.filter(({ tint, what }) => tint === "red" && !/service\/bird/.test(what));
        assert.equal(red, [], name);
      }
      await fleet.event(
        (event) => event.host === "ixp1" && event.kind === "session" && event.drained === true,
        since,
      );
      await fleet.on("ixp1").sh("systemctl start bird; systemctl restart muster-agent");
      await fleet.until(
        "BIRD is back, and the session still disabled",
        async () => /down/.test(await fleet.on("ixp1").sh("birdc show protocols upstream")),
        10_000,
      );
      await fleet.answer("ixp1");
      await fleet.ctl(["undrain", "ixp1"], { expect: 0 });
    });
  },
  { limit_ms: 120_000 },
);
