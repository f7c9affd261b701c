/** What alert rules look back at while the broker is slow: that it cannot be read is told at once, and once. */
import { PastOfFleet } from "@muster/controller/alerts/past";
import { FleetError } from "@muster/protocol/errors";
import { keptColumn, over as windowed } from "@muster/protocol/expression/window";
import { trackOf } from "@muster/protocol/history";
import { KEPT } from "@muster/protocol/kept";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const READS = 40;

suite("the past of a fleet", (test) => {
  test("a broker that stays slow is told of at the first host, though reading goes on", async () => {
    const life = new AbortController();
    let now_ms = 3_600_000;
    let reads = 0;
    const told_after: number[] = [];
    const past = new PastOfFleet({
      bus: {
        // biome-ignore lint/correctness/useYield: it fails.
        async *readAll() {
          reads += 1;
          // Longer than until it is tried again: of some host it always is time.
          now_ms += 40_000;
          if (reads === READS) life.abort();
          throw new FleetError("TIMEOUT", "too slow");
        },
      } as never,
      ...{ log: { warn: () => told_after.push(reads) } as never, now: () => now_ms },
      ...{ signal: life.signal, recent: () => [] },
    });
    const hosts = Array.from({ length: 12 }, (_, at) => ({ name: `core${at}`, id: `id${at}` }));
    past.need(["rate(health.interfaces.rx_errors,5m)>1"], hosts);
    await past.settled();
    assert.ok(reads >= READS, String(reads));
    assert.is(told_after.length, 1);
    assert.ok((told_after[0] ?? READS) <= hosts.length, `told after ${told_after[0]} of ${reads}`);
  });

  /** What a condition comes to over an hour of points ten seconds apart; a step of an hour is thirty seconds. */
  const over = async (
    fn: "rate" | "increase" | "mean",
    name: string,
    value: (at: number) => number | null,
  ) => {
    const now_ms = 1_790_000_000_000;
    const track = name.startsWith("interfaces") ? "machine" : "health";
    const { every_ms } = KEPT[track];
    const window_ms = track === "machine" ? 6 * 3_600_000 : 3_600_000;
    const points = Array.from({ length: window_ms / every_ms + 1 }, (_, at) => ({
      at: now_ms - window_ms + at * every_ms,
      numbers: { [name]: value(at) },
    }));
    const past = new PastOfFleet({
      bus: {
        async *readAll() {
          yield { subject: "x", body: Buffer.from(JSON.stringify({ tracks: { [track]: trackOf(points) } })) };
        },
      } as never,
      ...{ log: {} as never, now: () => now_ms, recent: () => points.slice(-1) },
    });
    const [column = "", only] = name.split(" ");
    const hours = window_ms / 3_600_000;
    past.need([`${fn}(health.${column},${hours}h)>1`], [{ name: "core1", id: "id1" }]);
    await past.settled();
    const kept = keptColumn("health", column);
    assert.ok(kept !== null);
    return windowed({ fn, window_ms }, kept, past.of("core1"), only)?.[0]?.value;
  };

  test("a point without a value weighs nothing in the mean of its step", async () => {
    // In each step of three points 0, nothing, 3.
    const mean = await over("mean", "load1", (at) => [0, null, 3][at % 3] ?? null);
    assert.ok(Math.abs((mean ?? 0) - 1.5) < 0.02, String(mean));
    assert.is(await over("mean", "load1", () => 2), 2);
  });

  test("a counter that begins anew within a step is a new beginning, also where it is higher at the step's end", async () => {
    // A step of six hours is three minutes: 1000, then from 0 on to above 1000 within three points.
    const anew = 180;
    const values = (at: number) => (at < anew ? 1_000 : at === anew ? 0 : at === anew + 1 ? 700 : 1_400);
    assert.is(await over("increase", "interfaces.rx_errors eth0", values), 1_400);
    // Again, and then it stands still.
    const twice = (at: number) => (at < 60 ? 500 : at < 300 ? at * 10 : at === 300 ? 10 : 4_000);
    assert.is(await over("increase", "interfaces.rx_errors eth0", twice), 2_490 + 4_000);
  });
});
