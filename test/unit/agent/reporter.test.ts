/** That a host is heard: over a real broker, by a controller's right. */
import { setTimeout as sleep } from "node:timers/promises";
import { report, Voice } from "@muster/agent/reporter";
import { Standing } from "@muster/agent/standing";
import { openLog } from "@muster/ports/log";
import { BEAT_MS, CONVERGENCE_PERIOD_MS } from "@muster/protocol/telemetry/convergence";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { suite } from "../../kit/suite.ts";

const HOUR_MS = 3_600_000;
const log = openLog({ name: "test", level: "silent" });

suite(
  "reporter",
  (test) => {
    let fleet: TestFleet;
    test.before(async () => {
      fleet = await startFleet();
    });
    test.after(() => fleet.stop());

    const begin = async (signal: AbortSignal, systemd: { notify(): Promise<unknown> }) => {
      const { bus: controller } = await fleet.connect("controller", "one", signal);
      const { bus, id } = await fleet.connect("agent", "core1", signal);
      const heard: string[] = [];
      controller.subscribe(`telemetry.${id}.core1.*`, {}, ({ body }) => {
        heard.push(JSON.parse(Buffer.from(body).toString()).state);
      });
      await controller.roundTrip();
      const standing = new Standing("0.1.0", Date.now);
      const life = new AbortController();
      const status_file = `${(await temporaryDirectory("reporter")).path}/status.json`;
      // The period of ten seconds is longer than what is waited for here, on a machine that is not slow.
      const voice = new Voice(100);
      const done = report(
        standing,
        () => ({ bus, id, host: "core1" }),
        { systemd, status_file, log, now: Date.now, voice } as never,
        AbortSignal.any([signal, life.signal]),
      );
      return {
        ...{ standing, heard },
        async stop() {
          life.abort();
          await done;
        },
      };
    };

    test("a host that has nothing else to tell says that it is there, before its period is over; and at once what changed", async ({
      signal,
    }) => {
      const { standing, heard, stop } = await begin(signal, { notify: async () => undefined });
      await eventually(() => assert.ok(heard.length >= 4, String(heard.length)), 3_000);
      standing.converge({ state: "failed" });
      await eventually(() => assert.is(heard.at(-1), "failed"), 3_000);
      await stop();
    });

    test("it is heard while it waits for systemd or a disk", async ({ signal }) => {
      let goOn = () => {};
      const waits = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      const { heard, stop } = await begin(signal, { notify: () => waits });
      await eventually(() => assert.ok(heard.length >= 4, String(heard.length)), 3_000);
      goOn();
      await stop();
    });

    test("whatever it tells says that it is there, and where it stands is told once a period", async ({
      signal,
    }) => {
      const { bus, id } = await fleet.connect("agent", "core1", signal);
      const where = { bus, id, host: "core1" };
      const voice = new Voice();
      assert.is(voice.publish(null, "convergence", {}, log), false);
      assert.is(voice.due_ms, Number.NEGATIVE_INFINITY, "what was not sent was not told");
      voice.publish(where, "health", {}, log);
      assert.is(voice.due_ms, Number.NEGATIVE_INFINITY, "nobody knows yet where it stands");
      voice.publish(where, "convergence", {}, log);
      const [due_ms, now_ms] = [voice.due_ms, performance.now()];
      assert.ok(due_ms <= now_ms + BEAT_MS, `${due_ms - now_ms}`);
      await sleep(20);
      voice.publish(where, "health", {}, log);
      assert.ok(voice.due_ms > due_ms);
      const talker = new Voice(HOUR_MS);
      talker.publish(where, "convergence", {}, log);
      const period_ms = talker.due_ms;
      assert.ok(period_ms <= performance.now() + CONVERGENCE_PERIOD_MS);
      talker.publish(where, "health", {}, log);
      assert.is(talker.due_ms, period_ms);
    });
  },
  { limit_ms: 40_000 },
);
