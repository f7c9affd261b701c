/** Conditions of rules over the metrics of hosts: labels, ratios, and hosts that say nothing. */
import { conditionFindings } from "@muster/controller/alerts/conditions";
import type { AlertRule } from "@muster/protocol/alerting";
import { parseCondition } from "@muster/protocol/condition";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

type Hosts = Parameters<typeof conditionFindings>[1];
const host = (name: string, health: unknown): Hosts[number] =>
  ({
    ...{ record: { name }, silent: false, heard_at: 0, kinds: [], clock_skew_ms: 0 },
    ...{ convergence: null, bgp: null, checks: null, health },
  }) as unknown as Hosts[number];
const disks = (used: number) => [
  { mount: "/", size_bytes: 100, used_bytes: used },
  { mount: "/var", size_bytes: 200, used_bytes: 20 },
];
const rule = (when: string, hosts: string[] | null = null): AlertRule => ({
  ...{ name: "mine", about: ["metric/mine", "metric/mine/*"], when, hosts, severity: "page" },
  ...{ for_ms: 0, rise: 1, fall: 1 },
});
const found = (when: string, hosts: Hosts, only: string[] | null = null) =>
  conditionFindings([rule(when, only)], hosts).map(({ host: whose, about, what }) => [whose, about, what]);

suite("conditions", (test) => {
  const busy = host("ixp1", { load: [9, 1, 1], disks: disks(95), memory: {}, agent: {} });
  const calm = host("core1", { load: [1, 1, 1], disks: disks(10), memory: {}, agent: {} });
  const blind = host("probe1", null);

  test("one number, on the hosts that are meant, and none of a host that says nothing", () => {
    const words = ["ixp1", "metric/mine", "mine: muster_host_load1 is 9, told when > 8"];
    assert.equal(found("muster_host_load1 > 8", [busy, calm, blind]), [words]);
    assert.equal(found("muster_host_load1 > 8", [busy], ["core1"]), []);
    assert.is(found("muster_host_load1 < 100", [busy, calm, blind]).length, 2);
    assert.is(found("muster_host_load1 != 9", [busy]).length, 0);
  });

  test("each series by itself, divided by the one with the same labels, and one that is named", () => {
    const full = "muster_host_filesystem_used_bytes / muster_host_filesystem_size_bytes";
    const words =
      "mine (/): muster_host_filesystem_used_bytes / muster_host_filesystem_size_bytes is 0.95, told when > 0.9";
    assert.equal(found(`${full} > 0.9`, [busy, calm]), [["ixp1", "metric/mine//", words]]);
    assert.equal(
      found('muster_host_filesystem_used_bytes{mount="/var"} >= 20', [busy]).map(([, about]) => about),
      ["metric/mine//var"],
    );
    assert.equal(found('muster_host_filesystem_used_bytes{mount="/srv"} >= 0', [busy]), []);
  });

  test("what is none", () => {
    for (const text of [
      "",
      "load > 8",
      "muster_host_load1",
      "muster_host_load1 > eight",
      "muster_x{a=b} > 1",
      "muster_x > 1 or muster_y > 1",
      'muster_x{a="b"} / > 1',
    ])
      assert.is(parseCondition(text), null, text);
    assert.equal(parseCondition(' muster_x{a="b", c="d"}/muster_y<=-0.5 '), {
      left: { metric: "muster_x", labels: { a: "b", c: "d" } },
      ...{ by: { metric: "muster_y", labels: {} }, op: "<=", limit: -0.5 },
    });
  });
});
