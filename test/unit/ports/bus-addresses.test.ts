/** Addresses of brokers as people write them. */
import { connectBus } from "@muster/ports/bus";
import * as assert from "uvu/assert";
import { startNats } from "../../kit/nats.ts";
import { suite } from "../../kit/suite.ts";
import { failure } from "./brokers.ts";

suite("bus port: addresses", (test) => {
  test("addresses that are none are refused with what would be right", async () => {
    for (const address of ["", "a b", "host:0", "host:99999", "http://x", "u:p@x:4222"]) {
      const error = await failure(
        connectBus({ servers: [address], name: "x", inbox_prefix: "_INBOX" }, new AbortController().signal),
      );
      assert.is(error.code, "CONFIG", address);
      assert.match(error.detail, /host:port/);
    }
  });

  test("a bus that lives on asks again where the brokers are", async () => {
    const life = new AbortController();
    const plain = { jetstream: false, tls: false } as const;
    const [first, second] = await Promise.all([startNats(plain), startNats(plain)]);
    let where = [first.address];
    const bus = await connectBus(
      { servers: () => where, name: "x", inbox_prefix: "_INBOX", reconnect_max_ms: 50 },
      life.signal,
    );
    const back = new Promise<string>((resolve) =>
      bus.onStatus((event) => event.type === "reconnected" && resolve(event.server)),
    );
    await first.stop();
    where = [first.address, second.address];
    assert.is(await back, second.address);
    life.abort();
    await second.stop();
  });
});
