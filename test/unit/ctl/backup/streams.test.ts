/** A stream copied from one real broker and brought to another: the same messages under the same numbers, and nothing over what is there. */
import { join } from "node:path";
import { type Bus, connectBus } from "@muster/ports/bus";
import * as assert from "uvu/assert";
import { bringStream, copyStream } from "../../../../packages/ctl/src/backup/streams.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { type NatsServer, startNats } from "../../../kit/nats.ts";
import { suite } from "../../../kit/suite.ts";

const INBOX = "_INBOX_test";
const COUNT = 400;

suite(
  "ctl: streams in a backup",
  (test) => {
    const life = new AbortController();
    let servers: NatsServer[] = [];
    let [from, to]: Bus[] = [];
    const dial = (server: NatsServer) =>
      connectBus(
        {
          servers: [server.address],
          ca_pem: server.ca_pem ?? "",
          name: "test",
          inbox_prefix: INBOX,
          first_connect: "once",
        },
        life.signal,
      );
    test.before(async () => {
      servers = await Promise.all([startNats(), startNats()]);
      [from, to] = await Promise.all(servers.map(dial));
    });
    test.after(async () => {
      life.abort();
      await Promise.all(servers.map((server) => server.stop()));
    });
    const ask = async (bus: Bus | undefined, subject: string, body: object | string) => {
      const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
      const answer = await (bus as Bus).request(subject, bytes, { timeout_ms: 5_000 });
      return JSON.parse(Buffer.from(answer.body).toString());
    };

    test("comes back whole, with its numbers and its gaps", async () => {
      const { path, release } = await temporaryDirectory("streams");
      await ask(from, "$JS.API.STREAM.CREATE.KEPT", {
        name: "KEPT",
        subjects: ["kept.>"],
        storage: "file",
        max_msgs_per_subject: 1,
        allow_direct: true,
      });
      // More than one piece, and subjects whose older messages are gone.
      for (let at = 0; at < COUNT; at++) await ask(from, `kept.${at % 300}`, "x".repeat(2_000) + at);
      const file = join(path, "KEPT");
      const form = await copyStream(from as Bus, INBOX, "KEPT", file);
      assert.ok(form !== null);
      assert.is(await copyStream(from as Bus, INBOX, "NONE", join(path, "NONE")), null);
      if (form === null) return;
      await bringStream(to as Bus, "KEPT", form, file);
      const [one, other] = await Promise.all(
        [from, to].map((bus) => ask(bus, "$JS.API.STREAM.INFO.KEPT", "")),
      );
      for (const field of ["messages", "bytes", "first_seq", "last_seq", "num_subjects"])
        assert.is(other.state[field], one.state[field], field);
      assert.is(other.state.messages, 300);
      const last = await (to as Bus).directGet("KEPT", "kept.99");
      assert.is(
        Buffer.from(last?.body ?? [])
          .toString()
          .slice(2_000),
        "399",
      );
      await bringStream(to as Bus, "KEPT", form, file).then(
        () => assert.unreachable("it was written over"),
        (error: unknown) => assert.match(String(error), /stream KEPT: .*in use/),
      );
      await release();
    });
  },
  { limit_ms: 30_000 },
);
