/**
 * What is heard of units over a bus: a real dbus-daemon for the log-in and the calls; signals as systemd sends them from a peer that plays the bus,
 * since no systemd runs beside a test.
 */
import { existsSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { endianness } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { followUnits, pathOf } from "@muster/agent/ports/systemd-signals";
import type { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { startChild, temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { until } from "../resources/private-bird.ts";

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  if (endianness() === "LE") bytes.writeUInt32LE(value);
  else bytes.writeUInt32BE(value);
  return bytes;
};
const text = (value: string) => Buffer.concat([u32(value.length), Buffer.from(`${value}\0`)]);
const pad = (bytes: Buffer, step: number) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & (step - 1))]);

/** PropertiesChanged of a unit as systemd 252 sends it: other properties before and after. */
function changed(unit: string, state: string): Buffer {
  const property = (body: Buffer, name: string, value: string) =>
    Buffer.concat([
      pad(Buffer.concat([pad(body, 8), text(name), Buffer.from("\x01s\0", "latin1")]), 4),
      text(value),
    ]);
  let body = Buffer.concat([text("org.freedesktop.systemd1.Unit"), u32(0)]);
  for (const [name, value] of [
    ["FreezerState", "running"],
    ["ActiveState", state],
    ["SubState", "x"],
  ] as const)
    body = property(body, name, value);
  const field = (code: number, kind: string, value: Buffer) =>
    Buffer.concat([Buffer.from([code, 1, kind.charCodeAt(0), 0]), value]);
  const fields = [
    field(1, "o", text(pathOf(unit))),
    field(2, "s", text("org.freedesktop.DBus.Properties")),
    field(3, "s", text("PropertiesChanged")),
    field(5, "u", u32(7)),
    field(8, "g", Buffer.concat([Buffer.from([8]), Buffer.from("sa{sv}as\0")])),
  ].reduce((all, each) => Buffer.concat([pad(all, 8), each]), Buffer.alloc(0));
  const head = Buffer.from([endianness() === "LE" ? 0x6c : 0x42, 4, 1, 1]);
  return Buffer.concat([
    pad(Buffer.concat([head, u32(body.length), u32(9), u32(fields.length), fields]), 8),
    body,
  ]);
}

suite("units of systemd, followed", (test) => {
  test("names as systemd escapes them in paths", () => {
    assert.is(pathOf("lab-tick.timer"), "/org/freedesktop/systemd1/unit/lab_2dtick_2etimer");
    assert.is(pathOf("1a@é.timer"), "/org/freedesktop/systemd1/unit/_31a_40_c3_a9_2etimer");
  });

  test("a unit that begins or ends is told, one that only ran is not; after a cut the connection is made anew and told", async () => {
    const directory = await temporaryDirectory("bus");
    const path = join(directory.path, "bus");
    const clients: { socket: Socket; said: string }[] = [];
    const server = createServer((socket) => {
      const client = { socket, said: "" };
      socket.on("data", (chunk) => {
        client.said += chunk.toString("latin1");
        if (client.said.startsWith("\0AUTH") && !client.said.includes("BEGIN")) socket.write("OK 00\r\n");
      });
      socket.on("error", () => undefined);
      clients.push(client);
    }).listen(path);
    const life = new AbortController();
    let rung = 0;
    const failed: string[] = [];
    const over = followUnits(
      ["lab-tick.timer"],
      { changed: () => rung++, failed: (error: FleetError) => failed.push(error.message) },
      life.signal,
      path,
    );
    const told = (client: number) =>
      until("it asks", 5_000, async () => /Subscribe/.test(clients[client]?.said ?? ""));
    await told(0);
    assert.match(clients[0]?.said ?? "", /path='\/org\/freedesktop\/systemd1\/unit\/lab_2dtick_2etimer'/);
    const say = async (bytes: Buffer, client = 0) => {
      // In two pieces, as a socket may give it.
      clients[client]?.socket.write(bytes.subarray(0, 21));
      await sleep(20);
      clients[client]?.socket.write(bytes.subarray(21));
    };
    const rings = (count: number) => until(`ring ${count}`, 5_000, async () => rung >= count);
    await say(changed("lab-tick.timer", "active"));
    await rings(1);
    // It ran, and that is all: what is told comes in order, so that the next ring is the next one's.
    await say(changed("lab-tick.timer", "active"));
    await say(changed("lab-tick.timer", "inactive"));
    await rings(2);
    await sleep(50);
    assert.is(rung, 2);
    clients[0]?.socket.destroy();
    await told(1);
    // What came in between is not known.
    await rings(3);
    await say(changed("lab-tick.timer", "active"), 1);
    await rings(4);
    assert.is(rung, 4);
    await say(Buffer.from("no message at all, nothing of the kind"), 1);
    await told(2);
    assert.match(failed.join(), /units are not followed: .*no D-Bus message/);
    life.abort();
    await over;
    server.close();
    await directory.release();
  });

  if (!existsSync("/usr/bin/dbus-daemon"))
    test.skip("a real bus", "there is no dbus-daemon here (package dbus)");
  else
    test("a real bus takes log-in and calls, and what it refuses is told", async () => {
      const directory = await temporaryDirectory("bus");
      const path = join(directory.path, "bus");
      const daemon = startChild("/usr/bin/dbus-daemon", [
        "--session",
        "--nofork",
        `--address=unix:path=${path}`,
      ]);
      await until("the bus is there", 5_000, async () => existsSync(path));
      const life = new AbortController();
      const failed: string[] = [];
      const on = { changed: () => undefined, failed: (error: FleetError) => failed.push(error.message) };
      const over = followUnits(["a.timer"], on, life.signal, path);
      // There is no systemd on this bus: that it says so proves that it read all three calls.
      await until("it is refused", 5_000, async () => failed.length > 0);
      assert.match(failed.join(), /the bus or systemd refused to tell of them/);
      life.abort();
      await over;
      await daemon.stop();
      await directory.release();
    });
});
