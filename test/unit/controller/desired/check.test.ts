/** What a release must be to be ordered. */
import { FleetError, type HostRecord, type Release } from "@muster/protocol";
import * as assert from "uvu/assert";
import { checkFree, checkHosts, checkRelease } from "../../../../packages/controller/src/desired/check.ts";
import type { Staged } from "../../../../packages/controller/src/desired/stage.ts";
import { abort } from "../../../../packages/controller/src/rollout/advance.ts";
import { beginRollout } from "../../../../packages/controller/src/rollout/state.ts";
import { suite } from "../../../kit/suite.ts";

const NOW = 1_800_000_000_000;
const ID = "c".repeat(32);
const HASH = "a".repeat(64);

const base: Release = {
  v: 1,
  id: ID,
  fleet: "lab",
  generation: 7,
  message: "",
  waves: [["a"], ["b"]],
  gate: { wave_timeout_ms: 1_000, max_failed: 0 },
  never_together: [],
  hosts: {
    a: { id: "UA", content_hash: HASH, return_to: null },
    b: { id: "UB", content_hash: HASH, return_to: HASH },
  },
  not_after: NOW + 1_000,
};
const record = (name: string, id: string, state: HostRecord["state"] = "enrolled") =>
  ({ name, id, state }) as HostRecord;
const staged: Record<string, Staged> = {
  a: { host: "a", generation: 7, content_hash: HASH, return_to: null, groups: [], labels: {} },
  b: { host: "b", generation: 7, content_hash: HASH, return_to: HASH, groups: [], labels: {} },
};
const records: Record<string, HostRecord> = { a: record("a", "UA"), b: record("b", "UB") };

function refused(work: () => void): string {
  try {
    work();
  } catch (error) {
    if (error instanceof FleetError) return `${error.code} ${error.detail}`;
    throw error;
  }
  return "taken";
}
const check = (change: Partial<Release>, rollout = ID) =>
  refused(() => checkRelease({ ...base, ...change }, rollout, "lab", NOW));
const hosts = (r: Record<string, HostRecord>, s: Record<string, Staged>) =>
  refused(() =>
    checkHosts(
      base,
      (name) => r[name],
      (name) => s[name],
    ),
  );

suite("apply: what is checked", (test) => {
  test("takes what is right", () => {
    assert.is(check({}), "taken");
    assert.is(hosts(records, staged), "taken");
    assert.is(
      refused(() => checkFree(base, [])),
      "taken",
    );
  });
  test("the release in itself", () => {
    assert.match(check({}, "d".repeat(32)), /^WRONG_TARGET/);
    assert.match(check({ fleet: "other" }), /^WRONG_TARGET/);
    assert.match(check({ not_after: NOW - 1 }), /^INVALID the release lapsed/);
    assert.match(check({ waves: [["a"]] }), /^INVALID release: in no wave: b/);
    assert.match(check({ waves: [["a"], ["b", "a"]] }), /^INVALID release: a is in the waves twice/);
    assert.match(check({ waves: [["a"], ["b", "z"]] }), /^INVALID release: z is in a wave/);
  });
  test("against what is enrolled", () => {
    assert.match(hosts({ a: record("a", "UA") }, staged), /^WRONG_TARGET b is not/);
    assert.match(hosts({ ...records, b: record("b", "UX") }, staged), /^WRONG_TARGET b is not/);
    assert.match(hosts({ ...records, b: record("b", "UB", "retired") }, staged), /^WRONG_TARGET b is not/);
  });
  test("against what is staged", () => {
    const { a, b } = staged;
    assert.ok(a && b);
    assert.match(hosts(records, { a }), /^INVALID no manifest is staged for b/);
    for (const wrong of [
      { ...b, content_hash: "b".repeat(64) },
      { ...b, return_to: null, groups: [], labels: {} },
      { ...b, generation: 6 },
      { ...b, host: "a" },
    ])
      assert.match(
        hosts(records, { a, b: wrong }),
        /^INVALID what is staged is not what the release names: b/,
      );
  });
  test("against what runs", () => {
    const running = beginRollout({ ...base, id: "d".repeat(32), generation: 6 }, "bob", NOW);
    assert.match(
      refused(() => checkFree(base, [running])),
      /^ROLLOUT_BUSY generation 6 by bob: a, b/,
    );
    assert.is(
      refused(() => checkFree(base, [abort(running, "bob", NOW)])),
      "taken",
    );
    const elsewhere = { ...running, hosts: { z: running.hosts.a ?? assert.unreachable() } };
    assert.is(
      refused(() => checkFree(base, [elsewhere as typeof running])),
      "taken",
    );
  });
});
