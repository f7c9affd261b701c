/** What alert rules look back at while the broker is slow: that it cannot be read is told at once, and once. */
import { PastOfFleet } from "@muster/controller/alerts/past";
import { FleetError } from "@muster/protocol/errors";
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
});
