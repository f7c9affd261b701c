/** Streams on a real broker: order, credit and end; whose they are; what is told when one is lost; many hosts at once. */
import { type Bus, connectBus } from "@muster/ports/bus";
import { type Caller, callOne } from "@muster/ports/call";
import { type Handlers, serve } from "@muster/ports/dispatch";
import { processMemory } from "@muster/ports/nonces";
import { callStreams } from "@muster/ports/stream-call";
import { type Feed, Streams } from "@muster/ports/streams";
import { createNkey, type EnvelopeSigner, type LogLine, RPC, subjects } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { assertWithin } from "../../kit/figures.ts";
import { type NatsServer, startNats } from "../../kit/nats.ts";
import { patienceOf } from "../../kit/patience.ts";
import { PeopleCa } from "../../kit/people.ts";
import { suite } from "../../kit/suite.ts";

const ARGS = { units: [], container: null, follow: false, since: null, last: 10, grep: null, priority: null };
const line = (text: string): LogLine => ({ at: 1, from: "x", priority: null, text, cut: false });
const LONG = "l".repeat(8_000);

/** What a host's feed does, and what became of it. */
type Host = { id: string; feed: Feed<"logs">; written: number; aborted: boolean; life: AbortController };

suite(
  "streams",
  (test) => {
    let server: NatsServer;
    let operators: PeopleCa;
    let alice: EnvelopeSigner;
    let bob: EnvelopeSigner;
    let viewer: EnvelopeSigner;
    const life = new AbortController();
    const bus = (name: string) =>
      connectBus({ servers: [server.address], name, inbox_prefix: `_INBOX_${name}` }, life.signal);
    let shared: Bus;

    const host = async (
      feed: (host: Host) => Feed<"logs">,
      limits: { lapse_ms?: number; patience_ms?: number } = {},
    ): Promise<Host> => {
      const made: Host = {
        id: createNkey("user").public,
        feed: async () => ({ lines: 0 }),
        written: 0,
        aborted: false,
        life: new AbortController(),
      };
      made.feed = feed(made);
      const verifier = operators.verifier();
      const streams = new Streams({ on_mistake: () => {}, ...limits }, made.life.signal);
      const handlers = {
        ping: () => ({ host: "x", at: 1, version: "1", protocol: 1 }),
        logs: (_, call) =>
          streams.open<"logs">(call, async (write, signal) => {
            signal.addEventListener("abort", () => (made.aborted = true));
            return made.feed(async (chunk) => {
              made.written += 1;
              await write(chunk);
            }, signal);
          }),
        next: (request, call) => streams.next(request, call),
      } as Partial<Handlers<typeof RPC>> as Handlers<typeof RPC>;
      const own = await bus(made.id);
      serve(
        {
          bus: own,
          table: RPC,
          handlers,
          routes: [{ pattern: `rpc.${made.id}.*`, logical: (method) => subjects.rpc(made.id, method) }],
          verifier: () => verifier,
          now: Date.now,
          memory: { ...processMemory(Date.now), signed_from_ms: Date.now() - 30_000 },
        },
        AbortSignal.any([life.signal, made.life.signal]),
      );
      await own.roundTrip();
      return made;
    };
    const as = (signer: EnvelopeSigner | null): Caller => ({ bus: shared, signer, now: Date.now });
    const codeOf = async (work: Promise<unknown>) => {
      try {
        await work;
        return "none";
      } catch (error) {
        if (error instanceof FleetError) return error.code;
        throw error;
      }
    };
    const until = async (done: () => boolean) => {
      const patience = patienceOf(5_000);
      while (!done()) {
        if (patience.over()) throw new Error(`waited in vain for ${patience.text()}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const endless =
      (self: Host): Feed<"logs"> =>
      async (write, signal) => {
        while (!signal.aborted) await write(line(`${self.written} ${LONG}`));
        throw new FleetError("CANCELLED", "as asked");
      };

    test.before(async () => {
      server = await startNats({ tls: false, jetstream: false });
      shared = await bus("CALLER");
      operators = await PeopleCa.make("operators");
      alice = await operators.person("alice", "operator");
      bob = await operators.person("bob", "operator");
      viewer = await operators.person("vera", "viewer");
    });
    test.after(async () => {
      life.abort();
      await server.stop();
    });

    test("many hosts at once, each in order and to its end marker; who failed and who was silent", async () => {
      const hosts = await Promise.all(
        Array.from({ length: 10 }, () =>
          host(() => async (write) => {
            for (let at = 0; at < 500; at++) await write(line(`${at} ${LONG.slice(0, 1_000)}`));
            return { lines: 500 };
          }),
        ),
      );
      const bad = await host(() => async (write) => {
        await write(line("0 half"));
        throw new FleetError("COMMAND_FAILED", "it broke");
      });
      const wrong = await host(() => async () => {
        throw new TypeError("a mistake");
      });
      const nobody = createNkey("user").public;
      const heard = new Map<string, number[]>();
      const results = await callStreams(
        as(alice),
        [...hosts, bad, wrong].map(({ id }) => id).concat(nobody),
        "logs",
        ARGS,
        {
          on_chunk: (id, { text }) => {
            heard.set(id, [...(heard.get(id) ?? []), Number(text.split(" ")[0])]);
          },
        },
      );
      assert.is(results.answered.size, 10);
      const whole = Array.from({ length: 500 }, (_, at) => at);
      for (const { id } of hosts) {
        assert.equal(heard.get(id), whole);
        assert.equal(results.answered.get(id), { lines: 500 });
      }
      assert.equal(heard.get(bad.id), [0]);
      assert.match(String(results.failed.get(bad.id)), /it broke/);
      assert.match(String(results.failed.get(wrong.id)), /a mistake in the agent/);
      assert.equal(results.silent, [nobody]);
    });

    test("a slow reader holds the feed back, and a quick line comes at once", async () => {
      const slow = await host(endless);
      const ends = new AbortController();
      let release = () => {};
      const first = new Promise<void>((resolve) => {
        release = resolve;
      });
      let heard = 0;
      const reading = callStreams(as(alice), [slow.id], "logs", ARGS, {
        signal: ends.signal,
        on_chunk: async () => {
          heard += 1;
          await first;
        },
      });
      await until(() => heard === 1);
      await new Promise((resolve) => setTimeout(resolve, 200));
      // One batch is with the reader, one in the buffer, and the write that waits.
      assert.ok(slow.written < 80, `${slow.written} chunks of 8 kB were taken while nobody read`);
      const before = slow.written;
      release();
      await until(() => heard > 2 * before);
      ends.abort();
      const results = await reading;
      assert.is(results.failed.get(slow.id)?.code, "CANCELLED");
      assert.ok(slow.aborted, "what feeds it was not ended");
    });

    test("the end comes at once when it is stopped while nothing happens", async () => {
      const ends = new AbortController();
      const quiet = await host(() => async (_, signal) => {
        setTimeout(() => ends.abort(), 100);
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        return { lines: 0 };
      });
      const began = performance.now();
      const results = await callStreams(as(alice), [quiet.id], "logs", ARGS, {
        signal: ends.signal,
        on_chunk: () => {},
      });
      assertWithin(performance.now() - began, 2_000);
      assert.equal(results.answered.get(quiet.id), { lines: 0 });
      assert.ok(quiet.aborted);
    });

    test("a viewer opens none, and nobody else reads, advances or stops it", async () => {
      const one = await host(endless);
      assert.is(await codeOf(callOne(as(viewer), one.id, "logs", ARGS)), "NOT_ALLOWED");
      assert.is(await codeOf(callOne(as(null), one.id, "logs", ARGS)), "UNSIGNED");
      const { stream } = await callOne(as(alice), one.id, "logs", ARGS);
      for (const [other, code] of [
        [bob, "NOT_FOUND"],
        [viewer, "NOT_ALLOWED"],
        [null, "UNSIGNED"],
      ] as const)
        for (const stop of [false, true])
          assert.is(await codeOf(callOne(as(other), one.id, "next", { stream, from: 0, stop })), code);
      assert.not.ok(one.aborted);
      const mine = await callOne(as(alice), one.id, "next", { stream, from: 0, stop: false });
      assert.is(mine.from, 0);
      assert.match(JSON.stringify(mine.chunks[0]), /"text":"0 l/);
      one.life.abort();
      await until(() => one.aborted);
    });

    test("a lost answer is given again, and a gap is an error", async () => {
      const one = await host(endless);
      const { stream } = await callOne(as(alice), one.id, "logs", ARGS);
      const ask = (from: number) => callOne(as(alice), one.id, "next", { stream, from, stop: false });
      const first = await ask(0);
      assert.equal(await ask(0), first);
      const second = await ask(first.chunks.length);
      assert.is(second.from, first.chunks.length);
      assert.is(await codeOf(ask(0)), "INVALID");
      assert.is(await codeOf(ask(second.from + second.chunks.length + 1)), "INVALID");
      one.life.abort();
    });

    test("who goes away lets it lapse, and what feeds it ends", async () => {
      const one = await host(endless, { lapse_ms: 3_000 });
      const { stream } = await callOne(as(alice), one.id, "logs", ARGS);
      assert.not.ok(one.aborted);
      await until(() => one.aborted);
      assert.is(
        await codeOf(callOne(as(alice), one.id, "next", { stream, from: 0, stop: false })),
        "NOT_FOUND",
      );
    });

    test("an idle stream lives on without a line, and a host that went away is told", async () => {
      const one = await host(
        () => async (write, signal) => {
          await new Promise<void>((resolve) => setTimeout(resolve, 3_000));
          await write(line("late"));
          await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
          return { lines: 1 };
        },
        { lapse_ms: 2_000, patience_ms: 300 },
      );
      const heard: string[] = [];
      const reading = callStreams(as(alice), [one.id], "logs", ARGS, {
        retry_ms: 600,
        on_chunk: (_, { text }) => {
          heard.push(text);
        },
      });
      await until(() => heard.length === 1);
      one.life.abort();
      const results = await reading;
      assert.match(results.failed.get(one.id)?.code ?? "", /NO_RESPONDER|TIMEOUT|NOT_FOUND/);
    });

    test("the ninth stream of a host is refused, and the rest of the host goes on", async () => {
      const one = await host(endless);
      const open = () => callOne(as(alice), one.id, "logs", ARGS);
      await Promise.all(Array.from({ length: 8 }, open));
      assert.is(await codeOf(open()), "TOO_LARGE");
      assert.is((await callOne(as(null), one.id, "ping", {})).host, "x");
      one.life.abort();
    });
  },
  { limit_ms: 30_000 },
);
