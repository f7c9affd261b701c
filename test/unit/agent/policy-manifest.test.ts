/** The on-node policy on what a person signs: only what changes counts, what is taken away too, by the groups that stand and not the signer's own. */
import { judgeManifest } from "@muster/agent/policy";
import type { Rank } from "@muster/protocol/certificate";
import { FleetError } from "@muster/protocol/errors";
import type { ManifestContent } from "@muster/protocol/manifest";
import { Resource } from "@muster/protocol/resources/index";
import { DEFAULT_SWITCHES } from "@muster/protocol/switch";
import { NodePolicy } from "@muster/protocol/trust";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const policy = NodePolicy.parse({
  operators: {
    bob: { groups: ["ixp"] },
    carol: { kinds: ["file"] },
    dave: { verbs: ["switch"] },
    erin: { groups: ["ixp"], kinds: ["file"], verbs: ["plan", "apply"] },
    forge: { groups: ["core"] },
  },
  ranks: { ci: { kinds: ["file"] } },
});
const file = (name: string, content: string) =>
  Resource.parse({ kind: "file", name, spec: { content }, needs: [] });
const service = Resource.parse({ kind: "service", name: "ssh", spec: {}, needs: [] });
const content = (resources: Resource[], more: Partial<ManifestContent> = {}): ManifestContent => ({
  groups: ["ixp", "routers"],
  labels: {},
  resources,
  switches: DEFAULT_SWITCHES,
  ...more,
});
const STANDING = content([file("/etc/motd", "one\n"), service]);

/** Null when it may be signed, else the policy's words. */
function judged(
  by: string,
  next: ManifestContent,
  standing: ManifestContent | null = STANDING,
  overwrite: string[] = [],
  rank: Rank = "operator",
): string | null {
  const intent = { message: "", plan_index: null, overwrite, force: false, within_ms: null };
  try {
    judgeManifest(policy, { principal: { name: by, rank }, manifest: { content: next, intent } }, standing);
    return null;
  } catch (error) {
    if (error instanceof FleetError && error.code === "NOT_ALLOWED") return error.detail;
    throw error;
  }
}

suite("the on-node policy on what is signed", (test) => {
  test("kinds: what stays as it is does not count, whatever its kind", () => {
    assert.is(judged("carol", content([file("/etc/motd", "two\n"), service])), null);
    assert.is(judged("carol", content([file("/etc/motd", "one\n"), file("/etc/issue", "x"), service])), null);
    assert.is(judged("carol", content([service])), null, "a file is taken away");
  });

  test("kinds: what is changed, made or taken away of another kind is refused", () => {
    const stopped = Resource.parse({ kind: "service", name: "ssh", spec: { state: "stopped" }, needs: [] });
    const other = Resource.parse({ kind: "service", name: "cron", spec: {}, needs: [] });
    const [motd] = STANDING.resources as [Resource];
    assert.match(
      judged("carol", content([motd, stopped])) ?? "",
      /^carol is limited to the kinds file: service\/ssh$/,
    );
    assert.match(judged("carol", content([motd, service, other])) ?? "", /service\/cron/);
    assert.match(judged("carol", content([motd])) ?? "", /service\/ssh/, "removed");
    assert.match(judged("carol", content([]), STANDING) ?? "", /service\/ssh/, "everything removed");
    const reported = { ...service, on_drift: "report" } as Resource;
    assert.match(
      judged("carol", content([motd, reported])) ?? "",
      /service\/ssh/,
      "not its spec, and yet it",
    );
  });

  test("kinds: a hand edit of another kind is not hers to overwrite", () => {
    assert.match(judged("carol", STANDING, STANDING, ["service/ssh"]) ?? "", /service\/ssh/);
    assert.is(judged("carol", STANDING, STANDING, ["file//etc/motd"]), null);
  });

  test("groups: those that stand on the host count; where none do, somebody else signs first", () => {
    assert.is(judged("bob", content([])), null);
    const core = content([service], { groups: ["core"] });
    assert.match(judged("bob", core, core) ?? "", /^bob is limited to the groups ixp$/);
    assert.match(judged("bob", content([service]), core) ?? "", /limited to the groups ixp/, "his own words");
    assert.match(
      judged("bob", content([service]), null) ?? "",
      /^bob is limited to the groups ixp; which ones this host is in has yet to be signed by somebody else$/,
    );
    assert.is(judged("carol", content([file("/etc/motd", "x")]), null), null, "kinds can be judged there");
    assert.match(judged("carol", content([service]), null) ?? "", /service\/ssh/);
  });

  test("who is limited changes neither groups nor switches, by which others are limited or get rights", () => {
    assert.match(judged("bob", content([], { groups: ["ixp"] })) ?? "", /changes its groups/);
    assert.is(judged("bob", content([], { groups: ["routers", "ixp"] })), null, "the order says nothing");
    const thrown = [{ name: "drain", by: "controller", longest_ms: 0 } as const];
    assert.match(
      judged("carol", content(STANDING.resources, { switches: thrown })) ?? "",
      /changes its switches/,
    );
    assert.match(judged("carol", content([], { switches: thrown }), null) ?? "", /changes its switches/);
  });

  test("ranks: everybody of one is limited, beside his own limits", () => {
    const [motd] = STANDING.resources as [Resource];
    const by = (name: string, next: ManifestContent, standing = STANDING) =>
      judged(name, next, standing, [], "ci");
    assert.match(
      by("deploy", content([motd])) ?? "",
      /^the rank ci is limited to the kinds file: service\/ssh$/,
    );
    assert.is(by("deploy", content([service])), null);
    assert.match(by("forge", content([service])) ?? "", /^forge is limited to the groups core$/);
  });

  test("verbs: signing is one of them; nobody limits alice", () => {
    assert.match(judged("dave", STANDING) ?? "", /^dave is limited to switch, not apply$/);
    assert.is(judged("erin", content([file("/etc/motd", "two\n"), service])), null);
    assert.match(judged("erin", content([file("/etc/motd", "one\n")])) ?? "", /service\/ssh/);
    assert.is(judged("alice", content([], { groups: [], switches: [] }), null), null);
  });
});
