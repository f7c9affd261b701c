/** Pages of the audit, and its export, where a stolen host publishes what is no record: nobody's records behind it are kept from being read. */
import { auditPage } from "@muster/controller/audit/page";
import { lineOf } from "@muster/controller/audit/sink";
import type { Bus, StoredMessage } from "@muster/ports/bus";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const MESSAGE_BYTES = 1024 * 1024;
const messageOf = (text: string, at: number): StoredMessage => ({
  ...{ seq: at + 1, stored_at: 1_800_000_000_000, subject: `audit.U${at}.command`, headers: {} },
  body: Buffer.from(text),
});
const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;

suite("pages of the audit", (test) => {
  const pagesOf = async (texts: readonly string[]) => {
    const messages = texts.map(messageOf);
    const bus = {
      async *readAll(_stream: string, _filter: string, { from_seq = 0 }: { from_seq?: number }) {
        yield* messages.filter(({ seq }) => seq >= from_seq);
      },
    } as unknown as Pick<Bus, "readAll">;
    const pages: unknown[][] = [];
    for (let after = 0; ; ) {
      const request = { after, since: null, writer: null, limit: 2_000 };
      const reply = await auditPage(bus, request, { id: "U", head: { seq: 0, hash: "" } });
      assert.ok(Buffer.byteLength(JSON.stringify(reply)) < MESSAGE_BYTES, "it does not fit into one message");
      pages.push(reply.records.map(({ record }) => record));
      assert.ok(pages.length < 20, "it does not end");
      if (reply.next === null) return pages;
      after = reply.next;
    }
  };

  test("a record comes as it was written, in as many pages as that takes", async () => {
    const record = { v: 1, what: "ё".repeat(5_000), by: { name: "alice" } };
    const pages = await pagesOf(Array.from({ length: 150 }, () => JSON.stringify(record)));
    assert.ok(pages.length > 1);
    assert.equal(
      pages.flat(),
      Array.from({ length: 150 }, () => record),
    );
  });

  test("what is too large, too deep or grows when it is written down again hides nothing behind it", async () => {
    // 20 bytes a number instead of four.
    const numbers = `[${Array.from({ length: 5_000 }, () => "1e20").join()}]`;
    const forged = [
      `{"what":"${"x".repeat(1_040_000)}"}`,
      nested(100_000),
      nested(9),
      "no JSON",
      ...Array.from({ length: 60 }, () => numbers),
    ];
    const last = { v: 1, what: "the last" };
    const seen = (await pagesOf([...forged, JSON.stringify(last)])).flat();
    assert.is(seen.length, forged.length + 1);
    assert.equal(seen.at(-1), last);
    for (const each of seen.slice(0, -1)) assert.is(typeof each, "string");
  });

  test("a line of the export is made of it as well", () => {
    for (const text of [nested(100_000), "no JSON"])
      assert.is(JSON.parse(lineOf(messageOf(text, 0))).record, text);
    assert.equal(JSON.parse(lineOf(messageOf('{"v":1,"by":{"kit":true}}', 0))).record, {
      ...{ v: 1, by: { kit: true } },
    });
  });
});
