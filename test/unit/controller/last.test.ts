/** Last values of a controller that starts while the broker still writes down what hosts told before. */
import { callController } from "@muster/ports/call";
import { subjects, verifierOf, watched } from "@muster/protocol";
import * as assert from "uvu/assert";
import { startController } from "../../kit/controller.ts";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { makeHost, type TestHost } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";

/** More than this broker stores in the time in which a controller starts; less than it lets wait for a stream (10,000). */
const TOLD = 2_000;

suite(
  "last values at the start",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let core1: TestHost;
    test.before(async () => {
      fleet = await startFleet();
      const { bus } = await fleet.connect("controller", "setup", life.signal);
      core1 = await makeHost(fleet, "core1", bus, verifierOf(fleet.bundle), life.signal);
    });
    test.after(async () => {
      life.abort();
      await fleet.stop();
    });

    test("what was told before it listened, and was stored after it had read, is there all the same", async () => {
      const subject = subjects.telemetry(core1.id, "core1", "convergence");
      for (let generation = 1; generation <= TOLD; generation++) {
        const said = { ...watched(Date.now(), "0.1.0"), generation };
        core1.bus.publish(subject, Buffer.from(JSON.stringify(said)));
      }
      await core1.bus.roundTrip();
      const controller = await startController(fleet);
      try {
        const { bus } = await fleet.connect("viewer", "vera", life.signal);
        const caller = { bus, signer: await fleet.person("vera", "viewer"), now: Date.now };
        const newest = async () => {
          const { values } = await callController(caller, "last", {
            kind: "convergence",
            after: null,
            limit: 1,
          });
          return (values[0]?.sample as { generation?: number } | undefined)?.generation;
        };
        console.log(`  at first it has number ${await newest()} of ${TOLD}`);
        await eventually(async () => assert.is(await newest(), TOLD), 40_000);
      } finally {
        await controller.stop();
      }
    });
  },
  { limit_ms: 60_000 },
);
