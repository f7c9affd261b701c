/** `ctl.history` of a real controller over a real broker: what hosts told over time, to who may look, in pages and steps. */
import { callController } from "@muster/ports/call";
import {
  type HistoryMessage,
  LATE_HEADER,
  type Point,
  pointsOf,
  subjects,
  verifierOf,
} from "@muster/protocol";
import { numbersOf, thinnedPoints, trackOf } from "@muster/protocol/history";
import * as assert from "uvu/assert";
import { historyPage } from "../../../packages/controller/src/telemetry/history.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { makeHost, type TestHost } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";
import { SESSION, sample } from "../ctl/report/samples.ts";

const MIN = 60_000;

suite("numbers of samples", (test) => {
  const health = (at: number, rx_bytes: number, more = {}) => ({
    ...{ at, uptime_s: 1, load: [0.5, 0, 0], cpu_busy: 0.25, cores: 2, failed_units: [] },
    memory: { total_bytes: 1_000, available_bytes: 250, swap_used_bytes: 0 },
    disks: [{ mount: "/", size_bytes: 10, used_bytes: 4 }],
    interfaces: [{ name: "eth0", rx_bytes, tx_bytes: 0, up: true }],
    agent: { rss_bytes: 1, cpu_s: 1, uptime_s: 1 },
    ...more,
  });

  test("health: shares, and rates between two samples; a counter that began anew is no rate", () => {
    assert.equal(numbersOf("health", health(0, 1_000), null), {
      ...{ cpu: 0.25, memory: 0.75, load1: 0.5, received_bits_per_s: null, sent_bits_per_s: null },
      "disk_used /": 0.4,
    });
    assert.is(numbersOf("health", health(10_000, 2_000), health(0, 1_000)).received_bits_per_s, 800);
    assert.is(numbersOf("health", health(10_000, 5), health(0, 1_000)).received_bits_per_s, null);
    assert.is(numbersOf("health", health(0, 2_000), health(10_000, 1_000)).received_bits_per_s, null);
    const plugged = health(10_000, 2_000, {
      interfaces: [
        { name: "eth0", rx_bytes: 2_000, tx_bytes: 0, up: true },
        { name: "wg0", rx_bytes: 9e9, tx_bytes: 0, up: true },
      ],
    });
    assert.is(numbersOf("health", plugged, health(0, 1_000)).received_bits_per_s, 800);
  });

  test("bgp: sums and each session; of a daemon that does not answer nothing is known", () => {
    const numbers = numbersOf("bgp", sample(SESSION), null);
    assert.is(numbers.up, 1);
    assert.is(numbers[`imported ${SESSION.name}`], numbers.imported);
    assert.ok((numbers.imported ?? 0) > 0);
    const dead = sample(SESSION);
    const silent = { ...dead, daemon: { ...dead.daemon, reachable: false } };
    assert.equal(numbersOf("bgp", silent, null), { imported: null, exported: null, up: null });
  });

  test("points become a track and come out of it again; steps take the mean of health and the last of routes", () => {
    const points: Point[] = [
      { at: 30, numbers: { load: 3, still: 1 } },
      { at: 10, numbers: { load: 1, still: 1 } },
      { at: 20, numbers: { load: null, still: 1, late: 5 } },
      { at: 10, numbers: { load: 9 } },
    ];
    const track = trackOf(points);
    assert.equal(track, {
      at: [10, 20, 30],
      series: { load: [1, null, 3], still: [1], late: [null, 5, null] },
    });
    assert.ok(track);
    assert.equal(pointsOf(track, new Set(["still"]))[1], { at: 20, numbers: { still: 1 } });
    const back = pointsOf(track);
    assert.equal(thinnedPoints("health", back, 25)[0], { at: 0, numbers: { load: 1, still: 1, late: 5 } });
    assert.equal(thinnedPoints("bgp", back, 25)[0], { at: 0, numbers: { load: null, still: 1, late: 5 } });
    assert.is(trackOf([]), null);
  });
});

suite(
  "history of a controller",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let core1: TestHost;
    const now = Date.now();
    const begun = Math.floor((now - 60 * MIN) / MIN) * MIN;

    const tell = async (at: number[], series: Record<string, number[]>, late = false) => {
      const message: HistoryMessage = { tracks: { health: { at, series } } };
      await core1.bus.publishStored(
        subjects.history(core1.id, "core1"),
        Buffer.from(JSON.stringify(message)),
        {
          headers: late ? { [LATE_HEADER]: "600000" } : {},
        },
      );
    };
    const caller = async (name: string, ou: "viewer" | "operator" = "viewer") => ({
      bus: (await fleet.connect("viewer", name, life.signal)).bus,
      signer: await fleet.person(name, ou),
      now: Date.now,
    });
    const asked = { host: "core1", kind: "health", since: 0, step_ms: null, series: null, after: 0 } as const;

    test.before(async () => {
      fleet = await startFleet();
      const setup = await fleet.connect("controller", "setup", life.signal);
      core1 = await makeHost(fleet, "core1", setup.bus, verifierOf(fleet.bundle), life.signal);
      controller = await startController(fleet);
      // Ten minutes, then ten that came when the next ten had been told.
      const minutes = (from: number) =>
        Array.from({ length: 60 }, (_, at) => begun + from * MIN + at * 10_000);
      const loads = (from: number) => Array.from({ length: 60 }, (_, at) => from * 6 + at);
      await tell(minutes(0), { load: loads(0), "disk_used /": [0.5] });
      await tell(minutes(20), { load: loads(20), "disk_used /": [0.5] });
      await tell(minutes(10), { load: loads(10), "disk_used /": [0.5] }, true);
      await core1.bus.publishStored(subjects.history(core1.id, "core1"), Buffer.from("no history"));
    });
    test.after(async () => {
      await controller.stop();
      life.abort();
      await fleet.stop();
    });

    test("a viewer is told all of it in the order of time, and of which time the host told late", async () => {
      const { track, late, next } = await callController(await caller("vera"), "history", asked);
      assert.is(next, null);
      assert.equal(
        track?.series.load,
        Array.from({ length: 180 }, (_, at) => at),
      );
      assert.equal(track?.series["disk_used /"], [0.5]);
      assert.is(track?.at[0], begun);
      assert.equal(late, [{ from: begun + 10 * MIN, to: begun + 20 * MIN - 10_000 }]);
    });

    test("since, steps and names cut it down", async () => {
      const { track } = await callController(await caller("vera"), "history", {
        ...asked,
        since: begun + 25 * MIN,
        step_ms: MIN,
        series: ["load"],
      });
      assert.equal(
        track?.at,
        [25, 26, 27, 28, 29].map((minute) => begun + minute * MIN),
      );
      assert.equal(track?.series, { load: [152.5, 158.5, 164.5, 170.5, 176.5] });
      const none = await callController(await caller("vera"), "history", { ...asked, kind: "bgp" });
      assert.equal(none, { track: null, late: [], next: null });
    });

    test("more than a page holds comes in several, without a gap", async () => {
      const { bus } = await fleet.connect("controller", "reader", life.signal);
      const records = { byName: () => ({ id: core1.id }) as never, seenBy: () => [] };
      const wide = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`s${at}`, [at]]));
      for (const minute of [40, 41, 42]) {
        const at = Array.from({ length: 100 }, (_, index) => begun + minute * MIN + index);
        await tell(at, { load: at.map((_, index) => index), ...wide });
      }
      const points: Point[] = [];
      let [pages, after] = [0, 0];
      for (;;) {
        const page = await historyPage(bus, { ...asked, since: begun + 40 * MIN, after }, records, () => []);
        if (page.track !== null) points.push(...pointsOf(page.track));
        pages += 1;
        if (page.next === null) break;
        after = page.next;
      }
      assert.is(pages, 2);
      assert.is(new Set(points.map(({ at }) => at)).size, 300);
    });

    test("a host that there is not is not found, nor one that a guest does not see", async () => {
      const code = (error: { code?: string }) => error.code;
      const caught = await callController(await caller("vera"), "history", { ...asked, host: "core9" }).catch(
        code,
      );
      assert.is(caught, "NOT_FOUND");
      const { bus } = await fleet.connect("controller", "reader", life.signal);
      const records = { byName: () => ({ id: core1.id }) as never, seenBy: () => [] };
      const guest = { groups: ["ixp"] } as never;
      assert.is(await historyPage(bus, asked, records, () => [], guest).catch(code), "NOT_FOUND");
    });

    test("a web page is told under its own key", async () => {
      const page = await fleet.connect("page", "vera", life.signal);
      const body = Buffer.from(
        JSON.stringify({ v: 1, args: { ...asked, series: ["load"], step_ms: 10 * MIN } }),
      );
      const answer = await page.bus.request(subjects.page(page.id, "history"), body, { timeout_ms: 20_000 });
      const { ok } = JSON.parse(Buffer.from(answer.body).toString());
      assert.ok(ok.track.at.length >= 3);
    });
  },
  { limit_ms: 20_000 },
);
