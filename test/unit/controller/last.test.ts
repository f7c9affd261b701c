// limit: 100 s
/** Last values of a controller that starts while the broker still writes down what hosts told before. */
import { callController } from "@muster/ports/call";
import { type Convergence, subjects, verifierOf, watched } from "@muster/protocol";
import type { ControlReply } from "@muster/protocol/control/index";
import { FRESH_PERIODS, SAMPLE_BYTES, SAMPLE_TAKEN_BYTES, TELEMETRY } from "@muster/protocol/telemetry/index";
import * as assert from "uvu/assert";
import { LastValues } from "../../../packages/controller/src/telemetry/last.ts";
import { startController } from "../../kit/controller.ts";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { makeHost, type TestHost } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";

suite("last values", (test) => {
  const id = `U${"A".repeat(55)}`;
  const subject = subjects.telemetry(id, "core1", "convergence");
  const said = (generation: number) => Buffer.from(JSON.stringify({ ...watched(1, "0.1.0"), generation }));
  const held = () => {
    const last = new LastValues({ byName: () => ({ id }) } as never);
    return { last, generation: () => last.convergence("core1").sample?.generation ?? null };
  };
  /** A stream that holds this, stored at that time. */
  const stream = (generation: number, stored_at: number, seq: number) => ({
    async *readAll(_stream: string, _filter: string, { from_seq = 1 } = {}) {
      if (seq >= from_seq) yield { subject, body: said(generation), headers: {}, seq, stored_at };
    },
  });

  test("what the broker writes down late is not newer than what was heard meanwhile", async () => {
    const { last, generation } = held();
    last.take(subject, said(2), 10_000);
    await last.load(stream(1, 20_000, 1));
    assert.is(generation(), 2);
    // Cut off, the stream is the newer one.
    last.cut();
    await last.load(stream(3, 30_000, 2));
    assert.is(generation(), 3);
    await last.load(stream(1, 5_000, 1));
    assert.is(generation(), 3);
  });

  test("a kind that cannot be read is red as long as it is told, and not for ever after a downgrade", async () => {
    const record = { id, state: "enrolled" };
    const last = new LastValues({ byName: () => record } as never);
    const about = (now_ms: number) =>
      last.view("core1", now_ms)?.faults?.flatMap(({ faults }) => faults.map(({ what }) => what)) ?? [];
    assert.is(
      last.take(subjects.telemetry(id, "core1", "packages"), Buffer.from("{}"), 10_000).result,
      "invalid",
    );
    const fresh_ms = TELEMETRY.packages.period_ms * FRESH_PERIODS;
    assert.match(about(10_000 + fresh_ms)[0] ?? "", /what it tells of packages cannot be read here/);
    assert.equal(about(10_001 + fresh_ms), []);
  });

  test("an agent from before may tell 512 KiB of one kind, and one of now does not", () => {
    const { last, generation } = held();
    const sized = (generation: number, bytes: number) =>
      Buffer.concat([said(generation)], bytes).fill(" ", said(generation).length);
    assert.is(last.take(subject, sized(4, 524_288), 10_000).result, "changed");
    assert.is(last.take(subject, sized(5, 524_289), 20_000).result, "invalid");
    assert.is(generation(), 4);
    assert.ok(SAMPLE_BYTES < SAMPLE_TAKEN_BYTES);
  });

  test("it reads on until nothing new comes, and takes each once", async ({ signal }) => {
    const { last, generation } = held();
    await last.load(stream(1, 10_000, 1));
    let reads = 0;
    const behind = {
      async *readAll(stream_name: string, filter: string, from = {}) {
        yield* stream(++reads < 3 ? 1 : 2, 20_000, reads < 3 ? 1 : 2).readAll(stream_name, filter, from);
      },
    };
    await last.readOn(behind, signal, 1);
    assert.is(generation(), 2);
    assert.is(reads, 6, "twice in vain, then something, then three times in vain");
  });
});

/** More than this broker stores in the time in which a controller starts; less than it lets wait for a stream (10,000). */
const TOLD = 1_000;

suite(
  "last values at the start",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let core1: TestHost;
    let hosts: ReadonlyMap<string, TestHost>;
    test.before(async () => {
      fleet = await startFleet();
      const { bus } = await fleet.connect("controller", "setup", life.signal);
      const made = ["core1", "ixp1", "probe1"].map(async (name) => {
        const host = await makeHost(fleet, name, bus, verifierOf(fleet.bundle), life.signal);
        return [name, host] as const;
      });
      hosts = new Map(await Promise.all(made));
      core1 = hosts.get("core1") as TestHost;
    });
    test.after(async () => {
      life.abort();
      await fleet.stop();
    });

    test("what was told before it listened, and was stored after it had read, is there all the same", async () => {
      const subject = subjects.telemetry(core1.id, "core1", "convergence");
      for (let generation = 1; generation <= TOLD; generation++) {
        const said = { ...watched(Date.now(), "0.1.0"), generation };
        core1.bus.publish(subject, Buffer.from(JSON.stringify(said)));
      }
      await core1.bus.roundTrip();
      const controller = await startController(fleet);
      try {
        const { bus } = await fleet.connect("viewer", "vera", life.signal);
        const caller = { bus, signer: await fleet.person("vera", "viewer"), now: Date.now };
        const newest = async () => {
          const { values } = await callController(caller, "last", {
            kind: "convergence",
            after: null,
            limit: 1,
          });
          return (values[0]?.sample as { generation?: number } | undefined)?.generation;
        };
        console.log(`  at first it has number ${await newest()} of ${TOLD}`);
        await eventually(async () => assert.is(await newest(), TOLD), 50_000);
      } finally {
        await controller.stop();
      }
    });

    test("page by page: nothing is missing and nothing comes twice, by count and where samples are too large", async () => {
      const controller = await startController(fleet);
      try {
        const { bus } = await fleet.connect("viewer", "wanda", life.signal);
        const caller = { bus, signer: await fleet.person("wanda", "viewer"), now: Date.now };
        const pages = async (limit: number) => {
          const told: (readonly [host: string, detail: string, troubles: number])[][] = [];
          let after: string | null = null;
          do {
            const page: ControlReply<"last"> = await callController(caller, "last", {
              kind: "convergence",
              after,
              limit,
            });
            told.push(
              page.values.map(({ host, sample }) => {
                const { detail, troubles } = sample as Convergence;
                return [host, detail, troubles.length];
              }),
            );
            after = page.next;
            assert.ok(told.length < 10, "it does not end");
          } while (after !== null);
          return told;
        };
        const say = (troubles: Convergence["troubles"]) => {
          for (const [name, host] of hosts) host.say({ detail: `of ${name}`, troubles });
        };
        say([]);
        await eventually(
          async () =>
            assert.equal(await pages(1), [
              [["core1", "of core1", 0]],
              [["ixp1", "of ixp1", 0]],
              [["probe1", "of probe1", 0]],
            ]),
          20_000,
        );
        assert.equal(
          (await pages(2)).map((page) => page.length),
          [2, 1],
        );
        assert.equal(
          (await pages(3)).map((page) => page.length),
          [3],
        );
        // Some 240 kB each: two of them are more than a page.
        const large = { ref: "file//etc/motd", what: "x".repeat(2_000), since: 1 } as const;
        say(Array.from({ length: 120 }, () => large));
        await eventually(
          async () =>
            assert.equal(await pages(500), [
              [
                ["core1", "of core1", 120],
                ["ixp1", "of ixp1", 120],
              ],
              [["probe1", "of probe1", 120]],
            ]),
          20_000,
        );
      } finally {
        await controller.stop();
      }
    });
  },
  { limit_ms: 75_000 },
);
