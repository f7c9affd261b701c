// limit: 240 s
/** Logs from the real journals of several servers at once: what was written comes in milliseconds, ^C leaves no process on any host; what the folder names reaches a Loki. */
import { join } from "node:path";
import * as assert from "uvu/assert";
import { lokiReceiver } from "../kit/loki.ts";
import { suite } from "../kit/suite.ts";
import { openTty } from "../kit/tty.ts";
import { type Fleet, measured, openFleet } from "./kit.ts";

const FOLLOWERS = "pgrep -c -x journalctl || true";

suite(
  "logs",
  (test) => {
    let fleet: Fleet;
    test.before(async () => {
      fleet = await openFleet();
    });

    test("the newest lines of a unit, of several hosts, by pattern and urgency", async () => {
      await fleet.on("ixp1").sh("logger -t storytest -p daemon.err 'needle one'; logger -t storytest 'hay'");
      await fleet.on("core1").sh("logger -t storytest 'needle two \x1b[2J'");
      const { value } = await fleet.until(
        "both needles",
        async () => {
          const { lines } = (
            await fleet.ctl(["logs", "ixp1,core1", "--since", "5m", "--grep", "needle", "--json"], {
              expect: 0,
            })
          ).json();
          return new Set(lines.map((line: { host: string }) => line.host)).size === 2 ? lines : undefined;
        },
        5_000,
      );
      assert.ok(value.every((line: { text: string }) => line.text.includes("needle")));
      const { stdout } = await fleet.ctl(["logs", "ixp1,core1", "--since", "5m", "--grep", "needle"]);
      assert.match(stdout, /^\S+ \S+ {2}ixp1 {3}storytest {2}needle one$/m);
      assert.match(stdout, /^\S+ \S+ {2}core1 {2}storytest {2}needle two \\x1b\[2J$/m);
      const urgent = await fleet.ctl(["logs", "ixp1", "--since", "5m", "--priority", "err"], { expect: 0 });
      assert.match(urgent.stdout, /needle one/);
      assert.not.match(urgent.stdout, /hay/);
      const none = await fleet.ctl(["logs", "ixp1", "bird", "--grep", "no such words"], { expect: 0 });
      assert.is(none.stdout, "no lines\n");
    });

    test("what is written is followed on all hosts, and ^C leaves no process there", async () => {
      const before = await Promise.all(
        (["core1", "ixp1", "probe1"] as const).map((name) => fleet.on(name).sh(FOLLOWERS)),
      );
      const { operator } = fleet;
      const tty = openTty(
        [process.execPath, join(operator.root, "dist/ctl/ctl.cjs"), "logs", "all", "--follow", "-n", "0"],
        { cwd: operator.folder, env: { MUSTER_HOME: operator.home } },
      );
      await fleet.until(
        "a journalctl on each",
        async () =>
          (
            await Promise.all(
              (["core1", "ixp1", "probe1"] as const).map((name) => fleet.on(name).sh(FOLLOWERS)),
            )
          ).every((count, at) => Number(count) > Number(before[at])),
        15_000,
      );
      await Promise.all(
        (["core1", "ixp1", "probe1"] as const).map((name) =>
          fleet
            .on(name)
            .sh(`for n in $(seq 1 2000); do echo "line $n of ${name} end"; done | logger -t burst`),
        ),
      );
      await fleet.until(
        "all lines here",
        async () => (tty.raw().match(/line \d+ of \w+ end/g) ?? []).length >= 6_000,
        15_000,
      );
      tty.type("\u0003");
      assert.is(await tty.ended, 0);
      const stdout = tty.raw();
      for (const name of ["core1", "ixp1", "probe1"]) {
        const numbers = [...stdout.matchAll(new RegExp(`line (\\d+) of ${name} end`, "g"))].map((found) =>
          Number(found[1]),
        );
        assert.equal(
          numbers,
          Array.from({ length: 2_000 }, (_, at) => at + 1),
          `${name}: ${numbers.length} lines`,
        );
      }
      const gone = await fleet.until(
        "no journalctl of ours is left",
        async () =>
          (
            await Promise.all(
              (["core1", "ixp1", "probe1"] as const).map((name) => fleet.on(name).sh(FOLLOWERS)),
            )
          ).every((count, at) => Number(count) <= Number(before[at])),
        5_000,
      );
      measured("followers after ^C", `gone after ${gone.ms} ms`);
    });

    test("lines of what the folder names reach the Loki that it names, and others do not; undeclared, nothing is followed", async () => {
      const [, gateway = ""] = /via (\S+)/.exec(await fleet.on("hub").sh("ip -4 route show default")) ?? [];
      const followers = async () => Number(await fleet.on("ixp1").sh(FOLLOWERS));
      const before = await followers();
      const loki = await lokiReceiver({ host: gateway });
      try {
        fleet.edit("resources/ixp1.yml", (text) => `${text}\nlog: { story: { units: [told] } }\n`);
        fleet.edit("monitoring.yml", () => `loki: { url: "${loki.url}" }\n`);
        const applied = await fleet.ctl(["apply", "-y"], { expect: 0 });
        assert.match(applied.stdout, /^monitoring \+ push to loki$/m);
        const say = (unit: string, text: string) =>
          fleet.on("ixp1").sh(`systemd-run --quiet --wait --collect --unit=${unit} echo '${text}'`);
        const { value, ms } = await fleet.until(
          "a line in Loki",
          async () => {
            await say("untold", "not for Loki");
            await say("told", "for Loki");
            return loki.stored.find(({ text }) => text === "for Loki");
          },
          60_000,
        );
        measured("the first line in Loki", `${ms} ms after it was declared`);
        assert.equal(value.labels, {
          ...{ job: "muster", fleet: "as64500", host: "ixp1", unit: "told.service", priority: "info" },
        });
        assert.not.ok(loki.stored.some(({ text }) => text.includes("not for Loki")));
        await fleet.until(
          "Loki stands among the routes",
          async () => {
            const { stdout } = await fleet.ctl(["alerts"]);
            if (/^routes {2}.*loki ok /m.test(stdout)) return true;
            throw new Error(stdout);
          },
          30_000,
        );
      } finally {
        await fleet.reset();
        await loki.stop();
      }
      await fleet.until("its journalctl is gone", async () => (await followers()) === before, 30_000);
    });
  },
  { limit_ms: 110_000 },
);
