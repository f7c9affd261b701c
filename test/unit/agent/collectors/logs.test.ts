/** Log lines of what is declared, from a real journal: only those, in order, bounded, told when dropped; nothing is done where nothing is declared. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { createLogs, type LogsDoor } from "@muster/agent/collectors/logs";
import { LineBuffer } from "@muster/agent/logs/buffer";
import { sourcesOf } from "@muster/agent/logs/shipper";
import { createRunStreamed } from "@muster/agent/ports/index";
import type { Bus } from "@muster/ports/bus";
import { openLog } from "@muster/ports/log";
import { type FleetEvent, Resource } from "@muster/protocol";
import { LOG_BATCH_BYTES, LogBatch, type SentLine } from "@muster/protocol/log";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../../kit/child.ts";
import { eventually } from "../../../kit/eventually.ts";
import { type Journal, noJournal, startJournal } from "../../../kit/journal.ts";
import { suite } from "../../../kit/suite.ts";

const SOON_MS = 20_000;
const line = (text: string): SentLine => ({ at: 1, unit: "a.service", priority: "info", text });
const spec = (given: object) =>
  Resource.parse({ kind: "log", name: "x", spec: given, needs: [] }).spec as never;

suite("lines that wait", (test) => {
  test("the oldest go when there are too many, and are counted until that was sent", () => {
    const buffer = new LineBuffer(1_000);
    const gone = Array.from({ length: 10 }, (_, at) => buffer.push(line(`${at}`.padEnd(80)))).reduce(
      (sum, each) => sum + each,
    );
    assert.is(gone, 5);
    const next = buffer.next();
    assert.equal([next.dropped, next.lines.map(({ text }) => text.trim())], [5, ["5", "6", "7", "8", "9"]]);
    buffer.sent(next);
    assert.ok(buffer.empty);
    assert.equal(buffer.next(), { lines: [], dropped: 0 });
  });

  test("a message is bounded, and one line always fits", () => {
    const buffer = new LineBuffer();
    for (let at = 0; at < 100; at += 1) buffer.push(line("x".repeat(8_192)));
    const { lines } = buffer.next();
    assert.ok(lines.length > 1 && lines.length * 8_192 <= LOG_BATCH_BYTES, `${lines.length}`);
    let sent = 0;
    for (let next = buffer.next(); next.lines.length > 0; next = buffer.next()) {
      sent += next.lines.length + next.dropped;
      buffer.sent(next);
    }
    assert.is(sent, 100);
  });

  test("resources are taken together: a unit by its whole name, as urgent as the least that is wanted of it", () => {
    const many = Array.from({ length: 5 }, (_, at) =>
      spec({ containers: Array.from({ length: 20 }, (__, each) => `c${at}-${each}`) }),
    );
    assert.equal([sourcesOf(many).containers.size, sourcesOf(many).beyond], [64, 36]);
    const { units, containers } = sourcesOf([
      spec({ units: ["bird", "ssh.socket"], priority: "err" }),
      spec({ units: ["bird.service"], containers: ["web", "db"] }),
      spec({ containers: ["web"] }),
    ]);
    assert.equal(
      [[...units], [...containers]],
      [
        [
          ["bird.service", "info"],
          ["ssh.socket", "err"],
        ],
        ["db", "web"],
      ],
    );
  });
});

suite(
  "logs that are sent",
  (test) => {
    const without = noJournal();
    if (without !== null) {
      test.skip("from a real journal", without);
      return;
    }
    let journal: Journal;
    let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
    let agent = new AbortController();
    let running: Promise<void> = Promise.resolve();
    let connected = true;
    let changed = (): void => undefined;
    const bus = {
      get connected() {
        return connected;
      },
      publish(subject: string, body: Uint8Array) {
        assert.is(subject, "log.U1.ixp1");
        batches.push(LogBatch.parse(JSON.parse(Buffer.from(body).toString())));
      },
    } as unknown as Bus;
    const ledger = { state: { resources: {} } };
    const batches: LogBatch[] = [];
    const told: Omit<FleetEvent, "at">[] = [];
    const lines = () => batches.flatMap((batch) => batch.lines);
    const texts = () => lines().map(({ text }) => text);
    const followers = () => {
      const found = execFileSync("pgrep", ["-f", `^journalctl.*--namespace=${journal.namespace}`], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      return found.trim().split("\n").map(Number);
    };
    const noFollower = () => assert.throws(followers);
    const declare = (specs: Readonly<Record<string, object>>) => {
      ledger.state = {
        resources: Object.fromEntries(
          Object.entries(specs).map(([name, given]) => [
            `log/${name}`,
            { resource: Resource.parse({ kind: "log", name, spec: given, needs: [] }) },
          ]),
        ),
      };
      changed();
    };

    const start = () => {
      const run = createRunStreamed();
      const ports = {
        runStreamed: (file: string, args: readonly string[], ...rest: [never, never]) =>
          run(file, [...args, `--namespace=${journal.namespace}`], ...rest),
        ...{ confined: null, now: Date.now, docker: {} },
      } as unknown as LogsDoor["ports"];
      const collector = createLogs({
        ...{
          ports,
          ledger: ledger as unknown as LogsDoor["ledger"],
          file: join(directory.path, "logs.json"),
        },
        log: openLog({ name: "logs-test", level: "silent" }),
        events: { tell: (event) => told.push(event) },
        standing: {
          listen(heard) {
            changed = () => heard({} as never);
          },
        },
        where: () => ({ bus, id: "U1", host: "ixp1" }),
      });
      agent = new AbortController();
      running = collector.run(agent.signal);
    };
    const stop = async () => {
      agent.abort();
      await running;
    };
    test.before(async () => {
      directory = await temporaryDirectory("logs");
      journal = await startJournal();
      start();
    });
    test.after(async () => {
      await stop();
      await journal?.stop();
      await directory.release();
    });
    const write = (unit: string, priority: number, ...all: string[]) =>
      journal.write(all.map((text) => ({ unit, priority, text })));

    test("only lines of declared units come, as urgent as is wanted, with their labels and no others", async () => {
      noFollower();
      await write("bird.service", 3, "from before");
      declare({ routing: { units: ["bird"] }, ssh: { units: ["ssh"], priority: "err" } });
      await eventually(() => assert.is(followers().length, 1), SOON_MS);
      await write("nginx.service", 3, "of nobody");
      await write("ssh.service", 6, "too quiet");
      await write("bird.service", 4, "one", "two caf\u00e9");
      await write("ssh.service", 2, "loud");
      await write("bird.service", 7, "debug");
      await write("bird.service", 6, "last");
      await eventually(() => assert.is(texts().at(-1), "last"), SOON_MS);
      assert.equal(
        lines().map(({ at: _, ...rest }) => rest),
        [
          { unit: "bird.service", priority: "warning", text: "one" },
          { unit: "bird.service", priority: "warning", text: "two caf\u00e9" },
          { unit: "ssh.service", priority: "crit", text: "loud" },
          { unit: "bird.service", priority: "info", text: "last" },
        ],
      );
      assert.ok(lines().every(({ at }) => Math.abs(at - Date.now()) < 60_000));
    });

    test("what was written while journalctl was away comes once when it is there again", async () => {
      batches.length = 0;
      for (const pid of followers()) process.kill(pid, "SIGKILL");
      await write("bird.service", 6, "meanwhile");
      await eventually(() => assert.equal(texts(), ["meanwhile"]), SOON_MS);
      await write("bird.service", 6, "after");
      await eventually(() => assert.equal(texts(), ["meanwhile", "after"]), SOON_MS);
    });

    test("what was written while the agent was away comes after it, and nothing twice", async () => {
      batches.length = 0;
      await stop();
      noFollower();
      await write("bird.service", 6, "without an agent");
      start();
      await eventually(() => assert.equal(texts(), ["without an agent"]), SOON_MS);
      await write("bird.service", 6, "with it");
      await eventually(() => assert.equal(texts(), ["without an agent", "with it"]), SOON_MS);
    });

    test("without a broker lines wait; what is too much is dropped from the old end, counted, and told once", async () => {
      batches.length = 0;
      connected = false;
      const words = Array.from({ length: 1_500 }, (_, at) => `${at} ${"x".repeat(600)}`);
      await write("bird.service", 6, ...words, "end");
      await eventually(() => assert.is(told.length, 1), SOON_MS);
      assert.match(told[0]?.what ?? "", /log lines are dropped/);
      connected = true;
      await eventually(() => assert.is(texts().at(-1), "end"), SOON_MS);
      const dropped = batches.reduce((sum, batch) => sum + batch.dropped, 0);
      assert.is(dropped + lines().length, 1_501);
      assert.ok(dropped > 100, `${dropped} dropped`);
      const numbers = texts().slice(0, -1).map(Number.parseFloat);
      assert.ok(
        numbers.every((number, at) => at === 0 || number > (numbers[at - 1] ?? 0)),
        numbers.join(),
      );
      assert.is(told.length, 1);
    });

    test("what is declared no more is followed no more, leaves no process, and begins anew when it is again", async () => {
      declare({});
      await eventually(noFollower, SOON_MS);
      batches.length = 0;
      await write("bird.service", 6, "to nobody");
      declare({ routing: { units: ["bird"] } });
      await eventually(() => assert.is(followers().length, 1), SOON_MS);
      await write("bird.service", 6, "to somebody");
      await eventually(() => assert.equal(texts(), ["to somebody"]), SOON_MS);
    });
  },
  { limit_ms: 60_000 },
);
