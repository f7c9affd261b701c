/** The socket port against a fake BIRD on a real socket: chunking, limits, loss, restart, silence. */
import { renameSync } from "node:fs";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { lastCode } from "../../../../packages/agent/src/bird/framing.ts";
import { parseSessions } from "../../../../packages/agent/src/bird/protocols.ts";
import { type BirdOptions, connectBird } from "../../../../packages/agent/src/ports/bird.ts";
import { byteByByte, chunksOf, type FakeBird, fakeBird, transcript, whole } from "../../../kit/fake-bird.ts";
import { suite } from "../../../kit/suite.ts";

const SHOW = "show protocols all";

async function withBird(
  body: (fake: FakeBird, options: BirdOptions, signal: AbortSignal) => Promise<void>,
  fake: FakeBird = fakeBird(),
): Promise<void> {
  const lifetime = new AbortController();
  fake.answers.set("restrict", transcript("2.0.12", "restrict"));
  fake.answers.set("show status", transcript("2.0.12", "show-status"));
  fake.answers.set(SHOW, transcript("2.0.12", "show-protocols-all-down"));
  await fake.start();
  try {
    await body(fake, { socketPath: fake.socketPath, restricted: true, timeout_ms: 10_000 }, lifetime.signal);
  } finally {
    lifetime.abort();
    await fake.dispose();
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof FleetError) return error.code;
    throw error;
  }
  return "no error";
}

suite(
  "bird port",
  (test) => {
    for (const [name, chunking] of [
      ["whole", whole],
      ["byte by byte", byteByByte],
      ["3 bytes", chunksOf(3)],
      ["1,024 bytes", chunksOf(1024)],
    ] as const) {
      test(`reads the same reply in chunks: ${name}`, () =>
        withBird(async (fake, options, signal) => {
          const bird = connectBird(options, signal);
          const reply = await bird.command(SHOW);
          const sessions = parseSessions(reply, null);
          const rows = transcript("2.0.12", "show-protocols-all-down").match(/^1002-\S+\s+BGP /gm);
          assert.is(sessions.length, rows?.length);
          assert.is(sessions.length, 8);
          const upstream = sessions.find((session) => session.name === "upstream");
          assert.is(upstream?.message, "switch swap until 18:00 – grüße");
          assert.equal(fake.received, ["restrict", SHOW]);
        }, fakeBird({ chunking })));
    }

    test("keeps one connection and sends one command at a time", () =>
      withBird(async (fake, options, signal) => {
        const bird = connectBird(options, signal);
        const replies = await Promise.all([
          bird.command("show status"),
          bird.command(SHOW),
          bird.command("show status"),
        ]);
        assert.equal(replies.map(lastCode), [13, 0, 13]);
        assert.is(fake.connections, 1);
      }));

    test("gives a refusal as a reply, and does not send `restrict` when writing", () =>
      withBird(async (fake, options, signal) => {
        const bird = connectBird({ ...options, restricted: false }, signal);
        assert.is(lastCode(await bird.command("nonsense")), 9001);
        assert.equal(fake.received, ["nonsense"]);
      }));

    test("refuses to go on when `restrict` is not granted", () =>
      withBird(async (fake, options, signal) => {
        fake.answers.set("restrict", "9001 syntax error\n");
        const bird = connectBird(options, signal);
        assert.is(await codeOf(bird.command("show status")), "BIRD_REFUSED");
        assert.not(fake.received.includes("show status"));
      }));

    test("a very long line arrives whole", () =>
      withBird(async (fake, options, signal) => {
        const long = "é".repeat(100_000);
        fake.answers.set("long", `1008-${long}\n0000 \n`);
        const reply = await connectBird(options, signal).command("long");
        assert.is(reply.lines[0]?.text, long);
      }));

    test("unsolicited lines go to the notice, also in the middle of a reply", () =>
      withBird(async (fake, options, signal) => {
        const notices: string[] = [];
        fake.answers.set("x", "1008-a\n+Undo timer expired\n b\n0000 \n");
        const bird = connectBird({ ...options, onNotice: (text) => notices.push(text) }, signal);
        const reply = await bird.command("x");
        assert.equal(notices, ["Undo timer expired"]);
        assert.equal(
          reply.lines.map((line) => `${line.code} ${line.text}`),
          ["1008 a", "1008 b", "0 "],
        );
      }));

    test("a reply over the limit is an error, and the next command works", () =>
      withBird(async (fake, options, signal) => {
        fake.answers.set("big", `1008-${"x".repeat(20_000)}\n`.repeat(10));
        const bird = connectBird({ ...options, max_reply_bytes: 50_000 }, signal);
        assert.is(await codeOf(bird.command("big")), "BIRD_REPLY");
        assert.is(lastCode(await bird.command("show status")), 13);
        assert.is(fake.connections, 2);
      }));

    test("a line that is no reply line is an error, not a guess", () =>
      withBird(async (fake, options, signal) => {
        fake.answers.set("odd", "1008-fine\nhello\n0000 \n");
        assert.is(await codeOf(connectBird(options, signal).command("odd")), "BIRD_REPLY");
      }));

    test("silence ends at the time limit and the connection is made anew", () =>
      withBird(async (fake, options, signal) => {
        fake.answers.set("slow", "silent");
        const bird = connectBird(options, signal);
        assert.is(await codeOf(bird.command("slow", { timeout_ms: 100 })), "BIRD_UNREACHABLE");
        assert.is(lastCode(await bird.command("show status")), 13);
        assert.is(fake.connections, 2);
      }));

    test("a reply cut off is an error and is not asked again", () =>
      withBird(async (fake, options, signal) => {
        fake.answers.set("configure", { hangUpAfter: "0002-Reading configuration\n" });
        const bird = connectBird({ ...options, restricted: false }, signal);
        assert.is(await codeOf(bird.command("configure")), "BIRD_UNREACHABLE");
        assert.is(fake.received.filter((text) => text === "configure").length, 1);
      }));

    test("BIRD gone is unreachable, BIRD back is reached by path", () =>
      withBird(async (fake, options, signal) => {
        const bird = connectBird(options, signal);
        await bird.command("show status");
        await fake.stop();
        assert.is(await codeOf(bird.command("show status")), "BIRD_UNREACHABLE");
        await fake.start();
        assert.is(lastCode(await bird.command("show status")), 13);
        assert.is(fake.connections, 2);
      }));

    test("a socket made anew is reached even while the old daemon keeps its connection open", () =>
      withBird(async (old, options, signal) => {
        const bird = connectBird(options, signal);
        await bird.command("show status");
        const fresh = fakeBird({ greeting: "0001 BIRD 3.3.2 ready.\n" });
        fresh.answers.set("restrict", transcript("2.0.12", "restrict"));
        fresh.answers.set("show status", transcript("3.3.2", "show-status"));
        await fresh.start();
        renameSync(fresh.socketPath, old.socketPath);
        const reply = await bird.command("show status");
        await fresh.dispose();
        assert.is(reply.lines[0]?.text, "BIRD 3.3.2");
      }));

    test("no greeting is silence", () =>
      withBird(
        async (_fake, options, signal) => {
          const bird = connectBird({ ...options, timeout_ms: 100 }, signal);
          assert.is(await codeOf(bird.command("show status")), "BIRD_UNREACHABLE");
        },
        fakeBird({ greeting: "" }),
      ));

    test("close and abort reject what waits", () =>
      withBird(async (fake, options) => {
        fake.answers.set("slow", "silent");
        const lifetime = new AbortController();
        const bird = connectBird(options, lifetime.signal);
        await bird.command("show status");
        const waiting = [codeOf(bird.command("slow")), codeOf(bird.command("show status"))];
        lifetime.abort();
        assert.equal(await Promise.all(waiting), ["CANCELLED", "CANCELLED"]);
        assert.is(await codeOf(bird.command("show status")), "CANCELLED");
      }));

    test("a command of two lines is refused before it is sent", () =>
      withBird(async (fake, options, signal) => {
        const bird = connectBird(options, signal);
        assert.is(await codeOf(bird.command("show status\nconfigure")), "INVALID");
        assert.equal(fake.received, []);
      }));
  },
  { limit_ms: 20_000 },
);
