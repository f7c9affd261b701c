/** Health: the readers on recorded texts, what follows from two readings, and one run on this machine. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createFilling } from "@muster/agent/collectors/filling";
import { createHealth } from "@muster/agent/collectors/health";
import { readNtpMessage, readTracking, rebootDue, temperatures } from "@muster/agent/collectors/machine";
import { cpuTicks, cpuTimes, disksIoOf, oomKillsOf, pressureOf } from "@muster/agent/collectors/proc";
import { createRates } from "@muster/agent/collectors/rates";
import { createFiles } from "@muster/agent/ports/files";
import { Health } from "@muster/protocol";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { portsBelow } from "../resources/private-bird.ts";

const GIB = 1024 ** 3;

suite("health", (test) => {
  test("pressure, OOM kills and disks of /proc; parts of disks and what lies on top are left out", () => {
    const io =
      "some avg10=3.60 avg60=4.13 avg300=3.40 total=1149305786\nfull avg10=0.50 avg60=0.01 avg300=0.03 total=144265489\n";
    assert.equal(pressureOf(io), { some: { avg10: 3.6, avg60: 4.13 }, full: { avg10: 0.5, avg60: 0.01 } });
    assert.is(pressureOf(null), null);
    assert.is(oomKillsOf("oom_kill 3\n"), 3);
    assert.is(oomKillsOf("pgfault 1\n"), null);
    const line = (name: string) => `   8       0 ${name} 100 0 2000 50 10 0 400 20 0 70 70 0 0 0 0 0 0\n`;
    const text = ["sda", "sda1", "nvme0n1", "nvme0n1p2", "loop0", "dm-0"].map(line).join("");
    assert.equal(disksIoOf(text), [
      { device: "sda", read_bytes: 1_024_000, written_bytes: 204_800, busy_ms: 70 },
      { device: "nvme0n1", read_bytes: 1_024_000, written_bytes: 204_800, busy_ms: 70 },
    ]);
  });

  test("rates follow from two readings; a second question within a second gets the same, a counter that began anew none", () => {
    let clock = 0;
    const rates = createRates(() => clock);
    const reading = (user: number, idle: number, busy_ms: number, rx_bytes: number) => {
      const stat = `cpu  ${user} 0 0 ${idle} 0 0 0 0 0 0\n`;
      return {
        ...{ busy: cpuTimes(stat), ticks: cpuTicks(stat) },
        disks: [{ device: "sda", read_bytes: 0, written_bytes: 0, busy_ms }],
        interfaces: [{ name: "eth0", rx_bytes, tx_bytes: 0, up: true }],
      };
    };
    const first = rates(reading(0, 0, 0, 1_000));
    assert.equal(
      [first.cpu_busy, first.cpu_modes, first.disk_io[0]?.busy, first.interfaces[0]?.rx_rate],
      [null, null, null, null],
    );
    clock = 10_000;
    const second = rates(reading(300, 700, 2_500, 51_000));
    assert.equal([second.cpu_busy, second.cpu_modes?.user, second.cpu_modes?.idle], [0.3, 0.3, 0.7]);
    assert.equal([second.disk_io[0]?.busy, second.interfaces[0]?.rx_rate], [0.25, 5_000]);
    clock = 10_500;
    assert.is(rates(reading(999, 700, 2_500, 51_000)), second);
    clock = 20_000;
    assert.is(rates(reading(400, 900, 2_500, 10)).interfaces[0]?.rx_rate, null);
  });

  test("time to full follows from hours, and is not known at first, nor of what empties", () => {
    const fullIn = createFilling();
    let told: number | null = null;
    for (let minute = 0; minute <= 60; minute += 1)
      told = fullIn("/", 100 * GIB, 50 * GIB + (minute * GIB) / 6, minute * 60_000);
    // 10 GiB an hour, 40 GiB left.
    assert.is(told, 4 * 3_600);
    assert.is(fullIn("/srv", GIB, 0, 0), null);
    assert.is(fullIn("/", 100 * GIB, 40 * GIB, 61 * 60_000), null);
  });

  test("of what is mounted no more nothing is kept for ever", () => {
    const readings: NonNullable<Parameters<typeof createFilling>[0]> = new Map();
    const fullIn = createFilling(readings);
    const HOUR = 3_600_000;
    for (let hour = 0; hour < 100; hour += 1) {
      fullIn("/", 100 * GIB, 50 * GIB, hour * HOUR);
      fullIn(`/mnt/snapshot-${hour}`, GIB, 0, hour * HOUR);
    }
    assert.equal([readings.get("/")?.length, readings.size], [7, 8]);
  });

  test("the word of chrony and of timesyncd, sensors, and why a reboot is waited for", async () => {
    assert.equal(
      readTracking(
        "C0000201,192.0.2.1,3,1764121000.1,0.000012,-0.00002,0.00003,-1.2,0.001,0.05,0.01,0.002,64.3,Normal\n",
      ),
      { source: "chrony", synchronized: true, offset_s: -0.000012 },
    );
    assert.is(readTracking("00000000,,0,0.0,0.0,0,0,0,0,0,1,1,0.0,Not synchronised\n").synchronized, false);
    // As busctl prints it of a real timesyncd.
    const answer = (tail: string) =>
      `{"type":"(uuuuittayttttbtt)","data":[0,4,4,1,-25,0,0,[71,80,83,0],1787323275100216,1787323275104113,1787323275104118,1787323275107131,${tail}]}\n`;
    assert.is(readNtpMessage(answer("false,4,355")), -0.000442);
    assert.is(readNtpMessage(answer("true,4,355")), null);
    assert.is(readNtpMessage(answer("false,0,0")), null);
    assert.is(readNtpMessage(answer("false,4,355").replace("[0,4", "[3,4")), null);
    for (const text of ["", "{}", '{"data":[0]}', "Failed to get property"])
      assert.is(readNtpMessage(text), null);
    const root = await temporaryDirectory("sensors");
    mkdirSync(join(root.path, "hwmon/hwmon0"), { recursive: true });
    const put = (name: string, text: string) => writeFileSync(join(root.path, "hwmon/hwmon0", name), text);
    put("name", "coretemp\n");
    put("temp1_input", "47250\n");
    put("temp1_label", "Package id 0\n");
    put("temp1_crit", "100000\n");
    put("temp2_input", "no number\n");
    assert.equal(await temperatures(join(root.path, "hwmon")), [
      { sensor: "coretemp Package id 0", celsius: 47.25, critical_celsius: 100 },
    ]);
    assert.equal(await temperatures(join(root.path, "none")), []);
    const files = createFiles(root.path);
    const before = await rebootDue({ files });
    mkdirSync(join(root.path, "run"));
    writeFileSync(join(root.path, "run/reboot-required"), "*** System restart required ***\n");
    writeFileSync(join(root.path, "run/reboot-required.pkgs"), "libc6\nlibc6\n");
    const after = await rebootDue({ files });
    assert.ok(after.due);
    assert.match(after.why, /asked for by libc6$/);
    assert.not.match(before.why, "asked for");
    await root.release();
  });

  test("of this machine: whole, by its schema, and the same number of inodes as statfs tells", async () => {
    const root = await temporaryDirectory("health");
    const life = new AbortController();
    const health = createHealth(portsBelow(root.path, life.signal));
    await health.sample(life.signal);
    const sample = await health.sample(life.signal);
    assert.equal(Health.parse(JSON.parse(JSON.stringify(sample))), JSON.parse(JSON.stringify(sample)));
    assert.ok((sample.kernel ?? "").length > 0);
    const disk = sample.disks.find(({ inodes }) => inodes != null);
    assert.is(disk?.inodes_full_in_s ?? null, null, "not known at first");
    if (disk !== undefined)
      assert.ok((disk.inodes_used ?? 0) > 0 && (disk.inodes_used ?? 0) <= (disk.inodes ?? 0));
    life.abort();
    await root.release();
  });
});
