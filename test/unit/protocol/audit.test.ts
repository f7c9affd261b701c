/** The audit's chain: whatever is changed, left out or moved shows, and what came twice does not. */
import * as assert from "uvu/assert";
import {
  type AuditEntry,
  type AuditFault,
  type AuditRecord,
  ChainCheck,
  chained,
  createNkey,
  headIsSigned,
  headText,
  NO_HEAD,
  signEd25519,
} from "../../../packages/protocol/src/index.ts";
import { suite } from "../../kit/suite.ts";

const key = createNkey("user");
const entry = (what: string): AuditEntry => ({
  at: 1_700_000_000_000,
  kind: "command",
  by: { name: "alice", rank: "operator", key: "a".repeat(64), kit: false },
  from: "U",
  what,
  target: "rpc.x.exec",
  args: null,
  authority: "operator",
  result: "done",
  code: null,
  of: null,
  more: 0,
});

function chain(length: number) {
  const records: AuditRecord[] = [];
  let head = NO_HEAD;
  for (let at = 0; at < length; at++) {
    const made = chained(head, { id: key.public, host: "core1" }, entry(`step ${at}`));
    records.push(made.record);
    head = made.head;
  }
  return { records, head };
}

function faults(records: readonly AuditRecord[], head = chain(9).head, waiting = 0): string[] {
  const check = new ChainCheck(key.public);
  const found = records
    .map((record) => check.take(record))
    .filter((each): each is AuditFault => each !== null);
  const end = check.end(head, waiting);
  return [...found, ...(end === null ? [] : [end])].map(({ fault, seq }) => `${fault} ${seq}`);
}

suite("audit chain", (test) => {
  const { records, head } = chain(9);
  const [first] = records;

  test("a whole chain is good, also where a record came twice", () => {
    assert.equal(faults(records), []);
    assert.equal(faults([...records.slice(0, 5), ...records.slice(3)]), []);
    assert.equal(faults(records.slice(4)), [], "the oldest may have gone by age");
  });

  test("a changed record shows in the next, the last one in the head", () => {
    for (const field of ["what", "target", "at", "result", "host", "more"] as const) {
      const altered = records.map((record) =>
        record.seq === 4
          ? ({ ...record, [field]: field === "at" || field === "more" ? 1 : "refused" } as AuditRecord)
          : record,
      );
      assert.equal(faults(altered), ["altered 4"], field);
    }
    const last = records.map((record) => (record.seq === 9 ? { ...record, target: "another" } : record));
    assert.equal(faults(last), ["head 9"]);
  });

  test("a record left out shows, wherever it stood", () => {
    assert.equal(faults(records.filter(({ seq }) => seq !== 4)), ["missing 4"]);
    assert.equal(faults(records.filter(({ seq }) => seq < 4 || seq > 6)), ["missing 4"]);
    assert.equal(faults(records.slice(0, 7)), ["head 8"], "the newest");
    assert.equal(faults(records.slice(0, 7), head, 2), [], "those that are still to be sent are not missing");
    assert.equal(faults(records.slice(0, 6), head, 2), ["head 7"]);
  });

  test("another order shows", () => {
    const [one, two, three, four, ...rest] = records;
    if (!one || !two || !three || !four) throw new Error("too short");
    assert.equal(faults([one, three, two, four, ...rest]), ["missing 2", "reordered 2"]);
  });

  test("a chain that began anew, a stranger's record, and a forged start show", () => {
    const other = chained(NO_HEAD, { id: key.public, host: "core1" }, entry("another")).record;
    assert.equal(faults([...records, other])[0], "forked 1");
    const stranger = { ...records[4], writer: createNkey("user").public } as AuditRecord;
    assert.equal(faults([...records.slice(0, 4), stranger, ...records.slice(4)]), ["foreign 5"]);
    assert.equal(faults([{ ...first, prev: "b".repeat(64) } as AuditRecord])[0], "altered 1");
    assert.equal(faults(records, chain(3).head), [], "it was asked before it wrote the rest");
    assert.equal(faults(records, { seq: 3, hash: "c".repeat(64) }), ["head 3"]);
  });

  test("a head is its host's own word, and for this asker", () => {
    const signature = signEd25519(key.key, headText(key.public, head, "n1")).toString("base64");
    assert.ok(headIsSigned(key.public, head, "n1", signature));
    assert.not(headIsSigned(key.public, head, "n2", signature));
    assert.not(headIsSigned(key.public, { ...head, seq: 8 }, "n1", signature));
    assert.not(headIsSigned(createNkey("user").public, head, "n1", signature));
  });
});
