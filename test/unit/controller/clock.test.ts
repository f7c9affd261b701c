/** A controller whose clock is set, or is another than the broker's: nobody falls silent for it, and nobody who is gone looks heard. */
import { openLog } from "@muster/ports/log";
import { type FleetEvent, subjects, watched } from "@muster/protocol";
import { SILENT_AFTER_MS } from "@muster/protocol/telemetry/convergence";
import * as assert from "uvu/assert";
import { watchSilence } from "../../../packages/controller/src/duties.ts";
import { LastValues } from "../../../packages/controller/src/telemetry/last.ts";
import { SETTLING_MS, Silence } from "../../../packages/controller/src/telemetry/silence.ts";
import { eventually } from "../../kit/eventually.ts";
import { suite } from "../../kit/suite.ts";

const HOUR_MS = 3_600_000;
const LOOK_MS = 5;

suite("a controller's clock", (test) => {
  const ids: Readonly<Record<string, string>> = {
    core1: `U${"A".repeat(55)}`,
    ixp1: `U${"B".repeat(55)}`,
  };
  const records = {
    names: () => Object.keys(ids),
    byName: (name: string) => ({ id: ids[name], state: "enrolled" }),
  } as never;
  const subject = (host: string) => subjects.telemetry(ids[host] ?? "", host, "convergence");
  const said = (generation: number) => Buffer.from(JSON.stringify({ ...watched(1, "0.1.0"), generation }));

  /** A controller that leads and listens, by a clock that the test sets. */
  const controller = (signal: AbortSignal) => {
    const world = { now_ms: 1_800_000_000_000, passed_ms: 0, looks: 0 };
    const last = new LastValues(records);
    const silence = new Silence();
    const told: string[] = [];
    const hear = (host: string, generation = 1) =>
      last.take(subject(host), said(generation), world.now_ms).result;
    const now = () => {
      world.looks += 1;
      return world.now_ms;
    };
    const looked = async () => {
      const until = world.looks + 2;
      await eventually(() => assert.ok(world.looks >= until, `${world.looks} looks of ${until}`), 20_000);
    };
    /** Time goes by, in steps that a clock takes; those who live speak. */
    const pass = async (ms: number, ...living: string[]) => {
      for (let gone = 0; gone < ms; gone += 5_000) {
        world.now_ms += 5_000;
        world.passed_ms += 5_000;
        for (const host of living) hear(host);
        await looked();
      }
    };
    const emit = (event: Omit<FleetEvent, "at"> & { host: string }) => {
      told.push(`${event.host} ${event.what.split(" ")[0]}`);
    };
    const log = openLog({ name: "test", level: "silent" });
    silence.listening(world.now_ms);
    const run = () => {
      const ports = { records, last, silence, engine: { leading: true }, events: { emit }, log, now };
      void watchSilence(ports as never, signal, LOOK_MS, () => world.passed_ms);
    };
    const silents = () => Object.keys(ids).filter((host) => last.isSilent(host, world.now_ms));
    return { world, last, silence, told, hear, run, looked, pass, silents };
  };

  for (const [name, by_ms] of [
    ["forwards", HOUR_MS],
    ["backwards", -HOUR_MS],
  ] as const)
    test(`set ${name} by an hour: nobody falls silent for it, and who falls silent then is told in his time`, async ({
      signal,
    }) => {
      const { world, last, silence, told, hear, run, looked, pass, silents } = controller(signal);
      for (const host of Object.keys(ids)) hear(host);
      run();
      await pass(10_000, "core1", "ixp1");
      world.now_ms += by_ms;
      await looked();
      assert.equal(silents(), [], "nobody");
      assert.equal(told, []);
      assert.ok((last.heardAt("core1") ?? 0) <= world.now_ms, "nobody is heard in time to come");

      await pass(SILENT_AFTER_MS + 10_000, "core1");
      assert.equal(silents(), ["ixp1"], "it said nothing since");
      await pass(10_000, "core1");
      assert.is(silence.hearing(world.now_ms), "well", "it has listened long enough by the new clock");
      assert.equal(told, ["ixp1 silent"]);
      assert.is(hear("ixp1", 2), "changed", "what is heard is taken, whatever the clock says");
      assert.is(last.convergence("ixp1").sample?.generation, 2);
      assert.equal(silents(), []);
    });

  test("a process that stood still: nobody falls silent for it, and nobody is taken for heard then", async ({
    signal,
  }) => {
    const { world, last, told, hear, run, looked, pass } = controller(signal);
    for (const host of Object.keys(ids)) hear(host);
    run();
    await pass(10_000, "core1", "ixp1");
    const heard_at = last.heardAt("ixp1");
    world.now_ms += HOUR_MS;
    world.passed_ms += HOUR_MS;
    await looked();
    assert.is(last.heardAt("ixp1"), heard_at, "the clock was right all the time");
    assert.equal(told, [], "what was said meanwhile is still to be read");
    await pass(SETTLING_MS + 10_000, "core1");
    assert.equal(told, ["ixp1 silent"]);
  });

  test("a process that stood still for seconds after hosts had been quiet for a beat: nobody falls silent for it", async ({
    signal,
  }) => {
    const { world, told, hear, run, looked, pass } = controller(signal);
    for (const host of Object.keys(ids)) hear(host);
    run();
    // It has listened long enough.
    await pass(30_000, "core1", "ixp1");
    await pass(5_000);
    for (const still_ms of [9_500, 6_000]) {
      world.now_ms += still_ms;
      world.passed_ms += still_ms;
      await looked();
      assert.equal(told, [], `after ${still_ms} ms`);
      for (const host of Object.keys(ids)) hear(host);
      await pass(30_000, "core1", "ixp1");
    }
    await pass(40_000, "core1");
    assert.equal(told, ["ixp1 silent"]);
  });

  test("behind the broker's: what is heard counts, not what is stored with a later time", async () => {
    const now_ms = 1_800_000_000_000;
    const last = new LastValues(records);
    await last.load({
      async *readAll() {
        yield {
          ...{ subject: subject("core1"), body: said(1), headers: {}, seq: 1 },
          stored_at: now_ms + HOUR_MS,
        };
      },
    } as never);
    assert.is(last.take(subject("core1"), said(2), now_ms).result, "changed");
    assert.is(last.convergence("core1").sample?.generation, 2);
    assert.is(last.isSilent("core1", now_ms + SILENT_AFTER_MS), false);
    assert.is(last.isSilent("core1", now_ms + SILENT_AFTER_MS + 1), true);
  });
});
