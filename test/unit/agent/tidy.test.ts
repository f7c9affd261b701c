/** Memory is given back once after a start and once after a change, and at rest when it has grown; never in the middle of a change. */
import { setTimeout as sleep } from "node:timers/promises";
import { Standing } from "@muster/agent/standing";
import { tidyAtRest } from "@muster/agent/tidy";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const TIMES = { start_ms: 20, change_ms: 60, look_ms: 600_000 };

suite("tidy", (test) => {
  const ends = new AbortController();
  const own = globalThis as { gc?: unknown };
  const before = own.gc;
  let times = 0;
  test.before(() => {
    own.gc = () => times++;
  });
  test.after(() => {
    ends.abort();
    own.gc = before;
  });

  test("after the start, when the host has come to rest on the bus; after changes, when the last is over", async () => {
    const standing = new Standing("1.0.0", Date.now);
    tidyAtRest(standing, ends.signal, TIMES);
    standing.converge({ state: "converged" });
    await sleep(100);
    assert.is(times, 0, "there is no connection yet");
    standing.set({ broker: null });
    while (times < 1) await sleep(5);
    standing.converge({ state: "applying" });
    await sleep(150);
    assert.is(times, 1, "a change is under way");
    standing.converge({ state: "converged" });
    standing.converge({ state: "applying" });
    standing.converge({ state: "converged" });
    while (times < 2) await sleep(5);
    await sleep(150);
    standing.converge({ detail: "the same state in other words" });
    await sleep(150);
    assert.is(times, 2);
  });

  test("at rest, when the heap has grown", async () => {
    const standing = new Standing("1.0.0", Date.now);
    const life = new AbortController();
    tidyAtRest(standing, life.signal, { ...TIMES, look_ms: 20 });
    standing.converge({ state: "converged" });
    standing.set({ broker: null });
    while (times < 3) await sleep(5);
    const grown = Array.from({ length: 4_000_000 }, (_, at) => at);
    while (times < 4) await sleep(5);
    const tidied = times;
    standing.converge({ state: "applying" });
    const more = Array.from({ length: 4_000_000 }, (_, at) => at);
    await sleep(150);
    assert.is(times, tidied, "a change is under way");
    assert.is(grown.length + more.length, 8_000_000);
    life.abort();
    times = 2;
  });

  test("nothing is done by a Node that was not told to let us, nor after the end", async () => {
    const standing = new Standing("1.0.0", Date.now);
    own.gc = undefined;
    tidyAtRest(standing, ends.signal, TIMES);
    own.gc = () => times++;
    const life = new AbortController();
    tidyAtRest(standing, life.signal, TIMES);
    standing.converge({ state: "converged" });
    standing.set({ broker: null });
    life.abort();
    await sleep(150);
    assert.is(times, 2);
  });
});
