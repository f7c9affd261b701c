// limit: 240 s
/** Log lines from a host over the bus through a whole controller to what speaks Loki's push API: with their labels, in order, again when it was away, bounded and told. */

import { type LokiPorts, LokiPush, streamsOf } from "@muster/controller/monitoring/loki";
import { LineQueue } from "@muster/controller/monitoring/queue";
import { HostRecords } from "@muster/controller/records/hosts";
import type { Bus } from "@muster/ports/bus";
import { callController } from "@muster/ports/call";
import { openLog } from "@muster/ports/log";
import { createNkey, type HostRecord, seal, storeEnvelope, subjects } from "@muster/protocol";
import { ALERTING_SUBJECT, type Alerting } from "@muster/protocol/alerting";
import type { LogBatch, SentLine } from "@muster/protocol/log";
import { Loki } from "@muster/protocol/monitoring";
import * as assert from "uvu/assert";
import { startController, type TestController } from "../../../kit/controller.ts";
import { eventually } from "../../../kit/eventually.ts";
import { SSH_PUBLIC_KEY, startFleet, type TestFleet } from "../../../kit/fleet.ts";
import { type LokiReceiver, lokiReceiver } from "../../../kit/loki.ts";
import { suite } from "../../../kit/suite.ts";

/** A look of the leader is 2 s, and the machine may be busy. */
const SOON_MS = 40_000;
const CANARY = "s3cret-canary-of-loki";
const AT = Date.now();
const line = (text: string, more: Partial<SentLine> = {}): SentLine => ({
  ...{ at: AT, unit: "bird.service", priority: "info", text },
  ...more,
});

suite("streams of Loki", (test) => {
  test("one a host, source and priority; lines of one millisecond keep their order and their number", () => {
    const queued = [
      line("one"),
      line("one"),
      line("loud", { priority: "err" }),
      line("later", { at: AT + 1 }),
    ].map((each) => ({ host: "ixp1", line: each }));
    const web: SentLine = { at: AT, container: "web", priority: null, text: "GET /" };
    const labels = { job: "muster", fleet: "lab", host: "ixp1", site: "ams" };
    assert.equal(streamsOf([...queued, { host: "ixp1", line: web }], "lab", { site: "ams", job: "mine" }), [
      {
        stream: { ...labels, unit: "bird.service", priority: "info" },
        values: [
          [`${AT}000000`, "one"],
          [`${AT}000001`, "one"],
          [`${AT + 1}000000`, "later"],
        ],
      },
      { stream: { ...labels, unit: "bird.service", priority: "err" }, values: [[`${AT}000000`, "loud"]] },
      { stream: { ...labels, container: "web" }, values: [[`${AT}000000`, "GET /"]] },
    ]);
  });
});

suite("lines that wait for Loki", (test) => {
  const long = (name: string) => line(name.padEnd(900));
  const names = (queue: LineQueue, host: string) =>
    queue
      .take(Number.POSITIVE_INFINITY)
      .flatMap((each) => (each.host === host ? [each.line.text.trim()] : []));

  test("one host that is loud costs the others no line; of its own the oldest go", () => {
    const queue = new LineQueue(100_000);
    let gone = 0;
    for (let at = 0; at < 10; at += 1) gone += queue.put({ host: "quiet", line: long(`${at}`) });
    for (let at = 0; at < 1_000; at += 1) gone += queue.put({ host: "loud", line: long(`${at}`) });
    assert.ok(queue.bytes <= 100_000 && queue.bytes > 80_000, `${queue.bytes}`);
    assert.is(queue.length + gone, 1_010);
    const taken = queue.take(Number.POSITIVE_INFINITY);
    queue.putBack(taken);
    assert.is(queue.length, taken.length);
    assert.is(names(queue, "quiet").length, 10);
    queue.putBack(taken);
    const loud = names(queue, "loud").map(Number);
    assert.equal(
      loud,
      Array.from({ length: loud.length }, (_, at) => 1_000 - loud.length + at),
    );
    assert.equal([queue.length, queue.bytes], [0, 0]);
  });

  test("what many take too much of is shared alike", () => {
    const queue = new LineQueue(100_000);
    for (let at = 0; at < 200; at += 1)
      for (const host of ["a", "b", "c", "d"]) queue.put({ host, line: long(`${at}`) });
    const taken = queue.take(Number.POSITIVE_INFINITY);
    for (const host of ["a", "b", "c", "d"]) {
      const count = taken.filter((each) => each.host === host).length;
      assert.ok(count >= 20 && count <= 26, `${host} has ${count}`);
    }
  });
});

suite(
  "a Loki that is pushed to",
  (test) => {
    const log = openLog({ name: "loki-test", level: "silent" });
    /** A push of its own, whose host is `ixp1` with id `U1`. */
    async function pushing(receiver: LokiReceiver, given: object = {}) {
      let hear: (message: { subject: string; body: Uint8Array }) => unknown = () => undefined;
      const counts = { pushed: 0, dropped_by_host: 0, dropped: 0, refused: 0, unreadable: 0 };
      const push = new LokiPush(Loki.parse({ url: receiver.url, ...given }), {
        bus: {
          subscribe: ((_subject: string, _options: object, handler: typeof hear) => {
            hear = handler;
            return () => undefined;
          }) as unknown as Bus["subscribe"],
          onStatus: () => () => undefined,
        },
        ...{ fleet: "lab", log, now: Date.now },
        isHost: (name, id) => name === "ixp1" && id === "U1",
        secret: async (text) => (text.startsWith("vault:") ? CANARY : text),
        count(what, lines) {
          counts[what] += lines;
        },
      });
      const say = (lines: SentLine[], dropped = 0, subject = "log.U1.ixp1") =>
        hear({ subject, body: Buffer.from(JSON.stringify({ at: AT, lines, dropped } satisfies LogBatch)) });
      const sayText = (text: string) => hear({ subject: "log.U1.ixp1", body: Buffer.from(text) });
      return { push, say, sayText, counts };
    }

    test("it logs in as it is told, in its tenant; secrets stand in no error", async () => {
      const receiver = await lokiReceiver({ tenant: "noc", authorization: `Bearer ${CANARY}` });
      const { push, say } = await pushing(receiver, { tenant: "noc", token: "vault:kv/alerts/loki#token" });
      try {
        say([line("hello")]);
        await eventually(() => assert.is(receiver.stored.length, 1), SOON_MS);
        assert.is(push.standing().failing_since, null);
      } finally {
        await push.stop();
        await receiver.stop();
      }
      const other = await lokiReceiver({ authorization: "Basic x" });
      const second = await pushing(other, { user: "muster", password: "vault:kv/alerts/loki#password" });
      try {
        second.say([line("hello")]);
        await eventually(
          () => assert.match(second.push.standing().error, /answered 401: no credentials/),
          SOON_MS,
        );
        assert.not.ok(JSON.stringify(second.push.standing()).includes(CANARY));
        const sent = Buffer.from(`muster:${CANARY}`).toString("base64");
        assert.is(other.asked[0]?.headers.authorization, `Basic ${sent}`);
        // Who may be let in later loses nothing until then.
        assert.equal([second.push.standing().waiting, second.counts.dropped], [1, 0]);
      } finally {
        await second.push.stop();
        await other.stop();
      }
    });

    test("what Loki will never take is dropped and told, and does not hold up what comes after", async () => {
      const receiver = await lokiReceiver();
      const { push, say, counts } = await pushing(receiver);
      try {
        say([line("ancient", { at: 1_000_000_000_000 })]);
        await eventually(() => assert.is(counts.refused, 1), SOON_MS);
        const refused = /^up to 1 lines were refused and are not sent again: Loki answered 400: .*too old/;
        await eventually(() => assert.match(push.standing().error, refused), SOON_MS);
        say([line("new")]);
        await eventually(() => assert.is(receiver.stored.length, 2), SOON_MS);
        const [first, second] = receiver.stored.map(({ text }) => text);
        assert.is(first, "new");
        assert.match(second ?? "", /^up to 1 lines were refused: Loki answered 400: .*too old/);
        await eventually(() => assert.equal([push.standing().error, counts.pushed], ["", 1]), SOON_MS);
        assert.is(counts.dropped, 0);
      } finally {
        await push.stop();
        await receiver.stop();
      }
    });

    test("messages that cannot be read are counted, and told once until one can be", async () => {
      const receiver = await lokiReceiver();
      const { push, say, sayText, counts } = await pushing(receiver);
      try {
        sayText("no JSON");
        sayText('{"lines":7}');
        say([line("fine")]);
        await eventually(() => assert.is(receiver.stored.length, 2), SOON_MS);
        const told = receiver.stored.filter(({ text }) =>
          text.startsWith("what this host sends cannot be read"),
        );
        assert.equal(
          told.map(({ labels }) => labels.host),
          ["ixp1"],
        );
        assert.is(counts.unreadable, 2);
      } finally {
        await push.stop();
        await receiver.stop();
      }
    });

    test("while it is away the queue keeps what is newest; a name with another key says nothing; a host's own drops are told", async () => {
      const receiver = await lokiReceiver();
      receiver.fails = { status: 503, body: "too many unhealthy instances in the ring" };
      const { push, say, counts } = await pushing(receiver);
      try {
        say([line("forged")], 0, "log.U2.ixp1");
        for (let at = 0; at < 20; at += 1)
          say(Array.from({ length: 60 }, (_, each) => line(`${at * 60 + each} ${"x".repeat(8_000)}`)));
        await eventually(
          () => assert.match(push.standing().error, /answered 503: too many unhealthy/),
          SOON_MS,
        );
        assert.ok(counts.dropped > 0 && push.standing().waiting > 500, JSON.stringify(counts));
        receiver.fails = null;
        say([line("end")], 7);
        const texts = () => receiver.stored.map(({ text }) => text);
        const numbers = () =>
          texts()
            .filter((text) => /^\d+ x/.test(text))
            .map((text) => Number.parseInt(text, 10));
        await eventually(() => {
          assert.ok(texts().includes("end"));
          assert.is(numbers().length + counts.dropped, 1_200);
        }, SOON_MS);
        assert.not.ok(texts().includes("forged"));
        assert.ok(texts().some((text) => text.startsWith("7 lines of this host were dropped")));
        assert.ok(texts().includes(`${counts.dropped} lines were dropped on their way to Loki`));
        assert.is(numbers().at(-1), 1_199);
        assert.equal(
          numbers(),
          numbers().sort((one, other) => one - other),
        );
        assert.is(counts.dropped_by_host, 7);
      } finally {
        await push.stop();
        await receiver.stop();
      }
    });
  },
  { limit_ms: 90_000 },
);

suite(
  "log lines through a controller",
  (test) => {
    const life = new AbortController();
    const key = createNkey("user");
    let fleet: TestFleet;
    let controller: TestController;
    let receiver: LokiReceiver;
    let host: Bus;
    test.before(async () => {
      fleet = await startFleet();
      receiver = await lokiReceiver();
      const records = new HostRecords((await fleet.connect("controller", "writer", life.signal)).bus);
      const record: HostRecord = {
        ...{ name: "ixp1", id: key.public, ssh_public_key: SSH_PUBLIC_KEY, curve: "X", groups: ["ixp"] },
        ...{ state: "enrolled", enrolled_at: 1, enrolled_by: "alice", recoveries: 0, os: "test" },
        ...{ agent_version: "0", certificates: { user_jwt: 1e13, service: 1e13, ssh: 1e13 } },
      };
      await records.write(record, null);
      controller = await startController(fleet);
      host = (await fleet.connect("agent", "ixp1", life.signal, key)).bus;
    });
    test.after(async () => {
      await controller?.stop();
      life.abort();
      await receiver?.stop();
      await fleet?.stop();
    });

    test("that the broker lets nobody hear lines, as in a fleet from before, is how the route stands", async () => {
      // An agent has the right that is missing there as little.
      const { bus } = await fleet.connect("agent", "ixp2", life.signal);
      const ports = {
        ...{ bus, fleet: fleet.name, log: openLog({ name: "loki-test", level: "silent" }), now: Date.now },
        ...{ isHost: () => true, secret: async (text: string) => text, count: () => undefined },
      } satisfies LokiPorts;
      const push = new LokiPush(Loki.parse({ url: receiver.url }), ports);
      try {
        await eventually(() => {
          const { error, failing_since } = push.standing();
          assert.match(error, /no host's lines are heard: .*ctl init line again/);
          assert.ok(failing_since !== null);
        }, SOON_MS);
      } finally {
        await push.stop();
      }
    });

    test("from the host's subject to Loki, when an operator says so, and how that stands beside the alert routes", async () => {
      const signer = await fleet.person("alice");
      const alice = {
        bus: (await fleet.connect("operator", "alice", life.signal)).bus,
        ...{ signer, now: Date.now },
      };
      const rules: Alerting = {
        ...{ v: 1, fleet: fleet.name, version: 1, rules: [], routes: {}, heartbeat: null },
        monitoring: { scrape: [], hosts: {}, loki: Loki.parse({ url: receiver.url }) },
      };
      const body = Buffer.from(JSON.stringify(rules));
      const document = storeEnvelope(seal(ALERTING_SUBJECT, body, signer, Date.now()));
      await callController(alice, "set_rules", { document });
      let said = 0;
      await eventually(async () => {
        said += 1;
        const batch: LogBatch = { at: Date.now(), lines: [line(`line ${said}`)], dropped: 0 };
        host.publish(subjects.log(key.public, "ixp1"), Buffer.from(JSON.stringify(batch)));
        await host.roundTrip();
        assert.ok(receiver.stored.length > 0);
      }, SOON_MS);
      assert.equal(receiver.stored[0]?.labels, {
        ...{ job: "muster", fleet: fleet.name, host: "ixp1", unit: "bird.service", priority: "info" },
      });
      receiver.fails = { status: 500, body: "out of order" };
      host.publish(
        subjects.log(key.public, "ixp1"),
        Buffer.from(JSON.stringify({ at: Date.now(), lines: [line("later")], dropped: 0 })),
      );
      await eventually(async () => {
        const { summary } = await callController(alice, "alerts", {});
        const loki = summary?.routes.find(({ name }) => name === "loki");
        assert.match(loki?.error ?? "", /answered 500: out of order/);
        assert.ok((loki?.waiting ?? 0) >= 1);
      }, SOON_MS);
    });
  },
  { limit_ms: 90_000 },
);
