/** What a host should be, in what order hosts are changed, and what became of them: the pure parts of an apply. */
import { type Manifest, type ManifestContent, Resource } from "@muster/protocol";
import type { Convergence } from "@muster/protocol/telemetry/convergence";
import * as assert from "uvu/assert";
import { desiredOf, hashOfSpec, rolledBack } from "../../../../packages/ctl/src/apply/desired.ts";
import { exitOf, Outcomes } from "../../../../packages/ctl/src/apply/outcome.ts";
import { gateOf, orderOf, silentLast } from "../../../../packages/ctl/src/apply/waves.ts";
import type { CompiledHost } from "../../../../packages/ctl/src/inventory/fleet.ts";
import { suite } from "../../../kit/suite.ts";

const file = (name: string, content: string, needs: string[] = []) =>
  Resource.parse({ kind: "file", name, spec: { content }, needs });
const bird = Resource.parse({
  kind: "bird",
  name: "main",
  spec: { config: "router id 1.2.3.4;" },
  needs: [],
});
const compiled = (resources: Resource[], absent: string[] = []): CompiledHost => ({
  host: "ixp1",
  groups: ["ixp"],
  labels: { site: "ams" },
  resources,
  absent,
});
const content = (resources: Resource[]): ManifestContent => ({
  groups: ["old"],
  labels: {},
  resources,
  switches: [],
});
const last = (resources: Resource[], rolled_back: Manifest["rolled_back"] = {}) => ({
  content: content(resources),
  rolled_back,
});
const texts = (made: { content: ManifestContent }) =>
  made.content.resources.map(
    (each) => `${each.name}=${each.kind === "file" ? each.spec.content : each.kind}`,
  );
const at = (name: string) => ({ name, at: { file: "muster.yml", line: 1, column: 1 } });

suite("desired content", (test) => {
  const motd = "file//etc/motd";

  test("without --only it is the folder's", () => {
    const made = desiredOf(
      compiled([file("/etc/motd", "new")]),
      last([file("/etc/motd", "old"), file("/etc/gone", "x")]),
      null,
    );
    assert.equal(texts(made), ["/etc/motd=new"]);
    assert.equal(made.content.groups, ["ixp"]);
  });

  test("--only keeps everything else as signed, groups too, and says what differs outside", () => {
    const signed = last([file("/etc/a", "old a"), file("/etc/b", "old b"), file("/etc/gone", "x")]);
    const folder = compiled([file("/etc/a", "new a"), file("/etc/b", "new b"), file("/etc/new", "n")]);
    const made = desiredOf(folder, signed, new Set(["file//etc/b"]));
    assert.equal(texts(made).sort(), ["/etc/a=old a", "/etc/b=new b", "/etc/gone=x"]);
    assert.equal(made.content.groups, ["old"]);
    assert.equal([...made.outside].sort(), ["file//etc/a", "file//etc/gone", "file//etc/new"]);
    assert.equal(
      texts(desiredOf(folder, signed, new Set(["file//etc/gone"]))).includes("/etc/gone=x"),
      false,
    );
  });

  test("dependencies come first, also where old and new are mixed, and a need that is not there is dropped", () => {
    const signed = last([file("/etc/b", "b")]);
    const folder = compiled([
      file("/etc/z", "z"),
      file("/etc/b", "b", ["file//etc/z"]),
      file("/etc/c", "c", ["file//etc/none"]),
    ]);
    const made = desiredOf(folder, signed, null);
    assert.equal(texts(made), ["/etc/z=z", "/etc/b=b", "/etc/c=c"]);
    assert.equal(made.content.resources[2]?.needs, []);
  });

  test("what was rolled back is held while the folder has what failed, and no longer", () => {
    const failed = file("/etc/motd", "bad");
    const signed = last([file("/etc/motd", "good")], { [motd]: hashOfSpec(failed) });
    const held = desiredOf(compiled([failed]), signed, null);
    assert.equal(texts(held), ["/etc/motd=good"]);
    assert.equal(
      held.held_back.map(({ ref }) => ref),
      [motd],
    );
    assert.equal(held.rolled_back, signed.rolled_back);
    const moved = desiredOf(compiled([file("/etc/motd", "better")]), signed, null);
    assert.equal(texts(moved), ["/etc/motd=better"]);
    assert.equal(moved.rolled_back, {});
  });

  test("a resource that was rolled back to nothing stays away", () => {
    const failed = file("/etc/new", "bad");
    const signed = last([], { "file//etc/new": hashOfSpec(failed) });
    assert.equal(texts(desiredOf(compiled([failed]), signed, null)), []);
    const removed = last([file("/etc/old", "x")], { "file//etc/old": hashOfSpec(undefined) });
    const kept = desiredOf(compiled([]), removed, null);
    assert.equal(texts(kept), ["/etc/old=x"], "its removal was taken back");
  });

  test("BIRD goes only when the folder says absent", () => {
    const kept = desiredOf(compiled([]), last([bird]), null);
    assert.equal(texts(kept), ["main=bird"]);
    assert.equal(
      kept.held_back.map(({ ref }) => ref),
      ["bird/main"],
    );
    assert.equal(texts(desiredOf(compiled([], ["bird/main"]), last([bird]), null)), []);
  });

  test("a rollback takes back what is asked for and remembers what failed", () => {
    const now = last([file("/etc/a", "a2"), file("/etc/b", "b2"), file("/etc/new", "n")]);
    const before = content([file("/etc/a", "a1"), file("/etc/b", "b1"), file("/etc/gone", "g")]);
    const one = rolledBack(now, before, new Set(["file//etc/a"]));
    assert.equal(texts(one).sort(), ["/etc/a=a1", "/etc/b=b2", "/etc/new=n"]);
    assert.equal(one.rolled_back, { "file//etc/a": hashOfSpec(file("/etc/a", "a2")) });
    const all = rolledBack(now, before, null);
    assert.equal(texts(all).sort(), ["/etc/a=a1", "/etc/b=b1", "/etc/gone=g"]);
    assert.equal(Object.keys(all.rolled_back).sort(), [
      "file//etc/a",
      "file//etc/b",
      "file//etc/gone",
      "file//etc/new",
    ]);
    assert.equal(all.rolled_back["file//etc/gone"], hashOfSpec(undefined));
  });
});

suite("order of a rollout", (test) => {
  const host = (name: string, groups: string[], labels: Record<string, string> = {}) => ({
    name,
    groups,
    labels,
  });
  const hosts = [
    host("core1", ["core"]),
    host("ixp1", ["ixp"], { exchange: "locix" }),
    host("ixp2", ["ixp"], { exchange: "locix" }),
    host("ixp3", ["ixp"]),
    host("web", []),
  ];
  const settings = { waves: [at("probe"), at("core"), at("ixp")], never_together: [at("exchange")] };

  test("waves in their order, empty ones left out, hosts of none last", () => {
    const order = orderOf(hosts, ["core", "ixp", "probe"], settings);
    assert.equal(order.waves, [["core1"], ["ixp1", "ixp2", "ixp3"], ["web"]]);
    assert.equal(order.never_together, [["ixp1", "ixp2"]]);
    assert.equal(orderOf(hosts, [], { waves: [], never_together: [] }).waves, [
      hosts.map((each) => each.name),
    ]);
  });

  test("a host that did not answer goes last and holds nobody up", () => {
    const order = orderOf(hosts, ["core", "ixp", "probe"], settings);
    assert.equal(silentLast(order, new Set()), order);
    assert.equal(silentLast(order, new Set(["core1", "ixp2"])), {
      ...order,
      waves: [["ixp1", "ixp3"], ["web"], ["core1", "ixp2"]],
    });
  });

  test("hosts that wait for each other have time for each", () => {
    const order = orderOf(hosts, ["core", "ixp", "probe"], settings);
    assert.is(gateOf(order, 60_000).wave_timeout_ms, 240_000);
    assert.is(gateOf({ ...order, never_together: [] }, 60_000).wave_timeout_ms, 180_000);
    assert.is(gateOf(order, 60_000).max_failed, 0);
  });
});

suite("outcomes", (test) => {
  const wanted = { id: `U${"A".repeat(55)}`, content_hash: "1".repeat(64), return_to: null };
  const release = { id: "a".repeat(32), generation: 7, hosts: { ixp1: wanted, core1: wanted } };
  const said = (state: Convergence["state"], more: Partial<Convergence> = {}) => ({
    at: 1_000,
    state,
    since: 1_000,
    generation: 7,
    content_hash: wanted.content_hash,
    release: release.id,
    detail: "",
    error: null,
    ...more,
  });
  const outcomeOf = (outcomes: Outcomes) => outcomes.hosts.get("ixp1")?.outcome;

  test("converged is what reached this content under this number, or a later one", () => {
    const outcomes = new Outcomes(release, new Map());
    outcomes.heard("ixp1", said("converged", { generation: 6, release: null }), 10);
    assert.is(outcomeOf(outcomes), "waiting");
    outcomes.heard("ixp1", said("converged", { content_hash: "2".repeat(64) }), 10);
    assert.is(outcomeOf(outcomes), "waiting");
    outcomes.heard("ixp1", said("applying"), 10);
    assert.is(outcomeOf(outcomes), "under way");
    outcomes.heard("ixp1", said("converged"), 10);
    assert.is(outcomeOf(outcomes), "converged");
    assert.is(outcomes.over, false);
  });

  test("an old failure is not this change's, a new one is", () => {
    const old = said("undone", { generation: 6, release: "b".repeat(32), detail: "old" });
    const outcomes = new Outcomes(release, new Map([["ixp1", old]]));
    outcomes.heard("ixp1", { ...old, at: 2_000 }, 10);
    assert.is(outcomeOf(outcomes), "waiting");
    outcomes.heard(
      "ixp1",
      said("refused", { generation: 6, release: null, since: 3_000, error: "CONFLICT", detail: "new" }),
      10,
    );
    assert.is(outcomeOf(outcomes), "refused");
    assert.is(outcomes.hosts.get("ixp1")?.error, "CONFLICT");
  });

  test("the controller settles who was silent and who was never begun", () => {
    const outcomes = new Outcomes(release, new Map());
    const host = (state: "silent" | "waiting") => ({ state, at: 1, detail: "" });
    outcomes.told(
      { state: "running", detail: "", hosts: { ixp1: host("waiting"), core1: host("silent") } },
      5,
    );
    assert.equal(
      [...outcomes.hosts.values()].map(({ outcome }) => outcome),
      ["waiting", "silent"],
    );
    outcomes.told(
      { state: "failed", detail: "1 failed", hosts: { ixp1: host("waiting"), core1: host("silent") } },
      5,
    );
    assert.is(outcomeOf(outcomes), "not begun");
    assert.ok(outcomes.over);
    const out = new Outcomes(release, new Map());
    const published = { state: "published" as const, at: 1, detail: "" };
    out.told({ state: "failed", detail: "1 failed", hosts: { ixp1: published, core1: host("silent") } }, 5);
    assert.is(outcomeOf(out), "under way", "its manifest is out, and the host goes on");
  });

  test("exit codes are never better than the truth", () => {
    assert.is(exitOf(["converged", "converged"]), 0);
    assert.is(exitOf(["converged", "silent"]), 4);
    assert.is(exitOf(["undone"]), 1);
    assert.is(exitOf(["undone", "silent"]), 1);
    assert.is(exitOf(["silent", "silent"]), 5);
    assert.is(exitOf([]), 0);
  });
});
