/** Where sshd is asked for the host certificate that it shows, and installations that come at once. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInstaller, type InstallDoor, listenersOf } from "@muster/agent/certificates";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
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

  test("certificates that are renewed at once are installed one after the other, the newest last", async ({
    signal,
  }) => {
    const place = await temporaryDirectory("certificates");
    const told: string[] = [];
    let number = 0;
    // What it looks at of an agent with a prefix, which leaves sshd alone.
    const door = {
      config: { prefix: place.path },
      places: { certificates: place.path },
      identity: { tls_pem: "key" },
      trust: { bundle: null },
      credentials: {
        get kept() {
          return { credentials: { service_certificate: `certificate ${number}` } };
        },
      },
      events: { tell: ({ what }: { what: string }) => told.push(what) },
    } as unknown as InstallDoor;
    const install = createInstaller(door, signal);
    await Promise.all(
      Array.from({ length: 20 }, (_, at) => {
        number = at;
        return install();
      }),
    );
    assert.equal(told, []);
    assert.is(await readFile(join(place.path, "service.crt"), "utf8"), "certificate 19");
    await place.release();
  });
});
