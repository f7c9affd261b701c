/** The test fleet itself: roles connect, the sentinel lands in ENROL, streams hold, keys live as long as they should. */
import { setTimeout as sleep } from "node:timers/promises";
import { FleetError, openFirstBundle } from "@muster/protocol";
import * as assert from "uvu/assert";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { suite } from "../../kit/suite.ts";

const text = (value: string) => Buffer.from(value);

suite(
  "test fleet",
  (test) => {
    let fleet: TestFleet;
    test.before(async () => {
      fleet = await startFleet();
    });
    test.after(async () => {
      await fleet.stop();
    });

    test("a request without credentials reaches a controller, with the server's word on where it came from", async ({
      signal,
    }) => {
      const { bus } = await fleet.connect("controller", "one", signal);
      bus.subscribe("enrol.*", { queue: "controllers" }, (message) => {
        const info = JSON.parse(message.headers["Nats-Request-Info"] ?? "{}");
        bus.respond(message, text(info.host ?? "none"));
      });
      await bus.roundTrip();
      const machine = await fleet.anonymous(signal);
      const answer = await machine.request("enrol.hello", text("{}"), {
        timeout_ms: 20_000,
        headers: { "Nats-Request-Info": '{"host":"9.9.9.9"}' },
      });
      assert.is(Buffer.from(answer.body).toString(), "127.0.0.1");
    });

    test("the bundle fits the anchor", async ({ signal }) => {
      const { bus } = await fleet.connect("controller", "one", signal);
      const kept = await bus.directGet("TRUST", "trust");
      assert.ok(kept);
      const bundle = openFirstBundle(kept, fleet.anchor, fleet.broker_ca.certificate_pem);
      assert.is(bundle.version, 1);
    });

    test("keys go by themselves, and a newer life replaces the older", async ({ signal }) => {
      const { bus } = await fleet.connect("controller", "one", signal);
      const kv = bus.kv("fleet");
      const first = await kv.create("lease", text("a"), { ttl_s: 4 });
      const second = await kv.update("lease", text("b"), first, { ttl_s: 10 });
      await sleep(4_500);
      assert.is((await kv.get("lease"))?.revision, second);
      await eventually(async () => assert.is(await kv.get("lease"), null), 15_000);
      await kv.create("lease", text("c"), { ttl_s: 1 });
    });

    test("events are read from a time on", async ({ signal }) => {
      const { bus, id } = await fleet.connect("controller", "one", signal);
      for (const word of ["one", "two"]) await bus.publishStored(`event.${id}.a.host`, text(word));
      await sleep(20);
      const from_time_ms = Date.now();
      await sleep(20);
      await bus.publishStored(`event.${id}.b.host`, text("other"));
      for (const word of ["three", "four"]) await bus.publishStored(`event.${id}.a.host`, text(word));
      const words: string[] = [];
      for await (const message of bus.readAll("EVENT", "event.*.a.*", { from_time_ms, batch: 1 }))
        words.push(Buffer.from(message.body).toString());
      assert.equal(words, ["three", "four"]);
      for await (const message of bus.readAll("EVENT", "event.>", { from_time_ms: Date.now() + 1_000 }))
        assert.unreachable(message.subject);
    });

    test("an agent has only its own subjects", async ({ signal }) => {
      const { bus, id } = await fleet.connect("agent", "core1", signal);
      await bus.publishStored(`telemetry.${id}.core1.health`, text("{}"));
      await bus
        .publishStored(`telemetry.${id}.core2.health`, text("{}"), { timeout_ms: 10_000 })
        .then(() => assert.unreachable("forged telemetry was taken"))
        .catch((error) => assert.is(error instanceof FleetError && error.code, "BUS_DENIED"));
    });
  },
  { limit_ms: 20_000 },
);
