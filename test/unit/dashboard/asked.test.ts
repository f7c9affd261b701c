/** What the page asks controllers for: while somebody looks, once until it is due, and no more of it than it can hold. */
import type { Sample } from "@muster/protocol/telemetry/index";
import * as assert from "uvu/assert";
import { AuditTrail } from "../../../packages/dashboard/src/audit-trail.ts";
import { Questions } from "../../../packages/dashboard/src/questions.ts";
import { type Kept, Samples } from "../../../packages/dashboard/src/samples.ts";
import { suite } from "../../kit/suite.ts";
import { collected } from "./told.ts";

const NOW = 1_800_000_000_000;
const turn = () => new Promise((resolve) => setImmediate(resolve));

suite("what the page asks for", (test) => {
  test("a question is asked when it is due or stale, never twice at once, and a failure keeps the answer of before", async () => {
    const asked: string[] = [];
    let answer = (): Promise<unknown> => Promise.resolve({ events: ["one"] });
    const ask = (method: string) => {
      asked.push(method);
      return answer();
    };
    const questions = new Questions(ask as never, () => undefined);
    const question = { since: null, limit: 10 };
    const want = (at_ms: number) => questions.want("events", question, 60_000, NOW + at_ms);
    assert.equal(questions.answer("events", question), { value: null, why: null });
    want(0);
    want(1);
    await turn();
    want(59_999);
    assert.equal(asked.length, 1);
    assert.equal(questions.answer("events", question).value as unknown, { events: ["one"] });
    answer = () => Promise.reject(new Error("no controller"));
    want(60_000);
    await turn();
    assert.equal(questions.answer("events", question) as unknown, {
      value: { events: ["one"] },
      why: "no controller",
    });
    // Sooner than an answer would be asked again.
    want(69_999);
    want(70_000);
    assert.equal(asked.length, 3);
    questions.stale("alerts");
    questions.stale("events");
    await turn();
    answer = () => Promise.resolve({ events: ["two"] });
    want(80_001);
    await turn();
    assert.equal(questions.answer("events", question) as unknown, { value: { events: ["two"] }, why: null });
    for (let limit = 11; limit < 80; limit++) questions.want("events", { since: null, limit }, 60_000, NOW);
    await turn();
    assert.is(questions.answer("events", question).value, null, "what nobody looks at any more is let go");
  });

  test("samples are held of what is looked at: asked once, then as they are told, the newer of the two", async () => {
    const { certificates } = collected(NOW);
    const asked: (string | null)[] = [];
    let fails = true;
    const ask = async (_: string, host: string | null) => {
      asked.push(host);
      if (fails) throw new Error("no controller");
      const kept: Kept<"certificates"> = { heard_at: NOW - 5_000, sample: certificates };
      return new Map([[host ?? "core1", kept]]);
    };
    const samples = new Samples(ask as never, () => undefined);
    const tell = (host: string, at: number) =>
      samples.take("certificates", host, { ...certificates, at } as Sample<"certificates">, at);
    tell("ixp1", NOW);
    assert.is(samples.of("certificates", "ixp1"), undefined);
    samples.want("certificates", "ixp1", NOW);
    await turn();
    assert.equal(samples.lack("certificates", "ixp1"), {
      next_ms: NOW + 10_000,
      why: "no controller",
      whole: false,
    });
    fails = false;
    samples.want("certificates", "ixp1", NOW + 9_999);
    tell("ixp1", NOW);
    samples.want("certificates", "ixp1", NOW + 10_000);
    await turn();
    samples.want("certificates", "ixp1", NOW + 1e9);
    assert.equal(asked, ["ixp1", "ixp1"]);
    assert.is(
      samples.of("certificates", "ixp1")?.heard_at,
      NOW,
      "what was heard is newer than what was kept",
    );
    samples.forget();
    samples.want("certificates", "ixp1", NOW + 20_000);
    assert.equal(asked.length, 3);
    for (let count = 0; count < 60; count++) samples.want("services", `host${count}`, NOW);
    await turn();
    assert.is(samples.of("certificates", "ixp1"), undefined, "sixty others were looked at since");
    samples.want("certificates", null, NOW);
    await turn();
    tell("probe1", NOW);
    assert.equal([...samples.all("certificates").keys()], ["core1", "probe1"]);
  });

  test("of a kind that nobody looks at over the whole fleet any more, the hosts that are looked at stay; the least looked at goes", async () => {
    const { certificates } = collected(NOW);
    const kept: Kept<"certificates"> = { heard_at: NOW, sample: certificates };
    const ask = async (_: string, host: string | null) =>
      new Map((host === null ? ["core1", "ixp1"] : [host]).map((name) => [name, kept]));
    const samples = new Samples(ask as never, () => undefined);
    const look = async (kind: "certificates" | "services", host: string | null) => {
      samples.want(kind, host, NOW);
      await turn();
    };
    await look("certificates", "ixp1");
    await look("certificates", null);
    for (let count = 0; count < 58; count++) await look("services", `host${count}`);
    // Asked for first of all, and looked at still.
    await look("certificates", "ixp1");
    await look("services", "host58");
    assert.equal([...samples.all("certificates").keys()], ["ixp1"]);
    assert.is(samples.lack("certificates", "ixp1").whole, true);
    assert.is(samples.lack("certificates", null).whole, false);
    assert.is(samples.lack("services", "host0").whole, true);
  });

  test("of the audit no more is read than is kept, however long the span, and then only what is new", async () => {
    const HOUR_MS = 3_600_000;
    const WEEK_MS = 168 * HOUR_MS;
    /** The stream: a record a minute, and nothing in the newest two hours. */
    const stored: { at: number; stored_at: number }[] = [];
    for (let at = 1; at <= 20_000; at++)
      stored.push({ at, stored_at: NOW - 2 * HOUR_MS - (20_000 - at) * 60_000 });
    let [read, fails] = [0, true];
    const ask = async ({ since, after, limit }: { since: number | null; after: number; limit: number }) => {
      if (read > 200 && fails) {
        fails = false;
        throw new Error("no controller");
      }
      const all = stored.filter((each) => (after > 0 ? each.at > after : each.stored_at >= (since ?? 0)));
      const records = all.slice(0, Math.min(limit, 700)).map((each) => ({
        ...{ ...each, subject_of: "U", late_ms: 0, record: "none" },
      }));
      read += records.length;
      return { records, next: records.length < all.length ? (records.at(-1)?.at ?? null) : null };
    };
    const trail = new AuditTrail(ask as never, () => undefined);
    const look = async (at_ms: number, span_ms: number) => {
      trail.want(NOW - span_ms, NOW + at_ms);
      for (let each = 0; each < 30; each++) await turn();
      return trail.trail.lines.map(({ at }) => at);
    };
    await look(0, WEEK_MS);
    assert.is(trail.trail.why, "no controller");
    const week = await look(10_000, WEEK_MS);
    assert.equal([week.length, week[0], week.at(-1)], [2_000, 18_001, 20_000]);
    assert.equal([trail.trail.whole, trail.trail.full], [true, true]);
    assert.ok(read < 4_000, `${read} records were read for 2,000`);
    const before = read;
    stored.push({ at: 20_001, stored_at: NOW + 11_000 });
    assert.is((await look(20_000, WEEK_MS)).at(-1), 20_001);
    assert.is(read - before, 1);
    const day = await look(30_000, 5 * HOUR_MS);
    assert.equal([day.length, day[0], trail.trail.full], [182, 19_820, false]);
  });
});
