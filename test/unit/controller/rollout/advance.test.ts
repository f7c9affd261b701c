/** The state machine of a rollout, without anything around it: time and the hosts' words are given. */
import type { Release } from "@muster/protocol";
import { SILENT_AFTER_MS } from "@muster/protocol/telemetry/convergence";
import * as assert from "uvu/assert";
import { abort, advance } from "../../../../packages/controller/src/rollout/advance.ts";
import { beginRollout, type RolloutState } from "../../../../packages/controller/src/rollout/state.ts";
import {
  type HostFact,
  PASSED_OVER_AFTER_MS,
  SILENT_GRACE_MS,
} from "../../../../packages/controller/src/rollout/verdict.ts";
import { suite } from "../../../kit/suite.ts";

const T0 = 1_800_000_000_000;
const HASH = "a".repeat(64);
const OLD = "b".repeat(64);
const ID = "c".repeat(32);

function release(waves: string[][], more: Partial<Release> = {}): Release {
  return {
    v: 1,
    id: ID,
    fleet: "lab",
    generation: 44,
    message: "",
    waves,
    gate: { wave_timeout_ms: 60_000, max_failed: 0 },
    never_together: [],
    hosts: Object.fromEntries(
      waves.flat().map((name) => [name, { id: `U${name}`, content_hash: HASH, return_to: OLD }]),
    ),
    not_after: T0 + 3_600_000,
    ...more,
  };
}

/** A rollout that is driven by hand. */
function play(rules: Release) {
  const facts = new Map<string, HostFact>();
  const alive: HostFact = {
    heard_at: T0,
    changed_at: T0 - 60_000,
    convergence: { state: "converged", generation: 43, content_hash: OLD, release: null, detail: "" },
    unpublishable: null,
  };
  let state: RolloutState = beginRollout(rules, "alice", T0);
  const notes: string[] = [];
  const published: string[][] = [];
  return {
    facts,
    notes,
    published,
    get state() {
      return state;
    },
    of: (name: string) => state.hosts[name]?.state,
    says(
      name: string,
      said: Partial<NonNullable<HostFact["convergence"]>>,
      at: number,
      fact: Partial<HostFact> = {},
    ) {
      const convergence = {
        state: "converged" as const,
        generation: 44,
        content_hash: HASH,
        release: ID,
        detail: "",
        ...said,
      };
      facts.set(name, { heard_at: at, changed_at: at, convergence, unpublishable: null, ...fact });
    },
    silent: (name: string) => facts.set(name, { ...alive, heard_at: T0 - 60_000 }),
    at(now: number) {
      const known = (name: string) => {
        const fact = facts.get(name) ?? alive;
        // Everybody else goes on speaking.
        return facts.has(name) ? fact : { ...fact, heard_at: now };
      };
      const next = advance(state, rules, known, now);
      state = next.state;
      if (next.publish.length > 0) published.push([...next.publish]);
      notes.push(...next.notes.map((note) => note.what));
      return next;
    },
    abort: (now: number) => {
      state = abort(state, "bob", now);
    },
  };
}

suite("rollout: the state machine", (test) => {
  test("goes wave by wave, each at the word of its last host", () => {
    const game = play(release([["a"], ["b", "c"]]));
    assert.equal(game.at(T0).publish, ["a"]);
    assert.is(game.at(T0 + 10).state, game.state);
    game.says("a", { state: "applying" }, T0 + 20);
    assert.equal(game.at(T0 + 20).publish, []);
    game.says("a", {}, T0 + 30);
    assert.equal(game.at(T0 + 30).publish, ["b", "c"]);
    game.says("c", {}, T0 + 40);
    assert.equal(game.at(T0 + 40).publish, []);
    game.says("b", {}, T0 + 50);
    const end = game.at(T0 + 50);
    assert.equal([end.state.state, end.state.ended_at, end.wake_at], ["done", T0 + 50, null]);
    assert.equal(game.notes, ["wave 1 of 2 is done", "rollout of generation 44 is done"]);
  });

  test("nothing changed is the same object, and the state given is never written to", () => {
    const game = play(release([["a"], ["b"]]));
    const before = game.state;
    const text = JSON.stringify(before);
    game.at(T0);
    assert.is(JSON.stringify(before), text);
    const running = game.state;
    game.at(T0 + 1);
    assert.is(game.state, running);
  });

  test("another content under the same number has not converged, a higher number has", () => {
    const game = play(release([["a"]]));
    game.at(T0);
    game.says("a", { content_hash: OLD, release: "d".repeat(32) }, T0 + 10);
    assert.is(game.at(T0 + 10).state.state, "running");
    game.says("a", { generation: 45, content_hash: OLD }, T0 + 20);
    assert.is(game.at(T0 + 20).state.state, "done");
  });

  for (const [state, said] of [
    ["failed", { generation: 44 }],
    ["undone", { generation: 44 }],
    ["undone", { generation: 43, release: null }],
    ["refused", { generation: 43, release: null }],
  ] as const) {
    test(`${state} at generation ${said.generation} stops it before the next wave, and names who was not begun`, () => {
      const game = play(release([["a"], ["b"]]));
      game.at(T0);
      game.says("a", { ...said, state, detail: "upstream imported 12" }, T0 + 10);
      const end = game.at(T0 + 10);
      assert.equal(end.publish, []);
      assert.is(end.state.state, "failed");
      assert.is(end.state.detail, "1 failed, 0 allowed: a; not begun: b");
      assert.is(end.state.hosts.a?.detail, `${state}: upstream imported 12`);
      assert.match(game.notes[0] ?? "", /^rollout of generation 44 stopped/);
    });
  }

  test("a refusal from before the manifest went out is not about it", () => {
    const game = play(release([["a"]]));
    game.says("a", { state: "refused", generation: 43, release: null }, T0 - 5);
    game.at(T0);
    assert.is(game.at(T0 + 10).state.state, "running");
  });

  test("as many may fail as the gate allows", () => {
    const game = play(release([["a", "b"], ["c"]], { gate: { wave_timeout_ms: 60_000, max_failed: 1 } }));
    game.at(T0);
    game.says("a", { state: "failed" }, T0 + 10);
    game.at(T0 + 10);
    game.says("b", {}, T0 + 20);
    assert.equal(game.at(T0 + 20).publish, ["c"]);
    game.says("c", {}, T0 + 30);
    assert.equal([game.at(T0 + 30).state.state, game.state.detail], ["done", "failed: a"]);
  });

  test("who was silent before gets its manifest and a short grace, and is named at the end", () => {
    const game = play(release([["a", "b"], ["c"]]));
    game.silent("a");
    const first = game.at(T0);
    assert.equal([first.publish, first.wake_at], [["a", "b"], T0 + SILENT_GRACE_MS]);
    game.says("b", {}, T0 + 10);
    assert.equal(game.at(T0 + 10).publish, []);
    assert.equal(game.at(T0 + SILENT_GRACE_MS).publish, ["c"]);
    // It comes back while the rollout goes on.
    game.says("a", { state: "applying" }, T0 + SILENT_GRACE_MS + 5);
    game.at(T0 + SILENT_GRACE_MS + 5);
    assert.is(game.of("a"), "silent");
    game.says("c", {}, T0 + SILENT_GRACE_MS + 10);
    assert.equal([game.at(T0 + SILENT_GRACE_MS + 10).state.state, game.state.detail], ["done", "silent: a"]);
  });

  test("who fell silent a moment ago is not passed over as soon as who is off", () => {
    const game = play(release([["a", "b"], ["c"]]));
    const heard_at = T0 - SILENT_AFTER_MS - 1;
    game.facts.set("a", { heard_at, changed_at: null, convergence: null, unpublishable: null });
    const over_at = heard_at + PASSED_OVER_AFTER_MS;
    assert.ok(over_at > T0 + SILENT_GRACE_MS);
    game.at(T0);
    game.says("b", {}, T0 + 10);
    assert.is(game.at(T0 + 10).wake_at, over_at);
    game.at(over_at - 1);
    assert.is(game.of("a"), "published");
    assert.equal(game.at(over_at).publish, ["c"]);
    assert.is(game.of("a"), "silent");
  });

  test("who is heard within the grace is waited for", () => {
    const game = play(release([["a"]]));
    game.silent("a");
    game.at(T0);
    game.says("a", { generation: 43, content_hash: OLD, release: null }, T0 + 100);
    // What is over is not waited for.
    assert.ok((game.at(T0 + SILENT_GRACE_MS + 1).wake_at ?? 0) > T0 + SILENT_GRACE_MS + 1);
    assert.is(game.of("a"), "published");
  });

  test("who falls silent with its manifest in hand holds the wave, and stops it in the end", () => {
    const game = play(release([["a", "b", "d"], ["c"]]));
    game.at(T0);
    game.says("a", {}, T0 + 10);
    game.facts.set("b", { heard_at: T0, changed_at: null, convergence: null, unpublishable: null });
    const held = game.at(T0 + 30_000);
    assert.equal([held.publish, held.wake_at], [[], T0 + 60_000]);
    const end = game.at(T0 + 60_000);
    assert.is(end.state.state, "failed");
    assert.is(end.state.detail, "wave 1 not done after 60 s; silent: b; not converged: d; not begun: c");
    assert.equal([game.of("b"), game.of("d"), game.of("c")], ["silent", "failed", "waiting"]);
  });

  test("hosts of one failure domain go one after another, the rest of the wave beside them", () => {
    const game = play(
      release([["a", "b", "c", "d"]], {
        never_together: [
          ["a", "b"],
          ["b", "c"],
        ],
      }),
    );
    assert.equal(game.at(T0).publish, ["a", "c", "d"]);
    game.says("a", {}, T0 + 10);
    assert.equal(game.at(T0 + 10).publish, []);
    game.says("c", {}, T0 + 20);
    assert.equal(game.at(T0 + 20).publish, ["b"]);
  });

  test("a manifest that cannot be published is a failure with its reason", () => {
    const game = play(release([["a"]]));
    game.at(T0);
    game.facts.set("a", {
      heard_at: T0,
      changed_at: null,
      convergence: null,
      unpublishable: "its manifest is gone",
    });
    assert.equal(
      [game.at(T0 + 10).state.state, game.state.hosts.a?.detail],
      ["failed", "its manifest is gone"],
    );
  });

  test("a lapsed release goes no further", () => {
    const game = play(release([["a"], ["b"]], { not_after: T0 + 5_000 }));
    game.at(T0);
    game.says("a", {}, T0 + 6_000);
    const end = game.at(T0 + 6_000);
    assert.equal([end.publish, end.state.state], [[], "failed"]);
    assert.match(end.state.detail, /lapsed/);
  });

  test("an aborted one orders nothing, and an ended one cannot be aborted", () => {
    const game = play(release([["a"], ["b"]]));
    game.at(T0);
    game.abort(T0 + 5);
    game.says("a", {}, T0 + 10);
    const after = game.at(T0 + 10);
    assert.equal(
      [after.publish, after.state.state, after.state.detail],
      [[], "aborted", "aborted by bob; not begun: b"],
    );
    game.abort(T0 + 20);
    assert.is(game.state.ended_at, T0 + 5);
  });
});
