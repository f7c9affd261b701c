// limit: 300 s
/**
 * BIRD as a change meets it: refused in BIRD's own words before anything is touched, taken back when sessions or prefixes are lost, kept when a session
 * is taken out on purpose, and never laid over an edit that somebody made on the host.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { birdOn, forgetFalls, GOOD_FILTER, TEMPLATE } from "./bird.ts";
import { type Fleet, measured, openFleet, SESSIONS_MS, slowness } from "./kit.ts";

/** The example's line of a session in core1's variables. */
const PROBE1 = '  probe1: { neighbor: "2001:db8:5000:ff02::2", as: 64500, options: [rr client] }\n';

suite(
  "bird",
  (test) => {
    let fleet: Fleet;
    const template = (change: (text: string) => string) => fleet.edit(TEMPLATE, change);
    const filter = (words: string) => template((text) => text.replace(GOOD_FILTER, words));
    const remark = (words: string) => template((text) => `# ${words}\n${text}`);
    const apply = (...args: string[]) => fleet.ctl(["apply", "ixp1", "-y", "--within", "10s", ...args]);

    test.before(async () => {
      fleet = await openFleet();
      await forgetFalls(fleet, "ixp1");
      await fleet.reset();
      // One wave: what two hosts are asked for at once takes one window.
      fleet.edit("muster.yml", (text) => text.replace(/^rollout:[\s\S]*/m, ""));
    });
    test.after(() => fleet.reset());

    test("a configuration that BIRD does not take: its own words with file and line, nothing changed, nothing sent", async () => {
      const ixp1 = birdOn(fleet, "ixp1");
      const before = await ixp1.seen();
      const generation = (await fleet.status()).get("ixp1")?.generation;
      filter("if net ~ [ {{ own }}+ then reject; accept;");
      const planned = await fleet.ctl(["plan", "ixp1"], { expect: 1 });
      const words = /bird\.conf:6:\d+ syntax error, unexpected THEN/;
      assert.match(planned.stdout, words);
      const applied = await apply();
      assert.is(applied.code, 1, applied.stdout);
      assert.match(applied.stdout, words);
      assert.not.match(applied.stdout, /muster-check/);
      assert.equal(await ixp1.seen(), before);
      const row = (await fleet.status()).get("ixp1");
      assert.equal([row?.state, row?.colour, row?.generation], ["converged", "green", generation]);
      template((text) => text.replace("{{ own }}+ then", "{{ own }}+ ] then"));
    });

    test("a filter that loses prefixes: undone, exit 1, told; not tried again; a corrected one is taken", async () => {
      const ixp1 = birdOn(fleet, "ixp1");
      const before = await ixp1.seen();
      filter("reject;");
      const applied = await apply();
      assert.is(applied.code, 1, applied.stdout);
      assert.match(
        applied.stdout,
        /^ixp1 {2}UNDONE after 1\d s: .*upstream imported 10, now 0 \(guard: within 10 %\); back after \d+ s\. bird\.conf is as before\./m,
      );
      measured("an undone change, from Enter to told (window 10 s)", `${(applied.ms / 1_000).toFixed(1)} s`);
      assert.equal(await ixp1.seen(), before);
      assert.is(await ixp1.imported("upstream"), 10);

      const told = await fleet.ctl(["status"], { expect: 1 });
      assert.match(told.stdout, /^ixp1 .* undone /m);
      assert.match(
        told.stdout,
        /^ixp1 {2}bird\/main UNDONE .* ago: .*upstream imported 10, now 0 .*ctl plan ixp1/m,
      );
      const row = (await fleet.status()).get("ixp1");
      assert.equal([row?.state, row?.colour], ["undone", "red"]);

      const again = await apply();
      assert.is(again.code, 1, again.stdout);
      assert.match(again.stdout, /UNDONE, and not tried again until the folder differs/);
      assert.not.match(again.stdout, /folder and servers agree/);
      assert.ok(again.ms < 5_000 * slowness(), `${again.ms} ms`);
      assert.is(await ixp1.imported("upstream"), 10, "the host was not touched again");

      template((text) => text.replace("filter from_peer { reject; }", `filter from_peer { ${GOOD_FILTER} }`));
      remark("corrected");
      const corrected = await apply();
      assert.is(corrected.code, 0, corrected.stdout);
      assert.match(await ixp1.boot(), /# corrected/);
      assert.is((await ixp1.seen()).leftovers, "");
    });

    test("a wrong AS under the same name takes a session down: undone, and up again", async () => {
      const ixp1 = birdOn(fleet, "ixp1");
      const before = await ixp1.boot();
      fleet.edit("host_vars/ixp1.yml", (text) => text.replace("as: 64496", "as: 64497"));
      const wrong = await apply();
      assert.is(wrong.code, 1, wrong.stdout);
      assert.match(
        wrong.stdout,
        /resets upstream \(neighbor 2001:db8:ffff::1 as 64496 became neighbor .* as 64497\)/,
      );
      assert.match(wrong.stdout, /^ixp1 {2}UNDONE after .*: .*upstream was up, now /m);
      assert.is(await ixp1.boot(), before);
      await fleet.until(
        "upstream is up again",
        async () => (await ixp1.imported("upstream")) === 10,
        SESSIONS_MS,
      );
      fleet.edit("host_vars/ixp1.yml", (text) => text.replace("as: 64497", "as: 64496"));
      const settled = await apply();
      assert.is(settled.code, 0, settled.stdout);
      assert.ok(settled.ms < 5_000 * slowness(), "the host had it already");
    });

    test("a session taken out on purpose: confirmed", async () => {
      fleet.edit("host_vars/core1.yml", (text) => text.replace(PROBE1, ""));
      const taken = await fleet.ctl(["apply", "core1", "-y", "--within", "10s"]);
      assert.is(taken.code, 0, taken.stdout);
      assert.match(taken.stdout, /ends probe1/);
      assert.not.match(await birdOn(fleet, "core1").boot(), /protocol bgp probe1/);
    });

    test("an edit by hand: left, amber within 5 s; a new bird.conf needs --overwrite; an edit after that outlives the agent", async () => {
      const ixp1 = birdOn(fleet, "ixp1");
      const edited_ms = Date.now();
      await fleet.on("ixp1").sh("echo '# by hand' >>/etc/bird/bird.conf");
      const { value: row } = await fleet.until(
        "the edit shows in ctl status",
        async () => {
          const found = (await fleet.status()).get("ixp1");
          return found?.troubles.some(({ what }) => /edited by root \d\d:\d\d/.test(what)) === true
            ? found
            : undefined;
        },
        5_000,
      );
      measured("a hand edit of bird.conf, until ctl status shows it", `${Date.now() - edited_ms} ms`);
      assert.equal([row.state, row.colour], ["converged", "amber"]);
      assert.match(await ixp1.boot(), /# by hand/);

      remark("four");
      fleet.edit("host_vars/core1.yml", (text) => `${text}${PROBE1}`);
      const refused = await apply();
      assert.is(refused.code, 1, refused.stdout);
      assert.match(refused.stdout, /edited by root \d\d:\d\d; --overwrite replaces it/);
      assert.match(await ixp1.boot(), /# by hand/);
      assert.is((await fleet.status()).get("ixp1")?.generation, row.generation, "nothing was sent");
      const over = await fleet.ctl(["apply", "ixp1,core1", "-y", "--overwrite", "--within", "10s"]);
      assert.is(over.code, 0, over.stdout);
      assert.match(await ixp1.boot(), /# four/);
      assert.not.match(await ixp1.boot(), /# by hand/);

      await fleet
        .on("ixp1")
        .sh("echo '# by hand again' >>/etc/bird/bird.conf; sleep 1; systemctl restart muster-agent");
      await fleet.until(
        "the edit shows after the restart",
        async () =>
          (await fleet.status()).get("ixp1")?.troubles.some(({ what }) => /edited by root/.test(what)),
        10_000,
      );
      await sleep(2_000);
      assert.match(await ixp1.boot(), /# by hand again/);
    });
  },
  { limit_ms: 120_000 },
);
