// limit: 180 s
/** Telemetry `containers` against a real engine: what runs, what is missing, what falls, and an engine that is gone. */
import { totalmem } from "node:os";
import { join } from "node:path";
import { containerEvents } from "@muster/agent/collectors/container-events";
import { createContainers } from "@muster/agent/collectors/containers";
import { steadyLoop } from "@muster/agent/collectors/steady";
import { LogShipper } from "@muster/agent/logs/shipper";
import { containerUsage } from "@muster/agent/ports/docker-facts";
import { createDocker } from "@muster/agent/ports/index";
import { openLog } from "@muster/ports/log";
import { LogBatch, type SentLine } from "@muster/protocol/log";
import { type ContainerRow, ContainersSample } from "@muster/protocol/telemetry/containers";
import * as assert from "uvu/assert";
import { noEngine } from "../../../kit/engine.ts";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";
import { type Ground, ground } from "./ground.ts";

suite(
  "containers, looked at",
  (test) => {
    const without = noEngine();
    if (without !== null) {
      test.skip("all of it", without);
      return;
    }
    const lifetime = new AbortController();
    let at: Ground;
    test.before(async () => {
      at = await ground(lifetime.signal);
    });
    test.after(async () => {
      lifetime.abort();
      await at?.release();
    });

    test("what declared containers write is sent, from when they are declared, over their restarts", async () => {
      const life = new AbortController();
      const lines: SentLine[] = [];
      const shipper = new LogShipper(
        {
          ports: { docker: createDocker(at.engine.socket), confined: null, now: Date.now } as never,
          log: openLog({ name: "logs-test", level: "silent" }),
          file: join(at.prefix, "logs.json"),
          tell: () => undefined,
          send: (batch) => lines.push(...LogBatch.parse(batch).lines) >= 0,
        },
        life.signal,
      );
      const running = shipper.run(life.signal);
      const texts = () => lines.map(({ text }) => text);
      shipper.declare({ units: new Map(), containers: new Set(["said"]) });
      at.engine.docker("run", "-d", "--name", "said", at.images.v1);
      at.engine.docker("run", "-d", "--name", "unsaid", at.images.v2);
      await eventually(() => assert.equal(texts(), ["serving 1"]), 20_000);
      assert.equal([lines[0]?.container, lines[0]?.unit, lines[0]?.priority], ["said", undefined, null]);
      at.engine.docker("restart", "-t", "0", "said");
      await eventually(() => assert.equal(texts(), ["serving 1", "serving 1"]), 20_000);
      shipper.declare({ units: new Map(), containers: new Set() });
      life.abort();
      await running;
      at.engine.docker("rm", "-f", "said", "unsaid");
    });

    test("what the engine tells is seen at once: an end with its code while it runs again, one that keeps falling, its health", async () => {
      const life = new AbortController();
      const docker = createDocker(at.engine.socket, 5_000);
      const declared = [at.container("falls", at.images.v2)];
      const loop = steadyLoop(
        createContainers({ docker, now: Date.now }, () => declared),
        Date.now,
      );
      const told: { at: number; what: string }[] = [];
      const rows = () => (loop.last()?.containers ?? []) as ContainerRow[];
      const row = (name: string) => rows().find((each) => each.name === name);
      const running = (async () => {
        await loop.begin(life.signal);
        while (!life.signal.aborted) {
          for (const { what } of (await loop.turn(life.signal)).events) told.push({ at: Date.now(), what });
          loop.sent();
          await loop.wait(life.signal);
        }
      })().catch((error) => {
        if (!life.signal.aborted) throw error;
      });
      try {
        await eventually(() => assert.ok(docker.hears()), 30_000);
        const run = (name: string, ...more: string[]) =>
          at.engine.docker("run", "-d", "--name", name, "--restart", "always", ...more);
        run("once", at.images.v1, "/bin/sh", "-c", "[ -e /fell ] || { echo > /fell; exit 7; }; sleep 600");
        await eventually(
          () => assert.equal([row("once")?.restarts, row("once")?.state], [1, "running"]),
          30_000,
        );
        assert.equal(
          [row("once")?.exit_code, row("once")?.ended_with],
          [null, 7],
          "Docker itself says 0 by now",
        );
        assert.ok(Math.abs(Date.now() - (row("once")?.ended_at ?? 0)) < 60_000);
        assert.match(
          told.map(({ what }) => what).join("; "),
          "container once ended with 7, and Docker restarts it",
        );

        run("falls", at.images.v2, "/bin/sh", "-c", "sleep 0.3; exit 3");
        await eventually(() => {
          assert.equal([row("falls")?.verdict, row("falls")?.ended_with], ["restarting", 3]);
          assert.match(
            loop
              .last()
              ?.faults.map(({ what }) => what)
              .join() ?? "",
            "container falls ends again and again with 3; Docker restarts it",
          );
        }, 40_000);

        const check = ["--health-cmd", "test ! -e /sick", "--health-interval", "1s", "--health-retries", "1"];
        run("checked", ...check, at.images.v1, "/bin/sh", "-c", "sleep 600");
        await eventually(() => assert.is(row("checked")?.health, "healthy"), 30_000);
        at.engine.docker("exec", "checked", "/bin/sh", "-c", "echo > /sick");
        await eventually(
          () =>
            assert.match(
              told.map(({ what }) => what).join("; "),
              "container checked is unhealthy: its health check fails",
            ),
          30_000,
        );

        at.engine.docker("stop", "-t", "0", "once");
        await eventually(
          () => assert.equal([row("once")?.state, row("once")?.exit_code], ["exited", 137]),
          30_000,
        );
        // One that looks for the first time hears of what was before it.
        const later = createDocker(at.engine.socket, 5_000);
        later.watch(() => undefined, life.signal);
        const id = at.engine.docker("inspect", "-f", "{{.Id}}", "once");
        await eventually(
          () => assert.equal([later.ends(id)?.code, later.ends(id)?.falls.length], [137, 1]),
          20_000,
        );
      } finally {
        life.abort();
        await running;
        at.engine.docker("rm", "-f", "once", "falls", "checked");
      }
    });

    test("the collector sees what runs, what is missing, what falls and comes back, and that nobody answers", async () => {
      let now = Date.now();
      const declared = [at.container("web", at.images.v2), at.container("lost", at.images.v2)];
      const docker = createDocker(at.engine.socket, 5_000);
      const collector = createContainers({ docker, now: () => now }, () => declared);
      const look = async () => ContainersSample.parse(await collector.look(lifetime.signal));
      const row = (sample: ContainersSample, name: string) =>
        sample.containers.find((each) => each.name === name);
      at.engine.docker("create", "--name", "foreign", at.images.v1);
      at.engine.docker("run", "-d", "--name", "web", "--restart", "always", "-m", "64m", at.images.v2);
      await look();
      now += 60_000;
      await look();
      now += 60_000;
      const first = await look();
      assert.is(
        docker.hears(),
        false,
        "nobody asked to be told, so that what follows is seen by looks alone",
      );
      const runs = row(first, "web");
      assert.equal([runs?.declared, runs?.state, runs?.verdict, runs?.restarts], [true, "running", "ok", 0]);
      assert.is(runs?.image_id, at.images.v2);
      // Some kernels give the engine no numbers: it prints 0B / 0B then, which is not taken for none used.
      if (/^0B \/ 0B$/m.test(at.engine.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", "web"))) {
        console.log(
          "not measured here: this engine counts nothing, the numbers are those of recorded answers below",
        );
        assert.equal([runs?.memory_bytes, runs?.cpu, runs?.rx_bytes], [null, null, null]);
      } else {
        assert.is(runs?.memory_limit_bytes, 64 * 1024 * 1024);
        assert.ok((runs?.memory_bytes ?? 0) > 0 && (runs?.rx_bytes ?? -1) >= 0);
        assert.ok((runs?.cpu ?? -1) >= 0, "measured twice, a minute apart by its clock");
      }
      assert.is(row(first, "lost")?.verdict, "missing");
      assert.equal(
        first.faults.map(({ what, ref }) => [what, ref]),
        [["container lost is declared and not there", "container/lost"]],
      );
      assert.equal([row(first, "foreign")?.declared, row(first, "foreign")?.verdict], [false, "idle"]);

      // As one that crashes: Docker starts it anew.
      process.kill(Number(at.engine.docker("inspect", "-f", "{{.State.Pid}}", "web")), "SIGKILL");
      let before = first;
      const events: string[] = [];
      await eventually(async () => {
        const after = await look();
        events.push(...containerEvents(before, after).map(({ what }) => what));
        before = after;
        assert.is(row(after, "web")?.restarts, 1);
      }, 20_000);
      // Looked at while it ran again, without events: how it ended is not known, and 0 is not made of that.
      assert.match(events.join(), /^container web ended( with 137)?, and Docker restarts it$/);

      at.engine.docker("stop", "-t", "0", "web");
      const soon = await look();
      assert.equal(
        [row(soon, "web")?.verdict, soon.faults.some(({ about }) => about === "web")],
        ["down", false],
      );
      now += 4_000;
      const down = await look();
      assert.is(row(down, "web")?.verdict, "down");
      assert.match(
        down.faults.map(({ what }) => what).join(),
        /container web is exited, ended with \d+, and should run/,
      );
      at.engine.docker("rm", "-f", "web");

      const none = createDocker(join(at.prefix, "run/none.sock"));
      const nobody = createContainers({ docker: none, now: () => now }, () => []);
      assert.is((await nobody.look(lifetime.signal)).present, false);
      await at.engine.kill();
      const gone = ContainersSample.parse(await collector.look(lifetime.signal));
      assert.equal(
        gone.containers.map(({ name, verdict }) => [name, verdict]),
        [
          ["web", "unknown"],
          ["lost", "unknown"],
        ],
      );
      assert.is(gone.engine.reachable, false);
      assert.match(
        gone.faults[0]?.what ?? "",
        /the Docker engine does not answer: .*; 2 declared containers are unknown/,
      );
      await at.engine.start();
      await eventually(async () => assert.ok((await look()).engine.reachable), 20_000);
    });
  },
  { limit_ms: 150_000 },
);

suite("what containers use", (test) => {
  test("as docker stats counts it, with control groups of both versions; what is not counted is null", () => {
    const networks = { eth0: { rx_bytes: 1_000, tx_bytes: 10 }, eth1: { rx_bytes: 24, tx_bytes: 1 } };
    const told = (stats: object, limit: number) =>
      containerUsage({
        cpu_stats: { cpu_usage: { total_usage: 2_500_000_000 } },
        memory_stats: { usage: 50_000, limit, stats },
        networks,
      });
    const used = { cpu_ns: 2_500_000_000, memory_bytes: 20_000, rx_bytes: 1_024, tx_bytes: 11 };
    assert.equal(told({ total_inactive_file: 30_000, inactive_file: 1 }, 67_108_864), {
      ...used,
      memory_limit_bytes: 67_108_864,
    });
    // Without a limit the engine tells all that the machine has.
    assert.equal(told({ inactive_file: 30_000 }, totalmem()), { ...used, memory_limit_bytes: null });
    assert.is(containerUsage({ cpu_stats: { cpu_usage: { total_usage: 0 } }, memory_stats: {} }), null);
    assert.is(containerUsage({ ...{ cpu_stats: { cpu_usage: { total_usage: 1 } } } })?.rx_bytes, null);
  });
});
