/** A rollout in short: counted by batch, and named only where somebody has to know. */
import * as assert from "uvu/assert";
import { briefOf, RolloutBriefs } from "../../../../packages/controller/src/rollout/brief.ts";
import type { HostState, RolloutState } from "../../../../packages/controller/src/rollout/state.ts";
import { suite } from "../../../kit/suite.ts";

const NOW = 1_800_000_000_000;

const of = (state: HostState["state"], detail = ""): HostState => ({
  ...{ state, detail, at: NOW, published_at: null, was_silent: false },
});
const rollout = (generation: number, waves: string[][], hosts: Record<string, HostState>): RolloutState => ({
  ...{
    id: String(generation),
    generation,
    by: "alice",
    message: "no bogons",
    started_at: NOW,
    ended_at: null,
  },
  ...{ state: "running", wave: 1, waves, hosts, detail: "", wave_began_at: NOW },
});
type Change = { readonly key: string; readonly revision: number; readonly value: Uint8Array | null };
/** A bucket as it is asked for what is new. */
const bucket = (changes: () => readonly Change[]) => ({
  kv: () =>
    ({
      async *changes(after: number) {
        for (const change of changes()) if (change.revision > after) yield change;
      },
    }) as never,
});
const stored = (states: readonly unknown[]) => {
  const changes = states.map((state, at) => ({
    ...{ key: String(at), revision: at + 1, value: Buffer.from(JSON.stringify(state)) },
  }));
  return bucket(() => changes);
};

suite("rollouts in short", (test) => {
  test("each batch is counted, and who is fine or waits is not named; what is worst comes first", () => {
    const hosts = {
      core1: of("converged"),
      core2: of("published"),
      ixp1: of("silent", "not heard of"),
      ixp2: of("returned", "ixp3 failed"),
      ixp3: of("failed", "undone: upstream imported 12"),
      probe1: of("waiting"),
    };
    const brief = briefOf(rollout(44, [["core1", "core2"], ["ixp1", "ixp2", "ixp3"], ["probe1"]], hosts));
    assert.equal(brief.waves, [
      { converged: 1, published: 1 },
      { silent: 1, returned: 1, failed: 1 },
      { waiting: 1 },
    ]);
    assert.equal(
      brief.hosts.map(({ host, wave, detail }) => [host, wave, detail]),
      [
        ["ixp3", 1, "undone: upstream imported 12"],
        ["ixp2", 1, "ixp3 failed"],
        ["ixp1", 1, "not heard of"],
        ["core2", 0, ""],
      ],
    );
  });

  test("of many that went wrong so many are named, and the rest is counted", () => {
    const names = Array.from({ length: 250 }, (_, at) => `host${String(at).padStart(3, "0")}`);
    const brief = briefOf(rollout(1, [names], Object.fromEntries(names.map((name) => [name, of("failed")]))));
    assert.equal([brief.hosts.length, brief.left_out, brief.waves], [200, 50, [{ failed: 250 }]]);
  });

  test("the newest come first, as many as were asked for and fit; one that cannot be read hides no other", async () => {
    const long = Object.fromEntries(
      Array.from({ length: 150 }, (_, at) => [`host${at}`, of("failed", "x".repeat(2_000))]),
    );
    const states = [rollout(1, [], {}), "not a rollout", rollout(3, [], {}), rollout(2, [], {})];
    const { rollouts } = await new RolloutBriefs(stored(states)).page({ limit: 2 }, NOW);
    assert.equal(
      rollouts.map(({ generation }) => generation),
      [3, 2],
    );
    const big = [1, 2, 3, 4].map((generation) => rollout(generation, [], long));
    const page = await new RolloutBriefs(stored(big)).page({ limit: 20 }, NOW);
    assert.equal(
      page.rollouts.map(({ generation }) => generation),
      [4, 3],
    );
    assert.ok(JSON.stringify(page).length < 1_000_000);
    // In letters of two bytes one alone is as large as two of these, and is told all the same.
    const words = Object.fromEntries(
      Object.keys(long).map((name) => [name, of("failed", "ё".repeat(2_000))]),
    );
    const letters = new RolloutBriefs(stored([rollout(1, [], words), rollout(2, [], words)]));
    const told = await letters.page({ limit: 20 }, NOW);
    assert.is(told.rollouts.length, 1);
    assert.ok(Buffer.byteLength(JSON.stringify(told)) < 1_000_000);
    const many = Object.fromEntries(
      Array.from({ length: 200 }, (_, at) => [`host${at}`, of("failed", "ё".repeat(2_000))]),
    );
    const largest = new RolloutBriefs(stored([rollout(1, [], many)]));
    assert.is((await largest.page({ limit: 20 }, NOW)).rollouts.length, 1);
  });

  test("only what is new is read, others get their turn in between, and what changed or went is seen", async () => {
    let reads = 0;
    const entry = (generation: number, revision: number, message = "no bogons") => ({
      ...{ key: String(generation), revision },
      get value() {
        reads++;
        return Buffer.from(JSON.stringify({ ...rollout(generation, [], {}), message }));
      },
    });
    const gone = (generation: number, revision: number) => ({
      ...{ key: String(generation), revision, value: null },
    });
    let changes: Change[] = Array.from({ length: 30 }, (_, at) => entry(at + 1, at + 1));
    /** A key holds one value. */
    const write = (...news: Change[]) => {
      changes = [...changes.filter(({ key }) => !news.some((each) => each.key === key)), ...news];
    };
    const briefs = new RolloutBriefs(bucket(() => changes));
    let turns = 0;
    let going = true;
    const count = () => {
      turns++;
      if (going) setImmediate(count);
    };
    setImmediate(count);
    const told = async (limit: number, at = NOW) => {
      const { rollouts } = await briefs.page({ limit }, at);
      return rollouts.map(({ generation, message }) => `${generation} ${message}`);
    };
    const both = await Promise.all([told(2), told(1)]);
    assert.equal(both, [["30 no bogons", "29 no bogons"], ["30 no bogons"]]);
    going = false;
    assert.ok(turns >= 20, `${turns} turns`);
    assert.is(reads, 30, "and once for both");
    assert.is((await told(20)).length, 20);
    assert.is(reads, 30, "nothing changed");
    write(entry(3, 31), entry(30, 32, "undone"));
    assert.equal(await told(1), ["30 undone"]);
    assert.is(reads, 32);
    write(gone(1, 33));
    assert.is((await told(20)).length, 20);
    assert.is(reads, 32, "one that was not told");
    // The newest went: those behind them are told, though they were too old before.
    write(...Array.from({ length: 25 }, (_, at) => gone(at + 6, 34 + at)));
    assert.equal(await told(3), ["5 no bogons", "4 no bogons", "3 no bogons"]);
    // What goes without a word: by the bucket's limit, or because its stream was made anew and counts from the beginning.
    changes = [entry(7, 1), entry(8, 2)];
    assert.equal(await told(1, NOW + 3_600_000), ["8 no bogons"]);
    assert.is((await told(20, NOW + 3_600_000)).length, 2);
  });
});
