/** Log lines of what is declared, from a real journal: only those, in order, bounded, told when dropped; nothing is done where nothing is declared. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createLogs, type LogsDoor } from "@muster/agent/collectors/logs";
import { LineBuffer } from "@muster/agent/logs/buffer";
import { LogShipper, type ShipperDoor, sourcesOf } from "@muster/agent/logs/shipper";
import { createRunStreamed } from "@muster/agent/ports/index";
import type { Bus, BusEvent } from "@muster/ports/bus";
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

suite("where logs were left", (test) => {
  const NOW = 1_790_000_000_000;
  const HOUR_MS = 3_600_000;
  const log = openLog({ name: "logs-test", level: "silent" });
  const SOURCES = { units: new Map([["bird.service", "info" as const]]), containers: new Set(["web"]) };
  type Take = (from: "stdout", text: string) => Promise<void>;

  /** How a shipper asks the journal and Docker that finds this file; `of_journal` is then the journal's word. */
  async function asking(left: object | null, of_journal = async (_: Take) => {}) {
    const directory = await temporaryDirectory("left");
    const file = join(directory.path, "logs.json");
    if (left !== null) writeFileSync(file, JSON.stringify(left));
    const life = new AbortController();
    const asked: { journal: string[]; web: number | null } = { journal: [], web: null };
    const sent: string[] = [];
    const ended = (signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    const ports = {
      ...{ confined: null, now: () => NOW },
      async runStreamed(_: string, args: string[], { on_output }: { on_output: Take }, signal: AbortSignal) {
        asked.journal = args.filter((each) => /^--(since|after-cursor)=/.test(each));
        await of_journal(on_output);
        await ended(signal);
        return { code: 0, ended_by: null };
      },
      docker: {
        async logs(_: string, { since }: { since: number }, __: unknown, signal: AbortSignal) {
          asked.web = since;
          await ended(signal);
        },
      },
    } as unknown as ShipperDoor["ports"];
    const shipper = new LogShipper(
      {
        ...{ ports, log, file, tell: () => undefined },
        send(batch) {
          sent.push(...batch.lines.map(({ text }) => text));
          return true;
        },
      },
      life.signal,
    );
    const running = shipper.run(life.signal);
    const end = async () => {
      life.abort();
      await running;
      await directory.release();
    };
    return { shipper, asked, sent, end };
  }

  test("what counts is the age of what was read last, by the journal's cursor and each container's own time; a clock that was ahead loses nothing", async () => {
    const cases: [string, object | null, string[], number][] = [
      ["nothing was kept", null, [`--since=@${NOW / 1_000}.000`], NOW],
      [
        "away for minutes",
        { at: NOW - 60_000, cursor: "C", containers: { web: NOW - 60_000 } },
        ["--after-cursor=C"],
        NOW - 60_000,
      ],
      [
        // Of a quiet unit nothing had come for hours: what did not come since is not older for that.
        "long ago",
        { at: NOW - 5 * HOUR_MS, cursor: "C", containers: { web: NOW - 5 * HOUR_MS } },
        [`--since=@${(NOW - HOUR_MS) / 1_000}.000`],
        NOW - HOUR_MS,
      ],
      [
        "while the clock was ahead",
        { at: NOW + 9 * HOUR_MS, cursor: "C", containers: { web: NOW + 9 * HOUR_MS } },
        ["--after-cursor=C"],
        NOW,
      ],
    ];
    for (const [what, left, journal, web] of cases) {
      const { shipper, asked, end } = await asking(left);
      shipper.declare(SOURCES);
      assert.equal([what, asked], [what, { journal, web }]);
      await end();
    }
  });

  test("a follower that is ended takes no line more, and does not say where it is", async () => {
    const entry = (text: string) =>
      `${JSON.stringify({ __REALTIME_TIMESTAMP: `${NOW}000`, __CURSOR: text, MESSAGE: text, _SYSTEMD_UNIT: "bird.service" })}\n`;
    const { shipper, asked, sent, end } = await asking(null, async (take) => {
      if (sent.length > 0) return;
      await take("stdout", entry("first"));
      shipper.declare({ units: new Map(), containers: new Set() });
      await take("stdout", entry("late"));
    });
    shipper.declare({ units: SOURCES.units, containers: new Set() });
    await eventually(() => assert.ok(sent.length > 0), SOON_MS);
    shipper.declare({ units: new Map([["ssh.service", "info"]]), containers: new Set() });
    assert.equal(asked.journal, [`--since=@${NOW / 1_000}.000`]);
    await end();
    assert.equal(sent, ["first"]);
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
    let hear = (_: BusEvent): void => undefined;
    const bus = {
      get connected() {
        return connected;
      },
      onStatus(listener: typeof hear) {
        hear = listener;
        return () => undefined;
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
      await eventually(noFollower, SOON_MS);
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
      // How many depends on how far the journal was read when the broker came back.
      assert.ok(dropped > 0, "nothing is dropped");
      const numbers = texts().slice(0, -1).map(Number.parseFloat);
      assert.ok(
        numbers.every((number, at) => at === 0 || number > (numbers[at - 1] ?? 0)),
        numbers.join(),
      );
      assert.is(told.length, 1);
    });

    test("that the broker refuses lines, as in a fleet from before, is told once", async () => {
      told.length = 0;
      await write("bird.service", 6, "refused");
      await eventually(() => assert.is(texts().at(-1), "refused"), SOON_MS);
      for (const subject of ["event.U1.ixp1.host", "log.U1.ixp1", "log.U1.ixp1"])
        hear({ type: "denied", operation: "publish", subject });
      assert.equal(
        told.map(({ what }) => what),
        [
          "the broker refuses this host's log lines: this fleet's account is from before them; type the ctl init line again",
        ],
      );
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
