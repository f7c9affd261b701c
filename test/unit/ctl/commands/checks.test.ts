/** `ctl checks` and `ctl top` as a person types them, on played hosts over a real broker; and what a red check is in `ctl status`. */
import type { Health } from "@muster/protocol";
import type { CheckRow } from "@muster/protocol/telemetry/checks";
import { checkTroubles } from "@muster/view/checks";
import type { Known } from "@muster/view/known";
import { statusOf } from "@muster/view/status";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";
import { type Ground, startGround, writeSmallFolder } from "../ground.ts";
import { CONVERGENCE, known, MIN, NOW } from "../report/samples.ts";

const row = (name: string, more: Partial<CheckRow> = {}): CheckRow => ({
  ...{ name, method: "tcp", target: "[::1]:443", state: "up", since: NOW - 3 * MIN, up_at: NOW - 1_000 },
  ...{ ran_at: NOW - 1_000, latency_ms: 0.42, why: "", every_ms: 30_000, ...more },
});
const WEB = row("web", { state: "down", up_at: null, latency_ms: null, why: "connect ECONNREFUSED ::1:443" });
const ANYCAST = row("anycast", {
  ...{ method: "probe", target: "2001:db8::/48", state: "down", latency_ms: null, why: "prefix: not sent" },
  reasons: [
    { name: "session", ok: true, why: "core1 up" },
    { name: "prefix", ok: false, why: "2001:db8::/48 is not sent to core1" },
    { name: "replies", ok: null, why: "3 probes sent in 60 min: too few to tell (1000)" },
    { name: "broker", ok: true, why: "[::1]:9092 answers" },
  ],
});

suite(
  "ctl checks and top",
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
    const host = (name: string) => {
      const found = ground.hosts[name];
      if (found === undefined) throw new Error(`no ${name} here`);
      return found;
    };

    test("none declared; all up; one that was never up first, with its words, and exit 1", async () => {
      const none = await ground.run("checks");
      assert.is(none.code, 0, none.err);
      assert.match(none.out, /no checks are declared/);
      host("core1").checks = { at: NOW, checks: [row("ssh"), row("web")] };
      const well = await ground.run("checks");
      assert.is(well.code, 0);
      assert.match(well.out, /^core1 +ssh +up +3 min +0\.4 ms +tcp \[::1\]:443/m);
      assert.match((await ground.run("checks --down")).out, /none of 2 checks/);

      host("core1").checks = { at: NOW, checks: [row("ssh"), WEB] };
      host("ixp1").checks = {
        at: NOW,
        checks: [ANYCAST, row("new", { state: "blind", since: NOW - 2_000, up_at: null })],
      };
      const red = await ground.run("checks");
      assert.is(red.code, 1);
      assert.equal(
        red.out
          .split("\n")
          .slice(1, 5)
          .map((line) => line.split(/ {2,}/).slice(0, 3).join(" ")),
        ["core1 web NEVER UP", "ixp1 anycast DOWN", "ixp1 new BLIND", "core1 ssh up"],
      );
      assert.match(red.out, /^core1 +web +NEVER UP +3 min +- .*connect ECONNREFUSED ::1:443$/m);
      assert.match(red.out, /^ixp1 anycast {2}prefix {3}FAILS {2}2001:db8::\/48 is not sent to core1$/m);
      assert.match(red.out, /^ixp1 anycast {2}replies {2}not known {2}3 probes/m);
      const json = JSON.parse((await ground.run("checks ixp1 --json")).out);
      assert.equal(
        json.checks.map((each: { name: string; colour: string }) => [each.name, each.colour]),
        [
          ["anycast", "red"],
          ["new", "amber"],
        ],
      );
      assert.is(json.checks[0].reasons[1].ok, false);
      assert.equal(json.silent, []);
    });

    test("top, once: rates over what lies between two answers, ordered as asked", async () => {
      let asked = 0;
      const busy = (cpu_busy: number, bytes_per_s: number) => (): Health => {
        const at = NOW + 2_000 * asked++;
        return {
          ...{ at, uptime_s: 60, load: [0.5, 0, 0], cpu_busy, cores: 2, disks: [], failed_units: [] },
          memory: { total_bytes: 100, available_bytes: 25, swap_used_bytes: 0 },
          interfaces: [{ name: "eth0", rx_bytes: ((at - NOW) / 1_000) * bytes_per_s, tx_bytes: 0, up: true }],
          agent: { rss_bytes: 1, cpu_s: 1, uptime_s: 1 },
        };
      };
      host("core1").health = busy(0.1, 125_000_000);
      host("ixp1").health = busy(0.5, 1_000);
      const ran = await ground.run("top");
      assert.is(ran.code, 0, ran.err);
      assert.match(
        ran.out,
        /^HOST +CPU +MEMORY +LOAD +RECEIVED +SENT\nixp1 +50 % +75 % +0\.50 of 2 +8\.0 kbit\/s/,
      );
      const json = JSON.parse((await ground.run("top --sort received --json")).out);
      assert.equal(
        json.hosts.map((each: { host: string; received_bits_per_s: number }) => [
          each.host,
          each.received_bits_per_s,
        ]),
        [
          ["core1", 1e9],
          ["ixp1", 8_000],
        ],
      );
      const wrong = await ground.run("top --sort disk");
      assert.is(wrong.code, 2);
      assert.match(wrong.err, /must be one of cpu, memory, load, received, sent, name/);
    });

    test("in the status of a host: red with since and words; blind, unheard and drained; nothing for what has just begun", () => {
      const resources = { ...CONVERGENCE.resources, managed: { check: 2 } };
      const of = (more: Partial<Known>, said: object = {}) => {
        const each = known("core1", { said: { resources, ...said }, ...more });
        return checkTroubles(each, each.convergence ?? CONVERGENCE, NOW).map(
          ({ tint, what, next }) => `${tint} ${what} > ${next}`,
        );
      };
      assert.equal(of({ checks: { at: NOW, checks: [row("ssh"), WEB] } }), [
        "red check web NEVER UP 3 min: connect ECONNREFUSED ::1:443 > ctl checks core1",
      ]);
      const drained = { since: NOW, by: "alice", why: "x", until: null, in_effect: true };
      assert.match(
        of({ checks: { at: NOW, checks: [row("ssh"), WEB] } }, { drained }).join(),
        /^amber check web/,
      );
      assert.match(
        of({
          checks: { at: NOW, checks: [row("ssh"), row("a", { state: "blind", why: "no ping here" })] },
        }).join(),
        /^red check a BLIND 3 min: no ping here/,
      );
      assert.equal(
        of({ checks: { at: NOW, checks: [row("ssh"), row("a", { state: "blind", since: NOW - 5_000 })] } }),
        [],
      );
      assert.match(
        of({ checks: { at: NOW - 40_000, checks: [row("ssh"), WEB] } }, { since: NOW - MIN }).join(),
        /^red nothing has been heard for 40 s of its 2 checks/,
      );
      assert.match(
        of({ checks: null }, { since: NOW - MIN }).join(),
        /^red nothing is known of its 2 checks/,
      );
      assert.equal(of({ checks: null }, { since: NOW - 5_000 }), [], "it has just been told to");
      const one_of_two = { checks: { at: NOW, checks: [row("ssh")] } };
      assert.match(of({ checks: { at: NOW, checks: [] } }).join(), /^red nothing is told of its 2 checks/);
      assert.match(of(one_of_two).join(), /^red of 1 alone is told of its 2 checks/);
      assert.equal(of(one_of_two, { since: NOW - 5_000 }), []);
      assert.equal(
        of({ checks: { at: NOW - 90_000, checks: [row("ssh"), WEB] } }, { resources: CONVERGENCE.resources }),
        [],
        "no longer declared",
      );
      const status = statusOf(
        known("core1", { said: { resources }, checks: { at: NOW, checks: [row("ssh"), WEB] } }),
        NOW,
      );
      assert.is(status.troubles.filter(({ what }) => what.startsWith("check web")).length, 1);
    });
  },
  { limit_ms: 20_000 },
);
