// limit: 300 s
/**
 * What changes on a server without a change in the folder: put back within two seconds and told with the difference, given up after three times, left
 * where a person holds it or the folder says so, and removed only where Muster made it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, type KeptEvent, measured, openFleet, type ServerName, slowness } from "./kit.ts";

const BACK_LIMIT_MS = 2_000;
/** Files of this run alone: what was put back before counts for ten minutes. */
const RUN = Date.now().toString(36);
const [NOTE, GONE, OPEN, OWNED, CONTESTED, HELD, KEPT] = [
  "note",
  "gone",
  "open",
  "owned",
  "contested",
  "held",
  "kept",
].map((name) => `/etc/netinfo/${name}-${RUN}`) as [string, string, string, string, string, string, string];
const IDLE = `lab-idle-${RUN}`;
const FILES = [NOTE, GONE, OPEN, OWNED, CONTESTED, HELD, KEPT];

suite(
  "drift",
  (test) => {
    let fleet: Fleet;
    test.before(async () => {
      fleet = await openFleet();
      await fleet.reset();
      const lines = FILES.map((file) => `  ${file}: { content: "as declared\\n" }\n`).join("");
      fleet.edit("resources/routers.yml", (text) => text.replace(/^file:\n/m, `file:\n${lines}`));
      const unit = `/etc/systemd/system/${IDLE}.service`;
      const text = "[Service]\\nExecStart=sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n";
      fleet.edit(
        "resources/probe1.yml",
        (more) => `${more}file:
  ${unit}: { content: "${text}" }
service:
  ${IDLE}: { enabled: true, state: running, needs: [file/${unit}] }
`,
      );
      await fleet.ctl(["apply", "-y"], { expect: 0 });
    });
    test.after(() => fleet.reset());

    const stateOf = "stat -c '%a %U %G' $f 2>&1; cat $f 2>&1";
    /** Does something to a file and waits, on the host itself, until it is as it was; in milliseconds, or null when it never was. */
    const putBack = async (host: ServerName, file: string, change: string): Promise<number | null> => {
      const script = `f='${file}'; was=$(${stateOf}); ${change}; began=$(date +%s%3N)
        [ "$(${stateOf})" != "$was" ] || { echo unchanged; exit; }
        for i in $(seq 1000); do
          [ "$(${stateOf})" = "$was" ] && { echo $(($(date +%s%3N) - began)); exit; }
          sleep 0.01
        done; echo never`;
      const answer = (await fleet.on(host).sh(script)).trim();
      assert.is.not(answer, "unchanged", `${change} changed nothing`);
      return answer === "never" ? null : Number(answer);
    };
    const told = (host: ServerName, ref: string, since_ms: number, what: RegExp) =>
      fleet.event(
        (event: KeptEvent) => event.host === host && event.ref === ref && what.test(event.what),
        since_ms,
      );
    const trouble = (host: ServerName, words: RegExp, limit_ms = 5_000) =>
      fleet.until(
        `${host} says ${words}`,
        async () => {
          const row = (await fleet.status()).get(host);
          return row?.troubles.some(({ what }) => words.test(what)) === true ? row : undefined;
        },
        limit_ms,
      );

    test("edited, deleted, mode or owner changed by hand: back within 2 s, with an event that holds the difference", async () => {
      const since_ms = Date.now();
      const cases = {
        [NOTE]: "echo 'by hand' >>$f",
        [GONE]: "rm $f",
        [OPEN]: "chmod 0666 $f",
        [OWNED]: "chown bird:bird $f",
      };
      for (const [file, change] of Object.entries(cases)) {
        const took_ms = await putBack("probe1", file, change);
        measured(`${change.replace("$f", file)}, until it is back`, `${took_ms} ms`);
        assert.ok(took_ms !== null && took_ms <= BACK_LIMIT_MS * slowness(), `${file}: ${took_ms}`);
      }
      const { value: event } = await told(
        "probe1",
        `file/${NOTE}`,
        since_ms,
        /edited by root \d\d:\d\d: put back/,
      );
      assert.match(event.diff ?? "", /^-by hand$/m);
      await told("probe1", `file/${GONE}`, since_ms, /removed by hand: put back/);
      await told("probe1", `file/${OWNED}`, since_ms, /put back/);
    });

    test("three times in ten minutes: left, red, and it says so", async () => {
      const kept = await fleet.on("ixp1").read(CONTESTED);
      let told_at = Date.now() - 1;
      for (const round of [1, 2, 3]) {
        assert.ok((await putBack("ixp1", CONTESTED, `echo ${round} >>$f`)) !== null);
        // The agent reads back what it wrote; a change before it has told of that would be one with the correction.
        told_at = (await told("ixp1", `file/${CONTESTED}`, told_at + 1, /put back/)).value.at;
      }
      await fleet.on("ixp1").sh(`echo 'the fourth' >>${CONTESTED}`);
      const { value: row } = await trouble("ixp1", /put back 3 times in 10 min and changed again/);
      assert.is(row.colour, "red");
      assert.match(await fleet.on("ixp1").read(CONTESTED), /the fourth/);
      await fleet.ctl(["status"], { expect: 1 });
      const again = await fleet.ctl(["apply", "ixp1", "-y"], { expect: 1 });
      assert.match(again.stdout, /put back 3 times in 10 min/);
      assert.match(again.stdout, /--overwrite puts it back once more/);
      await fleet.ctl(["apply", "ixp1", "-y", "--overwrite"], { expect: 0 });
      assert.is(await fleet.on("ixp1").read(CONTESTED), kept);
      await fleet.converged({ sessions: false, limit_ms: 5_000 });
    });

    test("held on the host: the edit stays and shows as held; with the hold over it is put back", async () => {
      const core1 = fleet.on("core1");
      const hold = await core1.sh(`muster-agent hold file/${HELD} 2h --why 'testing a banner'`);
      assert.match(hold, /^file\/\/etc\/netinfo\/held-\w+ is held until /);
      await core1.sh(`echo mine >>${HELD}`);
      await trouble("core1", /file\/\/etc\/netinfo\/held-\w+ held by root until .*: testing a banner/);
      const shown = await fleet.ctl(["status"], { expect: 0 });
      assert.match(shown.stdout, /^core1 .*converged, held/m);
      assert.match(
        await core1.sh("muster-agent status"),
        /hold +file\/\/etc\/netinfo\/held-\w+ held by root until .*testing a banner/,
      );
      await sleep(2_500);
      assert.match(await core1.read(HELD), /mine/);
      const since_ms = Date.now();
      await core1.sh(`muster-agent unhold file/${HELD}`);
      const { ms } = await fleet.until(
        "it is back",
        async () => !(await core1.read(HELD)).includes("mine"),
        3_000,
      );
      measured("unhold, until it is back", `${ms.toFixed(0)} ms`);
      await told("core1", `file/${HELD}`, since_ms, /put back/);
      assert.is(
        (await core1.exec(["muster-agent", "unhold", `file/${HELD}`])).code,
        1,
        "it was held no longer",
      );

      await core1.sh(`muster-agent hold file/${HELD} 10s --why short; echo mine too >>${HELD}`);
      await sleep(2_000);
      assert.match(await core1.read(HELD), /mine too/);
      await fleet.until(
        "the hold ends by itself",
        async () => !(await core1.read(HELD)).includes("mine too"),
        15_000,
      );
    });

    test("with the agent stopped: status, log, hold and undo work, and the hold holds once it runs", async () => {
      const core1 = fleet.on("core1");
      await core1.sh("muster-agent status");
      await core1.sh("systemctl stop muster-agent");
      try {
        const status = await core1.exec(["muster-agent", "status"]);
        assert.is(status.code, 1);
        assert.match(status.stdout, /muster-agent does not run[\s\S]*generation +\d+, signed by alice/);
        assert.match(await core1.sh("muster-agent log"), /netinfo\/held-\w+ .*put back\n[\s\S]*-mine/);
        assert.match(await core1.sh("muster-agent undo"), /nothing is unconfirmed/);
        await core1.sh(`muster-agent hold file/${KEPT} 1h --why 'agent was off'`);
        await core1.sh(`echo off >${KEPT}; echo off >>${NOTE}`);
      } finally {
        await core1.sh("systemctl start muster-agent");
      }
      await fleet.until("it is back", async () => !(await core1.read(NOTE)).includes("off"), 10_000);
      assert.is(await core1.read(KEPT), "off\n");
      await core1.sh(`muster-agent unhold file/${KEPT}`);
      await fleet.until("the held one is back", async () => (await core1.read(KEPT)) !== "off\n", 3_000);
    });

    test("a service stopped and a kernel parameter changed by hand come back", async () => {
      const probe1 = fleet.on("probe1");
      const since_ms = Date.now();
      await probe1.sh(`systemctl stop ${IDLE}`);
      const service = await fleet.until(
        "it runs again",
        async () => (await probe1.exec(["systemctl", "is-active", "--quiet", IDLE])).code === 0,
        5_000,
      );
      measured("a stopped service, until it runs", `${service.ms.toFixed(0)} ms`);
      await told("probe1", `service/${IDLE}`, since_ms, /stopped.*put back/);
      await probe1.sh("sysctl -q -w net.ipv6.conf.all.forwarding=0");
      // The kernel tells nobody: it is seen at the next look, or when somebody asks for one.
      await fleet.ctl(["rpc", "reconcile", "probe1"], { expect: 0 });
      await fleet.until(
        "forwarding is on",
        async () => (await probe1.read("/proc/sys/net/ipv6/conf/all/forwarding")).trim() === "1",
        3_000,
      );
      await told("probe1", "sysctl/net.ipv6.conf.all.forwarding", since_ms, /put back/);
    });

    test("on_drift: report leaves it; out of the folder it goes when Muster made it, else stays and is named", async () => {
      const core1 = fleet.on("core1");
      await core1.sh("echo 'there before' >/etc/netinfo/old");
      const own =
        '  /etc/netinfo/old: { content: "ours\\n" }\n  /etc/netinfo/new: { content: "ours\\n", on_drift: report }\n';
      fleet.edit("resources/core.yml", (text) => `${text}${own}`);
      await fleet.ctl(["apply", "core1", "-y"], { expect: 0 });
      assert.equal(
        [await core1.read("/etc/netinfo/old"), await core1.read("/etc/netinfo/new")],
        ["ours\n", "ours\n"],
      );

      await core1.sh("echo theirs >/etc/netinfo/new");
      const { value: row } = await trouble("core1", /file\/\/etc\/netinfo\/new edited by root \d\d:\d\d/);
      assert.equal([row.state, row.colour], ["converged", "amber"]);
      await sleep(2_500);
      assert.is(await core1.read("/etc/netinfo/new"), "theirs\n");

      fleet.edit("resources/core.yml", (text) => text.replace(own, ""));
      const planned = await fleet.ctl(["plan", "core1"], { expect: 3 });
      assert.match(planned.stdout, /^core1 - file\/\/etc\/netinfo\/new /m);
      assert.match(
        planned.stdout,
        /file\/\/etc\/netinfo\/old: \/etc\/netinfo\/old was there before Muster wrote it/,
      );
      await fleet.ctl(["apply", "core1", "-y"], { expect: 0 });
      assert.equal((await core1.sh("ls /etc/netinfo")).includes("new"), false);
      assert.is(await core1.read("/etc/netinfo/old"), "ours\n");
      await core1.sh("rm /etc/netinfo/old");
    });
  },
  { limit_ms: 60_000 },
);
