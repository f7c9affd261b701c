/** The host's audit on a real broker and a real disk: restart, a line cut in half, a disk that is full, a broker that is away. */
import { execFile } from "node:child_process";
import { appendFile, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { entryOf } from "@muster/ports/audit";
import type { Bus } from "@muster/ports/bus";
import { openLog } from "@muster/ports/log";
import { AuditRecord, ChainCheck, type FleetEvent, hashOfRecord } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { HostAudit } from "../../../packages/agent/src/audit/audit.ts";
import { temporaryDirectory } from "../../kit/child.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { patienceOf } from "../../kit/patience.ts";
import { suite } from "../../kit/suite.ts";

const run = promisify(execFile);
const note = (what: string) =>
  entryOf({
    at: Date.now(),
    kind: "command",
    by: null,
    from: "test",
    what,
    target: "x",
    authority: "operator",
    result: "begun",
  });

async function until(done: () => boolean | Promise<boolean>, limit_ms = 8_000): Promise<void> {
  const patience = patienceOf(limit_ms);
  while (!(await done())) {
    if (patience.over()) throw new Error(`did not happen in ${patience.text()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

suite(
  "host audit",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let reader: Bus;
    let place: Awaited<ReturnType<typeof temporaryDirectory>>;

    /** One agent's audit, with its own identity and files; `stop` as an orderly end. */
    const start = async (directory: string, host: { id: string; bus: Bus } | null, limit_bytes?: number) => {
      const end = new AbortController();
      const events: string[] = [];
      const audit = await HostAudit.open(
        { file: join(directory, "audit.jsonl"), sent: join(directory, "sent.json") },
        {
          id: host?.id ?? "",
          host: () => "ixp1",
          log: openLog({ name: "test", level: "silent" }),
          events: { tell: (event: Omit<FleetEvent, "at">) => void events.push(event.what) },
          now: Date.now,
        },
        limit_bytes,
      );
      let there = true;
      const running = audit.run(() => (there && host !== null ? host : null), end.signal);
      return {
        audit,
        events,
        away: (gone: boolean) => {
          there = !gone;
        },
        async stop() {
          end.abort();
          await running;
        },
      };
    };
    const stored = async (id: string) => {
      const records: { record: AuditRecord; late: boolean }[] = [];
      for await (const message of reader.readAll("AUDIT", `audit.${id}.*`))
        records.push({
          record: AuditRecord.parse(JSON.parse(Buffer.from(message.body).toString())),
          late: message.headers["Muster-Late"] !== undefined,
        });
      return records;
    };
    /** Faults of the stream's copy, its end held against the host's head. */
    const faults = async (id: string, audit: HostAudit) => {
      const check = new ChainCheck(id);
      const found = (await stored(id)).map(({ record }) => check.take(record));
      return [...found, check.end(audit.head, audit.head.waiting)].flatMap((each) =>
        each === null ? [] : [each.what],
      );
    };
    const agent = async (name: string) => {
      const { id, bus } = await fleet.connect("agent", name, life.signal);
      const directory = join(place.path, id);
      await mkdir(directory);
      return { id, bus, directory, file: join(directory, "audit.jsonl") };
    };

    test.before(async () => {
      fleet = await startFleet();
      reader = (await fleet.connect("controller", "c1", life.signal)).bus;
      place = await temporaryDirectory("audit");
    });
    test.after(async () => {
      life.abort();
      await fleet.stop();
      await place.release();
    });

    test("what is to be done is on disk before, private, and then in the stream; the chain goes on after a restart", async () => {
      const host = await agent("ixp1");
      const one = await start(host.directory, host);
      assert.is(await one.audit.before(note("exec")), 2);
      const lines = (await readFile(host.file, "utf8")).trim().split("\n");
      assert.is(AuditRecord.parse(JSON.parse(lines.at(-1) ?? "")).what, "exec");
      assert.is((await stat(host.file)).mode & 0o777, 0o600);
      await until(() => one.audit.head.waiting === 0);
      await one.stop();
      const two = await start(host.directory, host);
      await two.audit.before(note("reboot"));
      await until(() => two.audit.head.waiting === 0);
      const records = await stored(host.id);
      assert.equal(
        records.map(({ record }) => record.what),
        ["start", "exec", "start", "reboot"],
      );
      assert.equal(await faults(host.id, two.audit), []);
      await two.stop();
    });

    test("a line that a crash left half written is cut off and told, and the chain holds", async () => {
      const host = await agent("ixp1");
      const one = await start(host.directory, host);
      await one.audit.before(note("exec"));
      await until(() => one.audit.head.waiting === 0);
      await one.stop();
      await appendFile(host.file, '{"v":1,"seq":3,"wri');
      const two = await start(host.directory, host);
      await two.audit.before(note("exec"));
      await until(() => two.audit.head.waiting === 0);
      assert.equal(await faults(host.id, two.audit), []);
      assert.match((await stored(host.id))[2]?.record.target ?? "", /half written after record 2/);
      assert.match(two.events.join(), /half written/);
      await two.stop();
    });

    test("a record that was changed on the host's disk no longer fits the stream", async () => {
      const host = await agent("ixp1");
      const one = await start(host.directory, host);
      await one.audit.before(note("exec"));
      await until(() => one.audit.head.waiting === 0);
      await one.stop();
      await writeFile(host.file, (await readFile(host.file, "utf8")).replace('"exec"', '"ping"'));
      const two = await start(host.directory, host);
      await two.audit.before(note("reboot"));
      await until(() => two.audit.head.waiting === 0);
      assert.match(
        (await faults(host.id, two.audit)).join(),
        /record 2 is not the one that record 3 follows/,
      );
      await two.stop();
    });

    test("while the broker is away records wait on disk, over a restart too, and come in order and marked late", async () => {
      const host = await agent("ixp1");
      const one = await start(host.directory, null);
      for (let at = 0; at < 30; at++) one.audit.tell({ ...note(`step ${at}`), at: Date.now() - 60_000 });
      await one.audit.before(note("exec"));
      assert.is(one.audit.head.waiting, 32);
      await one.stop();
      // The agent of the outage was told its id only when it came back: here the same files go on.
      await rm(join(host.directory, "sent.json"), { force: true });
      const lines = (await readFile(host.file, "utf8")).trim().split("\n");
      assert.is(lines.length, 32);
      await rm(host.file);
      const two = await start(host.directory, host);
      two.away(true);
      for (let at = 0; at < 30; at++) two.audit.tell({ ...note(`step ${at}`), at: Date.now() - 60_000 });
      await two.audit.before(note("exec"));
      await two.stop();
      const three = await start(host.directory, host);
      await until(() => three.audit.head.waiting === 0);
      const records = await stored(host.id);
      assert.is(records.length, 33);
      assert.ok(records.slice(1, 30).every(({ late }) => late));
      assert.not(records.at(-1)?.late);
      assert.equal(await faults(host.id, three.audit), []);
      await three.stop();
    });

    test("the file stays within its bound; what is pushed out unsent is told and shows as a gap", async () => {
      const host = await agent("ixp1");
      const one = await start(host.directory, host, 4_000);
      await until(() => one.audit.head.waiting === 0);
      one.away(true);
      for (let at = 0; at < 60; at++) await one.audit.before(note(`step ${at}`));
      assert.ok((await stat(host.file)).size + (await stat(`${host.file}.1`)).size < 12_000);
      await one.stop();
      const two = await start(host.directory, host, 4_000);
      await until(() => two.audit.head.waiting === 0);
      assert.match((await faults(host.id, two.audit)).join(), /records 2 to \d+ are missing/);
      assert.match(two.events.join(), /pushed out of the file/);
      await two.stop();
    });

    test("a full disk: the broker's word stands for it, without the broker nothing is done, and it is said", async () => {
      const host = await agent("ixp1");
      const disk = join(place.path, "full");
      await mkdir(disk);
      const mounted = await run("mount", ["-t", "tmpfs", "-o", "size=64k", "none", disk]).then(
        () => true,
        () => false,
      );
      if (!mounted) {
        console.log("no tmpfs can be mounted here: the full disk is not tried");
        return;
      }
      try {
        const one = await start(disk, host);
        await one.audit.before(note("before"));
        await writeFile(join(disk, "filler"), Buffer.alloc(80_000)).catch(() => undefined);
        // What is left of the last page takes some more.
        let seq = 0;
        for (let at = 0; at < 40 && one.events.length === 0; at++)
          seq = await one.audit.before(note("with the broker"));
        assert.match(one.events.join(), /disk takes no audit record/);
        assert.ok((await stored(host.id)).some(({ record }) => record.seq === seq));
        one.away(true);
        const refused = await one.audit.before(note("with nothing")).catch((error: unknown) => error);
        assert.is(refused instanceof FleetError ? refused.code : "done", "UNAUDITED");
        one.away(false);
        await rm(join(disk, "filler"));
        await until(() => one.audit.head.unwritten === 0 && one.audit.head.waiting === 0);
        assert.match(one.events.join(), /takes audit records again/);
        assert.equal(await faults(host.id, one.audit), []);
        const lines = (await readFile(join(disk, "audit.jsonl"), "utf8")).trim().split("\n");
        const newest = AuditRecord.parse(JSON.parse(lines.at(-1) ?? ""));
        assert.is(hashOfRecord(newest), one.audit.head.hash, "the disk has all of it again");
        await one.stop();
      } finally {
        await run("umount", ["-l", disk]);
      }
    });
  },
  { limit_ms: 40_000 },
);
