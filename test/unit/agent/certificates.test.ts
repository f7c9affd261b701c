/** Where sshd is asked for the host certificate that it shows. */
import * as assert from "uvu/assert";
import { listenersOf } from "../../../packages/agent/src/certificates.ts";
import { suite } from "../../kit/suite.ts";

suite("certificates", (test) => {
  test("wildcards are asked on loopback, addresses where they are, each with its port", () => {
    const settings =
      "port 22\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:22\nlistenaddress 198.51.100.1:2222\nlistenaddress [2001:db8::1]:22\nusepam yes\n";
    assert.equal(listenersOf(settings), [
      { address: "::1", port: "22" },
      { address: "127.0.0.1", port: "22" },
      { address: "198.51.100.1", port: "2222" },
      { address: "2001:db8::1", port: "22" },
    ]);
  });
});
