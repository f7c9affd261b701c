/** The decisions of the agent's loop: what is taken, what is put back, what is left. */
import {
  admission,
  admits,
  CORRECTIONS_WINDOW_MS,
  decide,
  type Handed,
  type Situation,
  takes,
} from "@muster/agent/decide";
import type { Accepted, Entry } from "@muster/agent/ledger";
import { hashOfContent, type Manifest, type Plan, planIndex, type Resource } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const file: Resource = {
  kind: "file",
  name: "/etc/motd",
  spec: { content: "x", owner: "root", group: "root", mode: "0644" },
  needs: [],
};
const bird: Resource = { kind: "bird", name: "main", spec: { config: "", expect: {} }, needs: [] };
const NOW = 10_000_000;

const entryOf = (resource: Resource, change: Partial<Entry> = {}): Entry => ({
  resource,
  spec_hash: "old",
  managed_hash: "left",
  made: true,
  applied_at: 1,
  corrected: [],
  overwritten: null,
  ...change,
});
const situation = (resource: Resource, change: Partial<Situation> = {}): Situation => ({
  resource,
  spec_hash: "old",
  differs: true,
  managed_hash: "edited",
  entry: entryOf(resource),
  undone: undefined,
  held: null,
  overwrite: false,
  edit: "edited by root 03:12",
  now_ms: NOW,
  ...change,
});
const code = (work: () => unknown) => {
  try {
    return work();
  } catch (error) {
    return error instanceof FleetError ? error.code : error;
  }
};

suite("decide: one resource", (test) => {
  test("a correction that was taken back is not tried again at once, and again after ten minutes", () => {
    const undone = { spec_hash: "old", why: "it ended with code 3", at: NOW - 1_000, crashed: false };
    assert.equal(decide(situation(file, { undone })), {
      action: "keep",
      why: "it ended with code 3",
      error: "UNDONE",
    });
    const later = { ...undone, at: NOW - CORRECTIONS_WINDOW_MS - 1 };
    assert.equal(decide(situation(file, { undone: later })), { action: "correct" });
  });

  test("what agrees is applied without a step", () => {
    assert.is(decide(situation(file, { differs: false, held: "held" })).action, "apply");
  });
  test("a hand edit of a file is put back, of BIRD left", () => {
    assert.is(decide(situation(file)).action, "correct");
    const left = decide(situation(bird));
    assert.equal(left, { action: "leave", drift: "left", why: "edited by root 03:12" });
  });
  test("on_drift of the resource wins over its kind's", () => {
    assert.equal(decide(situation({ ...file, on_drift: "ask" })), {
      action: "leave",
      drift: "asked",
      why: "edited by root 03:12",
    });
    assert.is(decide(situation({ ...bird, on_drift: "correct" })).action, "correct");
  });
  test("three corrections in ten minutes, then it stops; older ones do not count", () => {
    const corrected = [NOW - 3_000, NOW - 2_000, NOW - 1_000];
    const stopped = decide(situation(file, { entry: entryOf(file, { corrected }) }));
    assert.is(stopped.action === "keep" && stopped.error, "FAILED");
    const old = corrected.map((at) => at - CORRECTIONS_WINDOW_MS);
    assert.is(decide(situation(file, { entry: entryOf(file, { corrected: old }) })).action, "correct");
  });
  test("a new spec is applied, also where the host was edited and its kind corrects", () => {
    assert.is(decide(situation(file, { spec_hash: "new" })).action, "apply");
    assert.is(decide(situation(file, { entry: undefined })).action, "apply");
  });
  test("over a hand-edited BIRD only with --overwrite", () => {
    const kept = decide(situation(bird, { spec_hash: "new" }));
    assert.is(kept.action === "keep" && kept.error, "OVERWRITE");
    assert.is(decide(situation(bird, { spec_hash: "new", overwrite: true })).action, "apply");
    assert.is(decide(situation(bird, { spec_hash: "new", managed_hash: "left" })).action, "apply");
  });
  test("an undone spec waits for another; one that only lost its agent is tried once more", () => {
    const undone = { spec_hash: "new", why: "imports fell", at: 1, crashed: false };
    const kept = decide(situation(bird, { spec_hash: "new", managed_hash: "left", undone }));
    assert.is(kept.action === "keep" && kept.error, "UNDONE");
    const again = { spec_hash: "new", managed_hash: "left", undone: { ...undone, crashed: true } };
    assert.is(decide(situation(bird, again)).action, "apply");
    assert.is(decide(situation(bird, { spec_hash: "newer", managed_hash: "left", undone })).action, "apply");
  });
  test("a hold stops all of it", () => {
    const held = decide(situation(file, { spec_hash: "new", held: "held by root" }));
    assert.is(held.action === "keep" && held.error, "HELD");
  });
});

const LAPSES_MS = 90_000_000;
const content = (count: number) => ({
  groups: [],
  labels: {},
  switches: [],
  resources: Array.from({ length: count }, (_, at): Resource => ({ ...file, name: `/etc/${at}` })),
});
const opened = (generation: number, count: number, change: Partial<Manifest["intent"]> = {}): Handed => {
  const body = content(count);
  return {
    principal: {
      rank: "operator",
      name: "alice",
      fingerprint: "0".repeat(64),
      kit: false,
      guest: null,
      not_before_ms: 0,
      not_after_ms: 0,
    },
    by: "alice",
    kit: false,
    signed_at_ms: generation * 1_000,
    handed_out_ms: generation * 1_000,
    manifest: {
      v: 1,
      fleet: "lab",
      host: "a",
      id: "U",
      generation,
      release: { id: "r", return_to: null, not_after: LAPSES_MS },
      content: body,
      content_hash: hashOfContent(body),
      intent: { message: "", plan_index: null, overwrite: [], force: false, within_ms: null, ...change },
      rolled_back: {},
    },
  };
};
const accepted = (generation: number, count: number, signed_at = generation * 1_000): Accepted => ({
  generation,
  content_hash: hashOfContent(content(count)),
  signed_at,
  by: "alice",
  kit: false,
  admitted: true,
});
const managed = (count: number) => content(count).resources.map(({ name }) => `file/${name}`);
const held = (generation: number, count: number) => ({
  accepted: accepted(generation, count),
  refused: [],
  managed: managed(count),
});

suite("decide: a manifest", (test) => {
  test("a newer one is taken, the same one is no news", () => {
    assert.is(takes(opened(1, 3), { accepted: null, refused: [], managed: [] }), true);
    assert.is(takes(opened(6, 3), held(5, 3)), true);
    assert.is(takes(opened(5, 3), held(5, 3)), false);
  });
  test("older, or the same number with other content, or signed before, is refused", () => {
    assert.is(
      code(() => takes(opened(4, 3), held(5, 3))),
      "STALE_GENERATION",
    );
    assert.is(
      code(() => takes(opened(5, 4), held(5, 3))),
      "CONFLICT",
    );
    const later = { ...held(5, 3), accepted: accepted(5, 3, 1_000_000) };
    assert.is(
      code(() => takes(opened(6, 3), later)),
      "STALE_GENERATION",
    );
  });
  test("empty or drastically smaller needs force", () => {
    assert.is(
      code(() => takes(opened(6, 0), held(5, 3))),
      "MASS_REMOVAL",
    );
    assert.is(
      code(() => takes(opened(6, 4), held(5, 10))),
      "MASS_REMOVAL",
    );
    assert.is(takes(opened(6, 5), held(5, 10)), true);
    assert.is(takes(opened(6, 1), held(5, 4)), true);
    assert.is(takes(opened(6, 0, { force: true }), held(5, 10)), true);
    assert.is(takes(opened(1, 0), { accepted: null, refused: [], managed: [] }), true);
  });
  test("what was refused once is not looked at again", () => {
    const refused = [{ generation: 6, content_hash: hashOfContent(content(3)) }];
    assert.is(takes(opened(6, 3), { ...held(5, 3), refused }), false);
  });
  test("one that was handed out after its release had lapsed is refused, whenever the host sees it", () => {
    const late: Handed = { ...opened(6, 3), handed_out_ms: LAPSES_MS + 1 };
    assert.is(
      code(() => takes(late, held(5, 3))),
      "NOT_ALLOWED",
    );
    assert.is(takes({ ...late, handed_out_ms: LAPSES_MS }, held(5, 3)), true);
    assert.is(takes(late, held(6, 3)), false, "it is held already");
    const { manifest } = late;
    const forced = { ...manifest, intent: { ...manifest.intent, force: true } };
    assert.is(
      code(() => takes({ ...late, manifest: forced }, held(5, 3))),
      "NOT_ALLOWED",
    );
  });
  test("the plan must be the one that was shown", () => {
    const step: Plan["steps"][number] = {
      ref: "file//etc/0",
      action: "write",
      args: {},
      why: "it is not there",
      reversible: true,
    };
    const named = { content_hash: hashOfContent(content(1)), steps: [step] };
    const plan = { index: planIndex(named), steps: [step], waiting: [] };
    const other = opened(1, 1, { plan_index: "0".repeat(64) }).manifest;
    assert.is(
      code(() => admits(opened(1, 1).manifest, plan)),
      undefined,
    );
    assert.is(
      code(() => admits(opened(1, 1, { plan_index: planIndex(named) }).manifest, plan)),
      undefined,
    );
    assert.is(
      code(() => admits(other, plan)),
      "CONFLICT",
    );
    const done = { ...plan, steps: [] };
    assert.is(
      code(() => admits(other, done)),
      undefined,
      "a host that is so already",
    );
    const later = { ...done, waiting: [{ ref: step.ref, why: "held by root" }] };
    assert.is(
      code(() => admits(other, later)),
      "CONFLICT",
      "what waits would come unseen",
    );
  });
});

suite("admission", (test) => {
  const accepted = (generation: number, content_hash = "a"): Accepted => ({
    generation,
    content_hash,
    signed_at: 1,
    by: "alice",
    kit: false,
    admitted: false,
  });
  const in_force = { ...accepted(3), admitted: true };

  test("what was judged good comes into force, and the way back ends", () => {
    const change = admission({ accepted: accepted(4), in_force, refused: [] }, accepted(4), "good");
    const admitted = { ...accepted(4), admitted: true };
    assert.equal(change, { accepted: admitted, in_force: admitted, returned_to: null });
  });

  test("what was refused is remembered, and the one in force stays", () => {
    const change = admission({ accepted: accepted(4), in_force, refused: [] }, accepted(4), "refused");
    assert.equal(change, { accepted: in_force, refused: [{ generation: 4, content_hash: "a" }] });
  });

  test("a newer one that was accepted meanwhile is not touched by a verdict on the one before", () => {
    for (const verdict of ["good", "refused"] as const) {
      for (const newer of [accepted(5), accepted(4, "b"), null])
        assert.is(admission({ accepted: newer, in_force, refused: [] }, accepted(4), verdict), null);
    }
  });
});
