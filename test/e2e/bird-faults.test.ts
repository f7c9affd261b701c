// limit: 300 s
/**
 * A BIRD change that nobody confirms: whoever dies or meddles in between (the agent, the server, a person with birdc), BIRD is as before and it is told.
 * And what is no fault of the change: a session that fell by itself before.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { birdOn, forgetFalls, GOOD_FILTER, TEMPLATE } from "./bird.ts";
import { type Fleet, HOSTS, type KeptEvent, measured, openFleet, type ServerName } from "./kit.ts";

const WINDOW_S = 15;

type Session = { readonly name: string; readonly state: string; readonly flaps: number | null };

suite(
  "bird faults",
  (test) => {
    let fleet: Fleet;
    const remark = (words: string) => fleet.edit(TEMPLATE, (text) => `# ${words}\n${text}`);
    const apply = (host: ServerName, within_s = WINDOW_S) =>
      fleet.ctl(["apply", host, "-y", "--within", `${within_s}s`]);
    const guarded = (host: ServerName, what: RegExp, since_ms: number, limit_ms = 45_000) =>
      fleet.event(
        (event: KeptEvent) => event.host === host && event.kind === "guard" && what.test(event.what),
        since_ms,
        limit_ms,
      );
    const unconfirmed = (host: ServerName) =>
      fleet.until(
        `${host} runs an unconfirmed configuration`,
        async () => (await birdOn(fleet, host).timer()) ?? undefined,
        10_000,
      );

    test.before(async () => {
      fleet = await openFleet();
      await fleet.reset();
      // One wave: the hosts are in the middle of their changes at the same time.
      fleet.edit("muster.yml", (text) => text.replace(/^rollout:[\s\S]*/m, ""));
    });
    test.after(async () => {
      await forgetFalls(fleet, "ixp1");
      await fleet.reset();
    });

    test(
      "unconfirmed, and then: agent killed, agent frozen, somebody's birdc configure: undone, told, and as before",
      async () => {
        const since_ms = Date.now();
        const before = new Map<ServerName, string>();
        for (const host of HOSTS) before.set(host, await birdOn(fleet, host).boot());
        remark("nobody will confirm this");
        const applying = fleet.ctl(["apply", "-y", "--within", `${WINDOW_S}s`]);
        const meddle = {
          core1: "birdc configure",
          ixp1: "systemctl kill -s KILL --kill-who=main muster-agent",
          probe1: "systemctl kill -s STOP --kill-who=main muster-agent",
        };
        // On each as soon as it is there: a good change is confirmed after a few seconds.
        await Promise.all(
          HOSTS.map(async (host) => {
            await unconfirmed(host);
            assert.is(
              await fleet.on(host).sh(`cat /etc/bird/bird.conf; ${meddle[host]} >/dev/null`),
              before.get(host),
              `${host}: boot file`,
            );
          }),
        );
        const probe1 = fleet.on("probe1");
        // The agent that systemd starts again takes back first, and then tries once more.
        await guarded(
          "ixp1",
          /was undone: the agent was gone before the change was confirmed; bird\.conf is as before/,
          since_ms,
        );
        // Nobody is there on probe1 but the timer.
        const frozen = await fleet.until(
          "the timer takes it back",
          async () => (await birdOn(fleet, "probe1").timer()) === null,
          30_000,
        );
        measured(
          `taken back by the timer, after the window of ${WINDOW_S} s`,
          `${(frozen.ms / 1_000).toFixed(1)} s`,
        );
        assert.is(await birdOn(fleet, "probe1").boot(), before.get("probe1"));
        await probe1.sh("systemctl kill -s CONT --kill-who=main muster-agent");
        await guarded(
          "core1",
          /somebody else configured BIRD during the change.*bird\.conf is as before/,
          since_ms,
        );
        await guarded("probe1", /was undone.*nobody confirmed it in time.*bird\.conf is as before/, since_ms);

        const applied = await applying;
        assert.is.not(applied.code, 0, applied.stdout);
        assert.match(applied.stdout, /^core1 {2}UNDONE after .*somebody else configured BIRD/m);
        for (const host of ["core1", "probe1"] as const) {
          assert.is(await birdOn(fleet, host).boot(), before.get(host), host);
          assert.is((await birdOn(fleet, host).seen()).leftovers, "", host);
        }
        await fleet.until(
          "ixp1 has settled",
          async () => (await fleet.status()).get("ixp1")?.state === "converged",
          30_000,
        );
        assert.match(await birdOn(fleet, "ixp1").boot(), /# nobody will confirm this/);
        assert.is((await birdOn(fleet, "ixp1").seen()).leftovers, "");
        assert.match(
          (await fleet.ctl(["status"], { expect: 1 })).stdout,
          /^probe1 {2}bird\/main UNDONE .*nobody confirmed it in time/m,
        );
      },
      { limit_ms: 120_000 },
    );

    test(
      "the host's line to the broker is cut, and a person there takes it back: done at once, told once the line is whole",
      async () => {
        const since_ms = Date.now();
        const core1 = birdOn(fleet, "core1");
        const before = await core1.seen();
        remark("somebody will take this back");
        const applying = apply("core1", 60);
        await unconfirmed("core1");
        const hub = await fleet.on("hub").facts();
        await fleet.on("core1").cut({ from: [hub.ipv6, ...(hub.ipv4 === undefined ? [] : [hub.ipv4])] });
        try {
          const begun_ms = performance.now();
          assert.match(
            await fleet.on("core1").sh("muster-agent undo"),
            /^bird\/main: taken back, it is as before$/m,
          );
          measured("muster-agent undo without a line", `${Math.round(performance.now() - begun_ms)} ms`);
          assert.is(await core1.timer(), null);
          await fleet.until(
            "nothing is left of it",
            async () => (await core1.seen()).leftovers === "",
            10_000,
          );
          assert.equal(await core1.seen(), before);
          // The agent, still without a line, does not try it again.
          await sleep(5_000);
          assert.equal(await core1.seen(), before);
        } finally {
          await fleet.on("core1").mend();
        }
        await guarded(
          "core1",
          /was undone.*taken back on the host by root.*bird\.conf is as before/,
          since_ms,
        );
        const applied = await applying;
        assert.is.not(applied.code, 0, applied.stdout);
        assert.match(
          (await fleet.ctl(["status"], { expect: 1 })).stdout,
          /^core1 {2}bird\/main UNDONE .*taken back on the host by root/m,
        );
        assert.equal(await core1.seen(), before);
      },
      { limit_ms: 120_000 },
    );

    test(
      "the server reboots over it: undone before BIRD starts, and told; a session that flapped is not held against the change",
      async () => {
        const since_ms = Date.now();
        const probe1 = birdOn(fleet, "probe1");
        const before = await probe1.boot();
        remark("a reboot comes");
        const rebooted = apply("probe1", 60);
        await unconfirmed("probe1");
        await fleet.on("probe1").kill();
        await fleet.on("probe1").start();
        await guarded(
          "probe1",
          /was undone: the server was started before the change was confirmed; bird\.conf is as before/,
          since_ms,
        );
        assert.is(await probe1.boot(), before);
        assert.is((await probe1.seen()).leftovers, "");
        assert.is((await rebooted).code, 1);

        // Falls in the half minute after a change of our own are not counted, so it may take more than two.
        await fleet.until(
          "upstream fell twice, as the agent saw, and is up",
          async () => {
            const { sessions } = (await fleet.ctl(["bgp", "ixp1", "--json"])).json() as {
              sessions: Session[];
            };
            const session = sessions.find(({ name }) => name === "upstream");
            if (session?.state !== "established") return false;
            if ((session.flaps ?? 0) >= 2) return (await birdOn(fleet, "ixp1").imported("upstream")) === 10;
            await fleet.on("ixp1").sh("birdc restart upstream");
            await sleep(1_500);
            return false;
          },
          60_000,
        );
        fleet.edit(TEMPLATE, (text) => text.replace(GOOD_FILTER, "reject;"));
        const planned = await fleet.ctl(["plan", "ixp1", "--json"], { expect: 3 });
        assert.equal(planned.json().plans[0].plan.guard.sessions, ["core1"]);
        // Confirmed when it was good for ten seconds: ample, as reading it in takes its time on a slow machine.
        const applied = await apply("ixp1", 30);
        assert.is(applied.code, 0, applied.stdout);
        assert.is(await birdOn(fleet, "ixp1").imported("upstream"), 0);
      },
      { limit_ms: 150_000 },
    );
  },
  { limit_ms: 60_000 },
);
