// limit: 300 s
/**
 * Programs on hosts in the person's name: output as it comes, each host's own exit code, silent hosts named, an end on ^C that leaves nothing
 * behind; and a reboot that gives the host back converged.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { execPath } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, measured, openFleet, slowness } from "./kit.ts";
import { ROOT } from "./lab.ts";

suite(
  "exec",
  (test) => {
    let fleet: Fleet;
    const units = (host: "ixp1" | "core1") =>
      fleet.on(host).sh("systemctl list-units --all --no-legend 'muster-exec-*'");

    test.before(async () => {
      fleet = await openFleet();
      await fleet.reset();
    });
    test.after(async () => {
      await fleet.on("probe1").sh("systemctl start muster-agent");
      await fleet.reset();
    });

    test("each host's output and exit code; an event and the journal say who, what and how it ended", async () => {
      const since_ms = Date.now();
      const script =
        "echo out; echo err >&2; grep -o 'muster-[a-z]*' /proc/self/cgroup | head -1; test $(hostname) = core1";
      const ran = await fleet.ctl(["exec", "ixp1,core1", "-y", "--", "sh", "-c", script], { expect: 4 });
      measured("ctl exec on two hosts, from Enter to its end", `${Math.round(ran.ms)} ms`);
      for (const host of ["core1", "ixp1"]) {
        assert.match(ran.stdout, new RegExp(`^${host} +out$`, "m"));
        assert.match(ran.stdout, new RegExp(`^${host} +muster-exec$`, "m"), "not in the agent's unit");
        assert.match(ran.stderr, new RegExp(`^${host} +err$`, "m"));
      }
      assert.match(ran.stderr, /^core1 {2}exit 0$/m);
      assert.match(ran.stderr, /^ixp1 {2}exit 1$/m);
      assert.match(ran.stderr, /^1 of 2 hosts in /m);
      const told = await fleet.event(
        ({ host, kind, what }) => host === "ixp1" && kind === "exec" && /: exit 1 after/.test(what),
        since_ms,
      );
      assert.match(told.value.what, /^\S+ from \S+@\S+ ran: sh …: exit 1 after/);
      assert.match(
        await fleet.on("ixp1").sh("journalctl -u 'muster-exec-*' -n 20 -o cat"),
        /Started .* from .*: sh -c/,
      );
      assert.is(await units("ixp1"), "");
    });

    test("the audit has how it ended, and what somebody does on the host itself", async () => {
      await fleet.on("ixp1").sh("muster-agent hold 1h --why 'by hand' && muster-agent unhold");
      let table = "";
      await fleet.until(
        "the audit of ixp1",
        async () => {
          table = (await fleet.ctl(["audit", "--host", "ixp1", "--since", "5m"], { expect: 0 })).stdout;
          return / unhold +done /.test(table);
        },
        20_000,
      );
      assert.match(table, / exec +begun .*\n(?:.*\n)*.* exec +failed .*: sh …: exit 1 after /);
      assert.match(table, / root \(on the host\) +hold +done +the whole host until .*: by hand/);
    });

    test("a program that is not there, one that takes too long, and one without a terminal to confirm it", async () => {
      const none = await fleet.ctl(["exec", "ixp1", "-y", "--json", "--", "no-such-program"], { expect: 1 });
      assert.is(none.json().ixp1.code, 127);
      assert.match(none.json().ixp1.stderr, /no-such-program.*No such file/);
      const long = await fleet.ctl(["exec", "ixp1", "-y", "--longest", "1s", "--", "sleep", "60"], {
        expect: 1,
      });
      assert.ok(long.ms < 15_000 * slowness(), `${long.ms} ms`);
      assert.match(long.stderr, /^ixp1 {2}ended by its time limit$/m);
      assert.is(await units("ixp1"), "");
      await fleet.ctl(["exec", "ixp1", "--", "true"], { expect: 2 });
    });

    test("more than a megabyte comes whole and in order", async () => {
      const many = await fleet.ctl(["exec", "ixp1", "-y", "--", "seq", "1", "200000"], { expect: 0 });
      const lines = many.stdout.trimEnd().split("\n").slice(1);
      assert.is(lines.length, 200_000);
      assert.ok(lines.every((line, at) => line === String(at + 1)));
    });

    test("^C ends the program there, with all that it started", async () => {
      const { folder, home } = fleet.operator;
      const args = ["exec", "ixp1", "-y", "--", "sh", "-c", "sleep 61 & sleep 62"];
      const main = join(ROOT, "dist", "ctl", "ctl.cjs");
      const run = spawn(execPath, [main, ...args], {
        cwd: folder,
        env: { ...process.env, MUSTER_HOME: home },
        stdio: ["ignore", "ignore", "pipe"],
      });
      let stderr = "";
      run.stderr.on("data", (text) => {
        stderr += text;
      });
      const closed = once(run, "close");
      await fleet.until(
        "both sleep",
        async () => (await fleet.on("ixp1").sh("pgrep -c -f '^sleep 6[12]$' || true")).trim() === "2",
        20_000,
      );
      run.kill("SIGINT");
      await closed;
      assert.match(stderr, /ixp1 .*stopped on request/);
      assert.is((await fleet.on("ixp1").exec(["pgrep", "-f", "^sleep 6[12]$"])).code, 1, "nothing runs on");
      assert.is(await units("ixp1"), "");
    });

    test("a silent host is named", async () => {
      await fleet.on("probe1").sh("systemctl stop muster-agent");
      const ran = await fleet.ctl(["exec", "probe1,ixp1", "-y", "--", "true"], { expect: 4 });
      assert.match(ran.stderr, /^probe1 {2}SILENT/m);
      await fleet.on("probe1").sh("systemctl start muster-agent");
    });

    test("a reboot: drained, another boot, converged, undrained", async () => {
      await fleet.converged();
      const rebooting = fleet.ctl(["reboot", "ixp1", "-y", "--alone", "--within", "150s"], {
        timeout_ms: 240_000,
      });
      // Nobody presses the button of a container that has gone down.
      let ended = false;
      void rebooting.finally(() => {
        ended = true;
      });
      // One that goes down takes no more commands for a while, and starting it then would do nothing.
      const down = async () => (await fleet.on("ixp1").facts()).state !== "running";
      while (!ended && !(await down())) await sleep(300);
      if (!ended) await fleet.on("ixp1").start();
      const done = await rebooting;
      assert.is(done.code, 0, done.stdout + done.stderr);
      measured("ctl reboot of a lab server", `${(done.ms / 1_000).toFixed(1)} s`);
      assert.match(done.stdout, /^2\/3 GRACEFUL_SHUTDOWN/m);
      assert.match(done.stdout, /^ixp1 {2}back after /m);
      assert.match(await fleet.on("ixp1").read("/etc/bird/muster.conf"), /muster_drain = false/);
      await fleet.converged();
    });
  },
  { limit_ms: 240_000 },
);
