/** Addresses of brokers as people write them. */
import { connectBus } from "@muster/ports/bus";
import * as assert from "uvu/assert";
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
});
