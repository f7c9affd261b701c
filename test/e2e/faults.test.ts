// limit: 360 s
/**
 * What breaks in the night: an agent killed in the middle of its work, a controller killed in the middle of a rollout or gone, a broker that is down,
 * hosts that lose power, the hub rebooted. Everything comes back by itself, nothing happens twice or half, and `ctl status` tells the truth in every
 * moment: it is asked without a pause, and what it says of a host is held against what that host has.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import {
  assertWithin,
  type CtlResult,
  type Fleet,
  HOSTS,
  type KeptEvent,
  measured,
  openFleet,
  type ServerName,
} from "./kit.ts";

const MANY = 400;
const FILE_BYTES = 1_000;
const MARK = "/etc/netinfo/mark";
const BROKER_DOWN_MS = 60_000;
const CONTROLLER_DOWN_MS = 28_000;

type Row = { host: string; state: string; colour: string; generation: number | null };
/** One answer of `ctl status`, and when it was asked for and came. */
type Said = {
  readonly at_ms: number;
  readonly told_ms: number;
  readonly code: number;
  readonly rows: readonly Row[];
  readonly controller: string;
};

suite(
  "faults",
  (test) => {
    let fleet: Fleet;

    test.before(
      async () => {
        fleet = await openFleet();
        await fleet.reset();
      },
      { limit_ms: 200_000 },
    );
    test.after(
      async () => {
        await fleet.reset();
      },
      { limit_ms: 200_000 },
    );

    // A story that fails halfway must not take the next ones with it.
    test.after.each(async () => {
      await fleet.on("hub").sh("systemctl start nats-server vault muster-controller");
      if ((await fleet.on("probe1").facts()).state !== "running") await fleet.on("probe1").start();
    });

    /** The same small file on every host, with other content. */
    const mark = (text: string): void =>
      fleet.edit("resources/routers.yml", (yaml) => {
        const line = `  ${MARK}: { content: "${text}\\n" }`;
        const rest = yaml.split("\n").filter((each) => !each.includes(MARK));
        return `${rest.join("\n").trimEnd()}\n${line}\n`;
      });
    const marked = (host: ServerName): Promise<string> =>
      fleet.on(host).sh(`cat ${MARK} 2>/dev/null || true`);
    const says = async (): Promise<Said> => {
      const at_ms = Date.now();
      const answer = await fleet.ctl(["status", "--json"]);
      const told = answer.stdout === "" ? {} : answer.json();
      return {
        at_ms,
        told_ms: Date.now(),
        code: answer.code,
        rows: told.hosts ?? [],
        controller: told.controller ?? "",
      };
    };
    /** Asks `ctl status` without a pause until stopped. */
    const watch = (): (() => Promise<Said[]>) => {
      const heard: Said[] = [];
      let over = false;
      const loop = (async () => {
        while (!over) {
          heard.push(await says());
          await sleep(200);
        }
      })();
      return async () => {
        over = true;
        await loop;
        return heard;
      };
    };
    /** No answer that was asked for in that time calls the host converged. */
    const neverConverged = (heard: readonly Said[], host: string, from_ms: number, to_ms: number): void => {
      const within = heard.filter(({ at_ms }) => at_ms >= from_ms && at_ms <= to_ms);
      const lies = within.flatMap(({ at_ms, rows }) =>
        rows
          .filter((row) => row.host === host && row.state === "converged")
          .map((row) => ({ after_ms: at_ms - from_ms, ...row })),
      );
      assert.equal(lies, [], `${host} was called converged`);
    };
    const stateOf = async (host: string): Promise<string | undefined> =>
      (await says()).rows.find((row) => row.host === host)?.state;
    const events = async (since_ms: number): Promise<KeptEvent[]> => {
      const answer = await fleet.ctl(["events", "--json", "--since", "30m", "--last", "1000"], { expect: 0 });
      return (answer.json() as KeptEvent[]).filter(({ at }) => at >= since_ms);
    };
    /** Nothing is told twice. */
    const toldOnce = (told: readonly KeptEvent[]): void => {
      const keys = told.map(({ at, host, kind, what }) => `${at} ${host} ${kind} ${what}`);
      assert.equal(
        keys.filter((key, index) => keys.indexOf(key) !== index),
        [],
      );
    };

    test(
      "an agent killed with -9 while it writes 400 files: all complete, none twice, no word doubled",
      async () => {
        const since_ms = Date.now();
        const lines = Array.from({ length: MANY }, (_, index) => {
          const content = `${index} ${"x".repeat(FILE_BYTES)} ${index}`;
          return `  /etc/many/${index}: { content: "${content}\\n" }`;
        });
        fleet.edit("resources/core1.yml", () => `directory:\n  /etc/many: {}\nfile:\n${lines.join("\n")}\n`);
        const core1 = fleet.on("core1");
        const pid = (await core1.sh("systemctl show muster-agent --property=MainPID --value")).trim();
        const killer = core1.sh(
          // One of the first in either order of names; the shell itself looks and kills, so that nothing is started between.
          `until [ -e /etc/many/12 ]; do :; done; kill -9 ${pid}; ls /etc/many | wc -l`,
          { timeout_ms: 90_000 },
        );
        const stop = watch();
        const applied = await fleet.ctl(["apply", "core1", "-y", "-m", "many files"]);
        const heard = await stop();
        const written = Number(await killer);
        measured("files written when the agent was killed", `${written} of ${MANY}`);
        measured("apply with the agent killed in the middle", `${Math.round(applied.ms)} ms`);
        assert.ok(written < MANY, "it was killed too late to say anything");
        assert.is(applied.code, 0, applied.stdout + applied.stderr);
        const wrong = await core1.sh(
          `cd /etc/many; for i in $(seq 0 ${MANY - 1}); do [ "$(wc -c <$i)" = "$((${FILE_BYTES} + 2 * \${#i} + 3))" ] || echo $i; done; ls -A | grep -vE '^[0-9]+$' || true`,
        );
        assert.is(wrong, "", "half a file, or something left over");
        assert.is((await core1.sh("ls /etc/many | wc -l")).trim(), String(MANY));
        const restarts = (await core1.sh("systemctl show muster-agent --property=NRestarts --value")).trim();
        assert.is.not(restarts, "0");
        const generation = heard.at(-1)?.rows.find((row) => row.host === "core1")?.generation ?? null;
        const last_s = await core1.sh("cd /etc/many; stat -c %.Y * | sort -n | tail -1");
        const early = heard.filter(
          ({ told_ms, rows }) =>
            told_ms < Number(last_s) * 1_000 &&
            rows.some(
              (row) => row.host === "core1" && row.state === "converged" && row.generation === generation,
            ),
        );
        assert.equal(early, [], "converged on the new generation before it was");
        await fleet.converged();
        toldOnce(await events(since_ms));
        assert.is((await fleet.ctl(["plan"])).code, 0);
      },
      { limit_ms: 90_000 },
    );

    test("two agents on one host: the second is refused", async () => {
      const { code, stderr } = await fleet.on("core1").exec(["timeout", "10", "muster-agent", "run"]);
      assert.is(code, 1, stderr);
      assert.match(stderr, /another muster-agent runs on this host/);
      assert.is(await stateOf("core1"), "converged");
    });

    test(
      "the controller killed with -9 during a rollout: the rollout goes on",
      async () => {
        const since_ms = Date.now();
        mark("rollout");
        // The first wave has it, the others do not: that is the moment.
        const probe1 = fleet
          .on("probe1")
          .sh(`until grep -q rollout ${MARK} 2>/dev/null; do :; done`, { timeout_ms: 90_000 });
        const killer = probe1.then(() =>
          fleet.on("hub").sh("systemctl kill --signal=KILL muster-controller"),
        );
        const applied = await fleet.ctl(["apply", "-y", "-m", "with a controller that dies"]);
        await killer;
        measured("apply with the controller killed in the middle", `${Math.round(applied.ms)} ms`);
        assert.is(applied.code, 0, applied.stdout + applied.stderr);
        for (const host of HOSTS) assert.is(await marked(host), "rollout\n", host);
        await fleet.converged();
        toldOnce(await events(since_ms));
      },
      { limit_ms: 90_000 },
    );

    test(
      "the controller is down: hosts keep their state, ctl status asks them itself and says so",
      async () => {
        await fleet.on("hub").sh("systemctl stop muster-controller");
        const begun_ms = Date.now();
        const told = await fleet.ctl(["status"], { expect: 1 });
        assert.match(told.stdout, /controller {2}no controller answers: asked the hosts themselves/);
        const { rows, controller } = await says();
        assert.is(controller, "silent");
        assert.equal(
          rows.map(({ host, state }) => [host, state]),
          HOSTS.map((host) => [host, "converged"]),
        );
        await fleet.on("core1").write(MARK, "by hand\n");
        await fleet.until(
          "the hand edit is put back",
          async () => (await marked("core1")) === "rollout\n",
          5_000,
        );
        const refused = await fleet.ctl(["apply", "-y"]);
        assert.is(refused.code, 5, refused.stdout + refused.stderr);
        await sleep(Math.max(0, CONTROLLER_DOWN_MS - (Date.now() - begun_ms)));
        await fleet.on("hub").sh("systemctl start muster-controller");
        const { ms } = await fleet.until(
          "ctl status is content",
          async () => (await says()).code === 0,
          20_000,
        );
        measured("controller started to ctl status content", `${Math.round(ms)} ms`);
        const silent = (await events(begun_ms)).filter(({ what }) => /silent/.test(what));
        assert.equal(silent, [], "no host was silent");
        await fleet.event(
          ({ host, kind, at }) => host === "core1" && kind === "drift" && at >= begun_ms,
          begun_ms,
        );
      },
      { limit_ms: 90_000 },
    );

    test(
      "a host without power when a change goes out: named, exit 4; back, it has it by itself",
      async () => {
        await fleet.on("probe1").kill();
        const off_ms = Date.now();
        const stop = watch();
        // When the answer was asked for: what ctl itself takes is measured elsewhere.
        const { value: asked_ms } = await fleet.until(
          "probe1 is silent",
          async () => {
            const { at_ms, rows } = await says();
            return rows.some(({ host, state }) => host === "probe1" && state === "silent") && at_ms;
          },
          40_000,
        );
        measured("power lost to silent in ctl status", `${asked_ms - off_ms} ms`);
        assertWithin(asked_ms - off_ms, 15_000, "from power lost to silent");
        mark("power");
        const applied: CtlResult = await fleet.ctl(["apply", "-y", "-m", "one is off"]);
        measured("apply with a host that is off", `${Math.round(applied.ms)} ms`);
        assert.is(applied.code, 4, applied.stdout + applied.stderr);
        assert.match(applied.stdout, /^probe1 {2}SILENT/m);
        for (const host of ["core1", "ixp1"] as const) assert.is(await marked(host), "power\n", host);
        assert.is(await stateOf("probe1"), "silent");
        const on_ms = Date.now();
        await fleet.on("probe1").start();
        await fleet.until("probe1 has it", async () => (await marked("probe1")) === "power\n", 30_000);
        const { ms } = await fleet.until(
          "probe1 is converged",
          async () => (await stateOf("probe1")) === "converged",
          30_000,
        );
        measured(
          "converged after power came back",
          `${Math.round(ms)} ms after its boot, ${Date.now() - on_ms} ms in all`,
        );
        neverConverged(await stop(), "probe1", on_ms - applied.ms, on_ms);
        await fleet.converged();
      },
      { limit_ms: 150_000 },
    );

    test(
      "the broker is down for a minute: ctl says so (5), hosts keep their state, late events arrive, all returns",
      async () => {
        await fleet.on("hub").sh("systemctl stop nats-server");
        const down_ms = Date.now();
        const told = await fleet.ctl(["status"], { expect: 5 });
        assert.match(told.stderr, /the broker cannot be reached/);
        assert.is((await fleet.ctl(["apply", "-y"])).code, 5);
        await fleet.on("ixp1").write(MARK, "by hand\n");
        await fleet.until(
          "the hand edit is put back",
          async () => (await marked("ixp1")) === "power\n",
          5_000,
        );
        const local = await fleet
          .on("ixp1")
          .sh("muster-agent status; systemctl show muster-agent -p StatusText --value");
        assert.match(local, /waiting for the broker: /);
        const stop = watch();
        await sleep(Math.max(0, BROKER_DOWN_MS - (Date.now() - down_ms)));
        const up_ms = Date.now();
        await fleet.on("hub").sh("systemctl start nats-server");
        const { ms } = await fleet.until(
          "ctl status is content",
          async () => (await says()).code === 0,
          40_000,
        );
        measured("broker started to ctl status content", `${Math.round(ms)} ms`);
        const heard = await stop();
        assert.ok(
          heard.every(({ told_ms, code }) => told_ms > up_ms || code === 5),
          "an answer without a broker",
        );
        const { value } = await fleet.event(
          ({ host, kind, what }) => host === "ixp1" && kind === "drift" && what.includes(MARK),
          down_ms,
        );
        assert.ok(value.at < up_ms, "an event of the outage carries its own time");
        await fleet.converged();
        toldOnce(await events(down_ms));
      },
      { limit_ms: 150_000 },
    );

    test(
      "the hub is rebooted: Vault opens, broker and controller come, hosts return, a change goes out",
      async () => {
        const begun_ms = Date.now();
        const stop = watch();
        await fleet.on("hub").restart();
        const booted_ms = Date.now();
        const { ms } = await fleet.until(
          "ctl status is content",
          async () => (await says()).code === 0,
          60_000,
        );
        measured(
          "hub booted to ctl status content",
          `${Math.round(ms)} ms (boot ${booted_ms - begun_ms} ms)`,
        );
        await stop();
        mark("reboot");
        await fleet.ctl(["apply", "-y", "-m", "after the reboot"], { expect: 0 });
        for (const host of HOSTS) assert.is(await marked(host), "reboot\n", host);
        await fleet.ctl(["login", "alice", "--password-file", fleet.state.path("alice-password")], {
          expect: 0,
        });
        await fleet.converged();
        toldOnce(await events(begun_ms));
      },
      { limit_ms: 150_000 },
    );
  },
  { limit_ms: 60_000 },
);
