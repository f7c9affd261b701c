// limit: 300 s
/**
 * The truth in time: what stops is told by an event and a red line within five seconds, in the daemon's own words and with the next command; and it is
 * green again when it is well again, not before.
 */
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, measured, openFleet, SESSIONS_MS } from "./kit.ts";

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
      await fleet.converged();
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
      assert.ok(told.value.at - since_ms <= TOLD_MS);
      assert.ok(red_ms <= TOLD_MS, `${red_ms} ms`);
      assert.match(red.value, /^ixp1 .* 0\/2 /m, "its sessions are not shown as up");
      // The neighbour says it too, in its daemon's words.
      await fleet.until(
        "core1 is red for its session with ixp1",
        async () => / ixp1 DOWN .*(shutdown|refused|closed)/i.test((await fleet.ctl(["status"])).stdout),
        TOLD_MS,
      );

      // The example leaves a stopped BIRD to the person (`on_drift: report`): it is still red, and said to be left.
      const left = await fleet.ctl(["status"], { expect: 1 });
      assert.match(left.stdout, /^ixp1 {2}service\/bird stopped.* {6}ctl plan ixp1/m);
      assert.not.match(left.stdout, /does not answer: BIRD does not answer/);
      await fleet.event(
        (event) => event.kind === "drift" && event.host === "ixp1" && /left/.test(event.what),
        since_ms,
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
      assert.match(value, /^path .*neighbour answers in [\d.]+ ms, port 179 refused/m);
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
      const status = await fleet.ctl(["status"], { expect: 1 });
      assert.match(status.stdout, /^ixp1 {2}upstream DOWN .* {6}ctl bgp ixp1 upstream$/m);

      await fleet.on("upstream").sh("systemctl start bird");
      await fleet.converged();
    });
  },
  { limit_ms: 150_000 },
);
