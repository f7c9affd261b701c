/** Events of a host: what a broker cannot take yet waits, in order, and is told once. */
import { join } from "node:path";
import { openEvents } from "@muster/agent/events";
import { openLog } from "@muster/ports/log";
import { FleetEvent, parseJson, STREAMS } from "@muster/protocol";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
import { eventually } from "../../kit/eventually.ts";
import { makeStream, startFleet, type TestFleet } from "../../kit/fleet.ts";
import { suite } from "../../kit/suite.ts";

const EVENT = STREAMS.find(({ name }) => name === "EVENT");

suite("events of a host", (test) => {
  const life = new AbortController();
  let fleet: TestFleet;
  let place: Awaited<ReturnType<typeof temporaryDirectory>>;
  test.before(async () => {
    fleet = await startFleet();
    place = await temporaryDirectory("events");
  });
  test.after(async () => {
    life.abort();
    await fleet.stop();
    await place.release();
  });

  test("a broker that has no stream yet loses none", async ({ signal }) => {
    assert.ok(EVENT);
    const setup = await fleet.setup(signal);
    const { bus, id } = await fleet.connect("agent", "core1", signal);
    const log = openLog({ name: "agent", level: "silent" });
    const files = { log: join(place.path, "events.log"), spool: join(place.path, "spool.json") };
    const where = () => ({ bus, id, host: "core1" });
    const events = await openEvents(files, where, log, Date.now, () => false);
    const running = events.run(life.signal);
    await setup.request("$JS.API.STREAM.DELETE.EVENT", new Uint8Array(), { timeout_ms: 5_000 });
    for (const what of ["one", "two", "three"]) events.tell({ kind: "drift", severity: "info", what });
    // Longer than the first try, which nobody takes.
    await eventually(async () => {
      const spooled = await bus
        .request(`event.${id}.core1.drift`, new Uint8Array(), { timeout_ms: 500 })
        .then(
          () => "taken",
          (error: { code?: string }) => error.code,
        );
      assert.is(spooled, "NO_RESPONDER");
    });
    await makeStream(setup, EVENT);
    await eventually(async () => {
      const { bus: reader } = await fleet.connect("controller", "reader", signal);
      const told: string[] = [];
      for await (const message of reader.readAll("EVENT", `event.${id}.>`))
        told.push(parseJson(FleetEvent, message.body, "event").what);
      await reader.close();
      assert.equal(told, ["one", "two", "three"]);
    }, 8_000);
    life.abort();
    await running;
  });
});
