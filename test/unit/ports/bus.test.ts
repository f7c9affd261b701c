/** The bus on a real nats-server: messages, requests, gatherings, streams and keys, and what the broker refuses. */
import { type Bus, type BusEvent, connectBus } from "@muster/ports/bus";
import { FleetError } from "@muster/protocol/errors";
import { intakeOf } from "@muster/protocol/streams";
import * as assert from "uvu/assert";
import { busStored } from "../../../packages/ports/src/bus-stored.ts";
import { eventually } from "../../kit/eventually.ts";
import { assertWithin } from "../../kit/figures.ts";
import { type NatsServer, startNats } from "../../kit/nats.ts";
import { patienceOf } from "../../kit/patience.ts";
import { suite } from "../../kit/suite.ts";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const bytes = (value: string): Uint8Array => Buffer.from(value);

async function code(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    if (error instanceof FleetError) return error.code;
    throw error;
  }
  return "no error";
}

async function until(done: () => boolean, limit_ms = 3_000): Promise<void> {
  const patience = patienceOf(limit_ms);
  while (!done()) {
    if (patience.over()) throw new Error(`did not happen in ${patience.text()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

suite("bus port", (test) => {
  const life = new AbortController();
  let server: NatsServer;
  let bus: Bus;
  let other: Bus;
  const events: BusEvent[] = [];

  const open = (name: string, more: object = {}): Promise<Bus> =>
    connectBus(
      {
        servers: [server.address],
        ...(server.ca_pem === undefined ? {} : { ca_pem: server.ca_pem }),
        name,
        inbox_prefix: `_INBOX_${name}`,
        ...more,
      },
      life.signal,
    );

  /** Makes a stream by the plain API, as `ctl init` does. */
  const stream = async (config: { name: string; [field: string]: unknown }): Promise<void> => {
    const body = { storage: "memory", allow_direct: true, ...config };
    const answer = await bus.request(`$JS.API.STREAM.CREATE.${config.name}`, bytes(JSON.stringify(body)), {
      timeout_ms: 10_000,
    });
    assert.not.match(text(answer.body), /"error"/);
  };

  test.before(async () => {
    server = await startNats();
    bus = await open("one", { on_status: (event: BusEvent) => events.push(event) });
    other = await open("two");
  });
  test.after(async () => {
    life.abort();
    await server.stop();
  });

  test("answers go to inboxes alone, whatever subject a request names for them", async () => {
    const heard: string[] = [];
    const end = other.subscribe("records.>", {}, (message) => void heard.push(message.subject));
    await other.roundTrip();
    const request = { subject: "rpc.me", body: bytes(""), headers: {} };
    assert.not(bus.respond({ ...request, reply: "records.generation" }, bytes("{}")));
    assert.not(bus.respond({ ...request, reply: "_INBOX" }, bytes("{}")));
    assert.ok(bus.respond({ ...request, reply: "_INBOX_UABC.1" }, bytes("{}")));
    await bus.roundTrip();
    await other.roundTrip();
    end();
    assert.equal(heard, []);
  });

  test("publishes and subscribes, with headers and bytes", async () => {
    const got: string[] = [];
    const end = other.subscribe("event.*.x", {}, (message) => {
      got.push(`${message.subject} ${text(message.body)} ${message.headers.Kind ?? ""}`);
    });
    await other.roundTrip();
    bus.publish("event.a.x", bytes("hello"), { Kind: "test" });
    bus.publish("event.a.y", bytes("not for us"));
    await bus.roundTrip();
    await until(() => got.length === 1);
    assert.equal(got, ["event.a.x hello test"]);
    end();
    await other.roundTrip();
    bus.publish("event.a.x", bytes("too late"));
    await bus.roundTrip();
    await other.roundTrip();
    assert.is(got.length, 1);
  });

  test("a request has an answer, nobody, or a time limit", async () => {
    const end = other.subscribe("rpc.echo", {}, (message) => {
      if (text(message.body) !== "silence") other.respond(message, message.body, { Who: "two" });
    });
    await other.roundTrip();
    const answer = await bus.request("rpc.echo", bytes("hi"), { timeout_ms: 10_000 });
    assert.is(text(answer.body), "hi");
    assert.is(answer.headers.Who, "two");
    assert.is(await code(bus.request("rpc.echo", bytes("silence"), { timeout_ms: 100 })), "TIMEOUT");
    const began = Date.now();
    assert.is(await code(bus.request("rpc.nobody", bytes(""), { timeout_ms: 5_000 })), "NO_RESPONDER");
    assertWithin(Date.now() - began, 1_000);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 50);
    const cancelled = bus.request("rpc.echo", bytes("silence"), { timeout_ms: 5_000, signal: stop.signal });
    assert.is(await code(cancelled), "CANCELLED");
    end();
  });

  test("a gathering names who answered, who is not there, who was silent", async () => {
    const ends = ["a", "b", "mute"].map((name) =>
      other.subscribe(`rpc.${name}.ping`, {}, (message) => {
        if (name !== "mute") other.respond(message, bytes(name));
      }),
    );
    await other.roundTrip();
    const targets = (names: string[]) =>
      names.map((key) => ({ key, subject: `rpc.${key}.ping`, body: bytes("") }));
    const began = Date.now();
    const quick = await bus.gather(targets(["a", "b", "gone"]), { timeout_ms: 5_000 });
    assertWithin(Date.now() - began, 1_000, "what ends when all is known");
    assert.equal([...quick.answers.keys()].sort(), ["a", "b"]);
    assert.equal([quick.absent, quick.silent], [["gone"], []]);
    const slow = await bus.gather(targets(["a", "mute"]), { timeout_ms: 2_500 });
    assert.equal([[...slow.answers.keys()], slow.absent, slow.silent], [["a"], [], ["mute"]]);
    for (const end of ends) end();
  });

  test("a broadcast ends when everyone expected has answered under an own subject; what comes to the inbox does not count", async () => {
    const ends = ["a", "b", "stranger"].map((name) =>
      other.subscribe("rpc.all.ping", {}, (message) => void other.respondAs(name, message, bytes(name))),
    );
    ends.push(other.subscribe("rpc.all.ping", {}, (message) => void other.respond(message, bytes("c"))));
    await other.roundTrip();
    const message = { subject: "rpc.all.ping", body: bytes("") };
    const began = Date.now();
    const all = await bus.gatherBroadcast(message, { expected: ["a", "b"], timeout_ms: 5_000 });
    assertWithin(Date.now() - began, 1_000);
    assert.equal([...all.answers.keys()].sort(), ["a", "b"]);
    const some = await bus.gatherBroadcast(message, { expected: ["a", "c"], timeout_ms: 2_500 });
    assert.equal(some.silent, ["c"]);
    for (const end of ends) end();
    await other.roundTrip();
    const none = await bus.gatherBroadcast(message, { expected: ["a"], timeout_ms: 150 });
    assert.equal([none.absent, none.silent], [[], ["a"]]);
  });

  test("handlers run at most `concurrency` at once; the rest waits, then is dropped and reported", async () => {
    let running = 0;
    let most = 0;
    let done = 0;
    const release: (() => void)[] = [];
    const seen: BusEvent[] = [];
    const quiet = bus.onStatus((event) => seen.push(event));
    const end = bus.subscribe("flood", { concurrency: 3, pending_limit: 5 }, async () => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => release.push(resolve));
      running--;
      done++;
      if (done === 1) throw new Error("on purpose");
    });
    await bus.roundTrip();
    for (let count = 0; count < 20; count++) other.publish("flood", bytes(""));
    await other.roundTrip();
    await until(() => seen.some((event) => event.type === "dropped"));
    while (done < 8) {
      release.shift()?.();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.is(most, 3);
    assert.is(done, 8);
    assert.ok(
      seen.some((event) => event.type === "handler_failed" && String(event.error).includes("on purpose")),
    );
    quiet();
    end();
  });

  test("subjects and headers cannot smuggle commands", async () => {
    for (const subject of [
      "",
      "a b",
      "a\r\nPUB x 0",
      "a..b",
      ".a",
      "a.",
      "a.*",
      ">",
      `a.${"b".repeat(2_000)}`,
    ]) {
      assert.is(await code(() => bus.publish(subject, bytes(""))), "INVALID", subject);
    }
    assert.is(await code(() => bus.subscribe("a b", {}, () => undefined)), "INVALID");
    assert.is(await code(() => bus.publish("a", bytes(""), { "Bad Key": "x" })), "INVALID");
    assert.is(await code(() => bus.publish("a", bytes(""), { Key: "x\r\ny: z" })), "INVALID");
    assert.is(await code(() => bus.publish("a", new Uint8Array(bus.max_payload_bytes + 1))), "TOO_LARGE");
  });

  test("streams: publish with a guard, read the newest, read all", async () => {
    await stream({
      name: "DESIRED",
      subjects: [intakeOf("desired.*")],
      subject_transform: { src: intakeOf("desired.*"), dest: "desired.{{wildcard(1)}}" },
      max_msgs_per_subject: 4,
    });
    assert.is(await bus.directGet("DESIRED", "desired.a"), null);
    const first = await bus.publishStored("desired.a", bytes("1"), {
      expected_last_subject_seq: 0,
      headers: { Kind: "m" },
    });
    assert.equal(first, { seq: 1, duplicate: false });
    assert.is(
      await code(bus.publishStored("desired.a", bytes("x"), { expected_last_subject_seq: 0 })),
      "CONFLICT",
    );
    assert.is(
      (await bus.publishStored("desired.a", bytes("2"), { expected_last_subject_seq: 1, msg_id: "m2" })).seq,
      2,
    );
    assert.is((await bus.publishStored("desired.a", bytes("2"), { msg_id: "m2" })).duplicate, true);
    const newest = await bus.directGet("DESIRED", "desired.a");
    assert.is(newest === null ? "" : text(newest.body), "2");
    assert.is(newest?.seq, 2);
    assert.ok(Math.abs((newest?.stored_at ?? 0) - Date.now()) < 60_000);
    for (let count = 0; count < 25; count++)
      await bus.publishStored(`desired.h${count}`, bytes(String(count)));
    const all: string[] = [];
    for await (const message of bus.readAll("DESIRED", "desired.*", { batch: 10 })) all.push(message.subject);
    assert.is(all.length, 27);
    const some: number[] = [];
    for await (const message of bus.readAll("DESIRED", "desired.h7")) some.push(message.seq);
    assert.equal(some, [10]);
    for await (const _ of bus.readAll("DESIRED", "desired.none")) throw new Error("nothing was expected");
    assert.is(await code(bus.publishStored("no.stream", bytes(""))), "NO_RESPONDER");
    assert.is(await code(bus.directGet("NOSTREAM", "desired.a")), "NO_RESPONDER");
  });

  test("a stored message cannot lie about its place", async () => {
    await stream({ name: "LIES", subjects: ["lies"] });
    await bus.publishStored("lies", bytes("x"), {
      headers: {
        "Nats-Sequence": "999",
        "Nats-Subject": "desired.victim",
        "Nats-Time-Stamp": "2000-01-01T00:00:00Z",
      },
    });
    const message = await bus.directGet("LIES", "lies");
    assert.is(message?.seq, 1);
    assert.is(message?.subject, "lies");
    assert.ok((message?.stored_at ?? 0) > Date.parse("2020-01-01"));
  });

  test("key-value: create once, update by revision, delete, expire, list", async () => {
    await stream({
      name: "KV_hosts",
      subjects: [intakeOf("$KV.hosts.>")],
      subject_transform: { src: intakeOf("$KV.hosts.>"), dest: "$KV.hosts.>" },
      max_msgs_per_subject: 1,
      allow_msg_ttl: true,
      allow_rollup_hdrs: true,
    });
    const kv = bus.kv("hosts");
    assert.is(await kv.get("core1"), null);
    const revision = await kv.create("core1", bytes("a"));
    assert.is(await code(kv.create("core1", bytes("b"))), "CONFLICT");
    const next = await kv.update("core1", bytes("b"), revision);
    assert.is(await code(kv.update("core1", bytes("c"), revision)), "CONFLICT");
    assert.is(text((await kv.get("core1"))?.value ?? bytes("")), "b");
    await kv.put("ixp1", bytes("x"));
    assert.equal(
      (await kv.entries()).map((entry) => entry.key),
      ["core1", "ixp1"],
    );
    assert.is(await code(kv.delete("core1", { revision })), "CONFLICT");
    await kv.delete("core1", { revision: next });
    assert.is(await kv.get("core1"), null);
    assert.equal(
      (await kv.entries()).map((entry) => entry.key),
      ["ixp1"],
    );
    assert.ok((await kv.create("core1", bytes("again"))) > next);
    await kv.create("token", bytes("1"), { ttl_s: 4 });
    assert.is(await code(kv.create("token", bytes("2"), { ttl_s: 4 })), "CONFLICT");
    await eventually(async () => assert.is(await kv.get("token"), null), 10_000);
    const last = (await kv.get("core1"))?.revision ?? 0;
    const changed = async (after: number) => {
      const found: string[] = [];
      for await (const { key, value } of kv.changes(after))
        found.push(`${key} ${value === null ? "gone" : value.length}`);
      return found;
    };
    // What was there before, what goes, and what is larger than the batch that it comes in.
    await kv.delete("ixp1");
    for (const key of ["big1", "big2", "big3"]) await kv.put(key, new Uint8Array(700_000));
    await kv.put("core1", bytes("once more"));
    const news = ["ixp1 gone", "big1 700000", "big2 700000", "big3 700000", "core1 9"];
    assert.equal((await changed(last)).slice(-5), news);
    assert.equal((await changed(0)).slice(-5), news);
    assert.equal(await changed(((await kv.get("core1"))?.revision ?? 0) - 1), ["core1 9"]);
    assert.equal(await changed((await kv.get("core1"))?.revision ?? 0), []);
    const batches: number[] = [];
    const counted = busStored({
      ...bus,
      collect: (subject, body, options, on_message) => {
        batches.push(0);
        return bus.collect(subject, body, options, (message) => {
          batches.push((batches.pop() ?? 0) + message.body.length);
          return on_message(message);
        });
      },
    });
    for await (const { key } of counted.kv("hosts").changes(last)) assert.is.not(key, "");
    assert.ok(batches.length >= 2, `${batches}`);
    assert.ok(Math.max(...batches) < 2_000_000, `${batches}`);
    // One that is larger than a batch comes all the same.
    const keys: string[] = [];
    for await (const { subject } of bus.readAll("KV_hosts", "$KV.hosts.>", {
      from_seq: last + 1,
      max_bytes: 1,
    }))
      keys.push(subject.slice("$KV.hosts.".length));
    assert.equal(keys.slice(-4), ["big1", "big2", "big3", "core1"]);
    assert.is(await code(kv.get("a b")), "INVALID");
    assert.is(await code(kv.get("a.>")), "INVALID");
  });
});
