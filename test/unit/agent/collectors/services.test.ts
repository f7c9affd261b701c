/** Declared units: what `systemctl show` prints (recorded of systemd 252), judged against what is declared. The real systemd is asked in the lab (test/e2e/truth.test.ts). */
import { serviceEvents } from "@muster/agent/collectors/service-judge";
import { createServices } from "@muster/agent/collectors/services";
import { createSystemd } from "@muster/agent/ports/systemd";
import { FleetError } from "@muster/protocol/errors";
import { Resource } from "@muster/protocol/resources/index";
import { ServicesSample } from "@muster/protocol/telemetry/services";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const { signal } = new AbortController();
const block = (fields: Record<string, string>) =>
  Object.entries({
    LoadState: "loaded",
    Result: "success",
    NRestarts: "0",
    MemoryCurrent: "[not set]",
    ...fields,
  })
    .map(([name, value]) => `${name}=${value}`)
    .join("\n");
const TOLD: Readonly<Record<string, string>> = {
  "bird.service": block({
    ActiveState: "active",
    SubState: "running",
    StateChangeTimestamp: "Sat 2026-11-21 09:33:00 UTC",
    MemoryCurrent: "7340032",
    NRestarts: "2",
  }),
  "old.service": block({
    ActiveState: "failed",
    SubState: "failed",
    Result: "exit-code",
    MemoryCurrent: "18446744073709551615",
  }),
  "telnet.service": block({ ActiveState: "active", SubState: "running" }),
  "lost.service": block({ LoadState: "not-found", ActiveState: "inactive", SubState: "dead" }),
  "nightly.timer": block({ ActiveState: "active", SubState: "waiting", NRestarts: "" }),
};
const service = (name: string, spec: object = {}) =>
  Resource.parse({ kind: "service", name, spec, needs: [] });

suite("services", (test) => {
  let runs = 0;
  let broken = false;
  const systemd = createSystemd(
    async (_program, args) => {
      runs += 1;
      if (broken) throw new FleetError("COMMAND_FAILED", "systemctl: took longer than 15000 ms");
      const names = args.slice(args.indexOf("--") + 1);
      return { code: 0, stdout: names.map((name) => TOLD[name] ?? "").join("\n\n"), stderr: "" };
    },
    { marker: "/" },
  );
  const look = async (...resources: Resource[]) =>
    ServicesSample.parse(await createServices({ systemd, now: () => 0 }, () => resources).look(signal));

  test("one question for all; what is declared and not so is red, in a row of its own", async () => {
    const sample = await look(
      service("bird"),
      service("old"),
      service("telnet", { state: "stopped" }),
      service("lost"),
      Resource.parse({ kind: "timer", name: "nightly", spec: { every: "6h", command: "true" }, needs: [] }),
    );
    assert.is(runs, 1);
    assert.equal(
      sample.services.map(({ unit, active, verdict }) => [unit, active, verdict]),
      [
        ["bird.service", "active", "ok"],
        ["old.service", "failed", "failed"],
        ["telnet.service", "active", "up"],
        ["lost.service", "missing", "missing"],
        ["nightly.timer", "active", "ok"],
      ],
    );
    const [bird, old, , , nightly] = sample.services;
    assert.equal(
      [bird?.since, bird?.restarts, bird?.memory_bytes, bird?.result],
      [Date.parse("2026-11-21T09:33:00Z"), 2, 7_340_032, null],
    );
    assert.equal([old?.memory_bytes, old?.result, nightly?.restarts], [null, "exit-code", null]);
    assert.equal(
      sample.faults.map(({ what, ref }) => [what, ref]),
      [
        ["unit old.service failed (exit-code)", "service/old"],
        ["unit telnet.service runs, and should not", "service/telnet"],
        ["unit lost.service is declared and systemd knows no such unit", "service/lost"],
      ],
    );
  });

  test("a restart by systemd is told; a host that declares none starts no process; one that cannot be asked is blind", async () => {
    const before = await look(service("bird"));
    const after = { ...before, services: before.services.map((row) => ({ ...row, restarts: 4 })) };
    assert.equal(
      serviceEvents(before, after).map(({ what }) => what),
      ["unit bird.service ended and was restarted by systemd 2 times"],
    );
    const asked = runs;
    assert.is((await look()).present, false);
    assert.is(runs, asked);
    broken = true;
    const blind = await look(service("bird"));
    assert.equal([blind.systemd.reachable, blind.services[0]?.verdict], [false, "unknown"]);
    assert.match(blind.faults[0]?.what ?? "", "systemd tells nothing of 1 declared services");
  });
});
