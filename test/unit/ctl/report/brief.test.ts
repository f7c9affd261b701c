/**
 * Briefs: only a host with nothing to say is told in brief, and what `ctl status` shows of it is what it would show of the whole view. And what is kept of
 * hosts.yml is what reading it gives.
 */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BgpSample, briefOf, type Convergence, type HostView } from "@muster/protocol";
import { knownOf, knownOfBrief } from "@muster/view/known";
import { statusOf } from "@muster/view/status";
import * as assert from "uvu/assert";
import { openColour } from "../../../../packages/ctl/src/output/colour.ts";
import { tableLines } from "../../../../packages/ctl/src/output/table.ts";
import { statusColumns } from "../../../../packages/ctl/src/report/status.ts";
import { declaredAtAGlance } from "../../../../packages/ctl/src/roster/declared.ts";
import { suite } from "../../../kit/suite.ts";
import { EMPTY_BGP } from "../ground.ts";
import { DOWN, NOW, sample } from "./samples.ts";

const DAY_MS = 86_400_000;
const in_days = (days: number) => NOW + days * DAY_MS;
const convergence: Convergence = {
  at: NOW,
  state: "converged",
  since: NOW - DAY_MS,
  generation: 44,
  content_hash: "ab".repeat(32),
  release: "cd".repeat(16),
  detail: "",
  error: null,
  resources: { total: 3, ok: 3, managed: { bird: 1 } },
  troubles: [],
  drift: [],
  held: [],
  undo_at: null,
  certificates: [
    { name: "bus", not_after: in_days(6) },
    { name: "ssh", not_after: in_days(25) },
  ],
  agent_version: "0.1.0",
  last_apply_ms: 10,
};
const bgp: BgpSample = { ...EMPTY_BGP, at: new Date(NOW - 5_000).toISOString() };
const view: HostView = {
  record: {
    name: "core1",
    id: `U${"A".repeat(55)}`,
    ssh_public_key: "",
    curve: "",
    groups: ["core"],
    enrolled_at: 0,
    enrolled_by: "alice",
    recoveries: 0,
    state: "enrolled",
    certificates: { user_jwt: in_days(6), service: in_days(25), ssh: in_days(25) },
    os: "Debian",
    agent_version: "0.1.0",
  },
  heard_at: NOW - 3_000,
  silent: false,
  clock_skew_ms: 40,
  convergence,
  bgp,
  health: null,
};
const health: NonNullable<HostView["health"]> = {
  at: NOW,
  uptime_s: 1,
  load: [0, 0, 0],
  cpu_busy: 0,
  cores: 1,
  memory: { total_bytes: 1, available_bytes: 1, swap_used_bytes: 0 },
  disks: [{ mount: "/", size_bytes: 100, used_bytes: 95 }],
  interfaces: [],
  failed_units: [],
  agent: { rss_bytes: 1, cpu_s: 1, uptime_s: 1 },
};
const now = (change: Partial<Convergence>): HostView => ({
  ...view,
  convergence: { ...convergence, ...change },
});

suite("briefs of hosts", (test) => {
  test("a host with nothing to say looks the same in brief", () => {
    const soon = now({ certificates: [{ name: "bus", not_after: in_days(1) }] });
    for (const each of [view, { ...view, clock_skew_ms: null }, soon]) {
      const brief = briefOf(each, NOW);
      assert.ok(brief);
      for (const signed of [null, 44, 45]) {
        const whole = statusOf(knownOf(each, ["core"], signed), NOW);
        const short = statusOf(knownOfBrief(brief, ["core"], signed), NOW);
        const shown = (row: typeof whole) => tableLines([row], statusColumns(NOW, openColour(true)), true);
        assert.equal(shown(short), shown(whole));
        assert.equal(short.troubles, whole.troubles);
        assert.is(short.state, whole.state);
      }
    }
  });

  const worth: Record<string, HostView> = {
    silent: { ...view, silent: true },
    "never heard": { ...view, heard_at: null, convergence: null },
    retired: { ...view, record: { ...view.record, state: "retired" } },
    applying: now({ state: "applying" }),
    failed: now({ state: "failed", detail: "x" }),
    "a trouble": now({ troubles: [{ ref: "file//a", what: "x", since: 0 }] }),
    "a drift": now({ drift: [{ ref: "file//a", what: "x", since: 0, action: "left" }] }),
    "a drain": now({ drained: { since: 0, by: "", why: "", until: null, in_effect: true } }),
    "a hold": now({ held: [{ ref: null, why: "", by: "", until: null }] }),
    "clock off": { ...view, clock_skew_ms: -60_000 },
    "no word on BGP": { ...view, bgp: null },
    "an old word on BGP": { ...view, bgp: { ...bgp, at: new Date(NOW - 70_000).toISOString() } },
    "BIRD dead": { ...view, bgp: { ...bgp, daemon: { ...bgp.daemon, reachable: false } } },
    "a session down": { ...view, bgp: sample(DOWN) },
    "a full disk": { ...view, health },
    "fewer checks told of than declared": {
      ...now({ resources: { total: 2, ok: 2, managed: { check: 2 } } }),
      checks: { at: NOW, checks: [] },
    },
    "an old word on its state": now({ at: NOW - 70_000 }),
    "a failed unit": { ...view, health: { ...health, disks: [], failed_units: ["x.service"] } },
  };
  for (const [what, each] of Object.entries(worth))
    test(`told whole: ${what}`, () => assert.is(briefOf(each, NOW), null));

  test("hosts.yml of a large fleet is kept, and read again once it differs", async () => {
    const root = await mkdtemp(join(tmpdir(), "muster-glance-"));
    const write = (count: number) =>
      writeFile(
        join(root, "hosts.yml"),
        `core:\n  hosts:\n${Array.from({ length: count }, (_, at) => `    core${at}: { ansible_host: "2001:db8::${at}" }\n`).join("")}`,
      );
    await write(600);
    const first = await declaredAtAGlance(root, join(root, "home"));
    assert.is(first?.hosts.length, 600);
    assert.is((await readdir(join(root, "home/.hosts"))).length, 1);
    assert.equal(await declaredAtAGlance(root, join(root, "home")), first);
    await write(601);
    assert.is((await declaredAtAGlance(root, join(root, "home")))?.hosts.length, 601);
    await rm(root, { recursive: true, maxRetries: 10, retryDelay: 100 });
  });
});
