/** The audit outside: into a file and to a real rsyslog, over UDP and TLS, through a restart of the receiver; what is missing comes later, and in order. */
// limit: 90 s

import { createSocket } from "node:dgram";
import { chmod, mkdir, readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { exportAudit } from "@muster/controller/audit/export";
import { syslog } from "@muster/controller/audit/syslog";
import { Audit } from "@muster/controller/audit/writer";
import { Storage } from "@muster/controller/records/storage";
import { entryOf } from "@muster/ports/audit";
import type { Bus } from "@muster/ports/bus";
import { openLog } from "@muster/ports/log";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { patienceOf } from "../../kit/patience.ts";
import { startRsyslog } from "../../kit/rsyslog.ts";
import { suite } from "../../kit/suite.ts";

const log = openLog({ name: "test", level: "silent" });
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "muster", "rsyslog");

async function until<T>(ask: () => Promise<T>, good: (value: T) => boolean, limit_ms = 10_000): Promise<T> {
  for (const patience = patienceOf(limit_ms); ; ) {
    const value = await ask();
    if (good(value)) return value;
    if (patience.over()) throw new Error(`not in ${patience.text()}: ${JSON.stringify(value).slice(0, 800)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

suite(
  "audit export",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let bus: Bus;
    let audit: Audit;
    let place: Awaited<ReturnType<typeof temporaryDirectory>>;
    let written = 0;

    const write = async (count: number) => {
      for (let at = 0; at < count; at++)
        await audit.before(
          entryOf({
            at: Date.now(),
            kind: "act",
            by: null,
            from: "test",
            what: "step",
            target: `number ${++written}`,
            authority: "operator",
            result: written % 2 === 0 ? "done" : "failed",
          }),
        );
    };
    /** Runs an export until `done` says so, then ends it as a controller that stops. */
    const during = async (
      targets: Parameters<typeof exportAudit>[0],
      name: string,
      done: () => Promise<unknown>,
    ) => {
      const ends = new AbortController();
      const running = exportAudit(targets, { bus, name, log }, ends.signal);
      try {
        await done();
      } finally {
        ends.abort();
        await running;
      }
    };

    test.before(async () => {
      fleet = await startFleet();
      const { id, bus: own } = await fleet.connect("controller", "c1", life.signal);
      bus = own;
      audit = new Audit({ bus, id, name: "c1", log, now: Date.now, storage: new Storage(Date.now) });
      place = await temporaryDirectory("export");
    });
    test.after(async () => {
      life.abort();
      await fleet.stop();
      await place.release();
    });

    test("into a file: as it is written, goes on after a restart, and waits for a disk that takes nothing", async () => {
      const file = join(place.path, "out", "audit.jsonl");
      // What stands behind the last line's end is still being written.
      const lines = async () =>
        (await readFile(file, "utf8").catch(() => ""))
          .split("\n")
          .slice(0, -1)
          .map((line) => JSON.parse(line));
      await during({ file }, "f", async () => {
        await write(3);
        await until(lines, (all) => all.length === 3);
      });
      await write(2);
      await during({ file }, "f", async () => {
        await until(lines, (all) => all.length === 5);
        assert.is((await stat(file)).mode & 0o777, 0o600);
        // A directory in its place: nothing can be appended.
        await rm(file);
        await mkdir(file);
        await write(1);
        await rm(file, { recursive: true });
        const rest = await until(lines, (all) => all.length === 1, 12_000);
        assert.is(rest[0].record.target, "number 6");
      });
      await chmod(file, 0o600);
    });

    for (const transport of ["udp", "tls"] as const) {
      test(`to a real rsyslog over ${transport}`, async () => {
        const server = await startRsyslog(transport, join(place.path, transport), CACHE);
        if ("why" in server) {
          console.log(`  not tried: ${server.why}`);
          return;
        }
        const before = written;
        const target = {
          transport,
          host: "127.0.0.1",
          port: server.port,
          ...(transport === "tls" ? { ca: server.ca_file } : {}),
        };
        try {
          await during({ syslog: target }, transport, async () => {
            await write(3);
            const got = await until(server.received, (all) => all.length >= before + 3);
            assert.match(got.at(-1) ?? "", /^10[0-9]|^11[0-9]/);
            const newest = got.find((line) => line.includes(`number ${written}"`)) ?? "";
            assert.match(newest, /^1(08|10) \d{4}-\d\d-\d\dT.* c1 muster act /);
            const json = JSON.parse(newest.slice(newest.indexOf("{")));
            assert.is(json.record.seq, written);
            if (transport === "udp") return;
            await server.halt();
            await write(2);
            await server.start();
            await write(1);
            await until(
              server.received,
              (all) =>
                [2, 1, 0].every((back) => all.some((line) => line.includes(`number ${written - back}"`))),
              20_000,
            );
          });
        } finally {
          await server.halt();
        }
      });
    }

    test("to a unix socket: length and message, one after the other", async () => {
      const path = join(place.path, "syslog.sock");
      let text = "";
      const server = createServer((socket) => socket.on("data", (data) => (text += data.toString())));
      await new Promise<void>((resolve) => server.listen(path, resolve));
      await during({ syslog: { transport: "unix", path } }, "unix", async () => {
        await write(1);
        await until(
          async () => text,
          (all) => all.includes(`number ${written}"`),
        );
      });
      server.close();
      for (let rest = Buffer.from(text); rest.length > 0; ) {
        const space = rest.indexOf(32);
        const length = Number(rest.subarray(0, space).toString());
        assert.match(rest.subarray(space + 1, space + 1 + length).toString(), /^<1(08|10)>1 .*\}$/);
        rest = rest.subarray(space + 1 + length);
      }
    });
  },
  { limit_ms: 45_000 },
);

suite("the audit in datagrams", (test) => {
  test("what is too large for one goes without its content, and holds up nothing", async ({ signal }) => {
    const receiver = createSocket("udp4");
    const received: string[] = [];
    receiver.on("message", (message) => received.push(message.toString()));
    await new Promise<void>((resolve) => receiver.bind(0, "127.0.0.1", resolve));
    signal.addEventListener("abort", () => receiver.close());
    const stored = (seq: number, body: string) => ({
      ...{
        seq,
        body: Buffer.from(body),
        subject: "audit.X.command",
        headers: {},
        stored_at: 1_795_000_000_000,
      },
    });
    const sink = syslog({ transport: "udp", host: "127.0.0.1", port: receiver.address().port });
    await sink.give([stored(1, "x".repeat(900_000)), stored(2, "small")]);
    await eventually(() => assert.is(received.length, 2));
    assert.match(received[0] ?? "", /"at":1,.*"record":"900000 bytes, too large for UDP/);
    assert.match(received[1] ?? "", /"at":2,.*"record":"small"/);
  });
});
