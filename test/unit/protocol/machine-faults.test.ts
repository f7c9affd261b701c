/** What is wrong with a machine, in words. */
import type { Health } from "@muster/protocol";
import { machineFaults } from "@muster/protocol/telemetry/machine-faults";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const health = (more: Partial<Health>): Health => ({
  ...{
    at: 0,
    uptime_s: 1,
    load: [0, 0, 0],
    cpu_busy: null,
    cores: 1,
    disks: [],
    interfaces: [],
    failed_units: [],
  },
  memory: { total_bytes: 1, available_bytes: 1, swap_used_bytes: 0 },
  agent: { rss_bytes: 1, cpu_s: 0, uptime_s: 1 },
  ...more,
});
const told = (more: Partial<Health>) =>
  machineFaults(health(more)).map(({ tint, what }) => `${tint}: ${what}`);
const disk = (used_bytes: number, more: object = {}) => [
  { mount: "/", size_bytes: 100, used_bytes, ...more },
];

suite("faults of a machine", (test) => {
  test("an older agent's sample, and a machine that is well, have none", () => {
    assert.equal(told({}), []);
    assert.equal(told({ disks: disk(90, { full_in_s: 100_000, inodes: 10, inodes_used: 9 }) }), []);
    assert.equal(
      told({
        reboot: { due: false, why: "" },
        temperatures: [{ sensor: "cpu", celsius: 99, critical_celsius: 100 }],
      }),
      [],
    );
  });

  test("units, disks that are full or will be, files, heat and a reboot", () => {
    assert.equal(told({ failed_units: ["x.service"] }), ["amber: unit x.service failed"]);
    assert.equal(told({ disks: disk(95) }), ["amber: / is 95 % full"]);
    assert.equal(told({ disks: disk(95, { full_in_s: 1_800 }) }), [
      "red: / is 95 % full, full in 30 min if it goes on like this",
    ]);
    assert.equal(told({ disks: disk(50, { full_in_s: 36_000 }) }), [
      "amber: / will be full in 10 h if it goes on like this",
    ]);
    assert.equal(told({ disks: disk(50, { inodes: 100, inodes_used: 99 }) }), [
      "amber: / holds 99 % of the files that it can (inodes)",
    ]);
    assert.equal(told({ disks: disk(50, { inodes: 100, inodes_used: 99, inodes_full_in_s: 1_800 }) }), [
      "red: / holds 99 % of the files that it can (inodes), all in 30 min if it goes on like this",
    ]);
    assert.equal(told({ disks: disk(50, { inodes: 100, inodes_used: 49, inodes_full_in_s: 36_000 }) }), []);
    assert.equal(told({ disks: disk(50, { inodes: 100, inodes_used: 50, inodes_full_in_s: 36_000 }) }), [
      "amber: / will hold all the files that it can (inodes) in 10 h if it goes on like this",
    ]);
    assert.equal(told({ temperatures: [{ sensor: "cpu", celsius: 101, critical_celsius: 100 }] }), [
      "red: cpu is at 101 °C, critical is 100",
    ]);
    assert.equal(told({ reboot: { due: true, why: "asked for by libc6" } }), [
      "amber: a reboot is waited for: asked for by libc6",
    ]);
  });
});
