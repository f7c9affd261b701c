/**
 * The packages of one round through the loop's own functions, with the real apt and dpkg below a prefix: one run for all that can go together, each
 * failure with its own package; and what an agent says that must keep its hands off the machine.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { applyRound } from "@muster/agent/apply";
import { packageEvents } from "@muster/agent/collectors/package-judge";
import { createPackagesCollector } from "@muster/agent/collectors/packages";
import { Ledger } from "@muster/agent/ledger";
import type { Ports } from "@muster/agent/ports/index";
import { readSimulated } from "@muster/agent/ports/packages-pending";
import { packageKind } from "@muster/agent/resources/package";
import { look } from "@muster/agent/round";
import { contentHash } from "@muster/protocol/canonical";
import { Resource } from "@muster/protocol/resources/index";
import { PackagesSample } from "@muster/protocol/telemetry/packages";
import * as assert from "uvu/assert";
import { addToRepository } from "../../kit/apt.ts";
import { suite } from "../../kit/suite.ts";
import { aptOptions, hostPrefix, type Prefix, portsBelow } from "./resources/private-bird.ts";

const resource = (kind: string, name: string, spec: object, needs: string[] = []) =>
  Resource.parse({ kind, name, spec, needs });

suite("packages of a round", (test) => {
  let prefix: Prefix;
  let ports: Ports;
  const life = new AbortController();

  test.before(async () => {
    prefix = await hostPrefix();
    ports = portsBelow(prefix.path, life.signal);
    const names = ["tiny-a", "tiny-b", "tiny-c"];
    addToRepository(
      join(prefix.path, "srv/repository"),
      names.map((name) => ({ name, version: "1.0" })),
    );
    const line = `deb [trusted=yes] file:${prefix.path}/srv/repository ./\n`;
    writeFileSync(join(prefix.path, "etc/apt/sources.list"), line);
  });
  test.after(async () => {
    life.abort();
    await prefix.release();
  });

  const round = async (resources: readonly Resource[], given: Ports = ports) => {
    const directory = join(prefix.path, "srv/state");
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    const ledger = await Ledger.open(join(directory, "ledger.json"), join(directory, "manifests"));
    const content = { groups: [], labels: {}, resources: [...resources], switches: [] };
    const options = { host: "core1", state: ledger.state, holds: [], overwrite: [], also: [] };
    const hashes = { content_hash: contentHash(content), spec_hashes: new WeakMap() };
    const looked = await look(content, { ...options, ...hashes, seen: "all" }, given, life.signal);
    const door = { generation: 1, within_ms: null, overwrite: [], ledger, ports: given };
    // Nothing here is guarded.
    const applied = await applyRound(looked, { ...door, guarded: null as never }, life.signal);
    return { plan: looked.plan, applied };
  };
  const runs = () =>
    readFileSync(join(prefix.path, "var/log/apt/history.log"), "utf8").match(/^Start-Date/gm)?.length;

  if (process.getuid?.() !== 0) test.skip("all of it", "dpkg wants root");
  else {
    test("what needs nothing of the rest is one run, wherever it stands; what needs a file is a second one", async () => {
      const { applied } = await round([
        resource("package", "tiny-a", {}),
        resource("file", "/srv/list", { content: "x" }),
        resource("package", "tiny-b", {}, ["file//srv/list"]),
        resource("file", "/srv/other", { content: "x" }),
        resource("package", "tiny-c", { hold: true }),
      ]);
      assert.equal(applied.failures, []);
      assert.is(applied.done.length, 5);
      assert.is(runs(), 2);
    });

    test("prune takes away what is named in one run, and nothing that would go with it", async () => {
      const [a, b] = [resource("package", "tiny-a", {}), resource("package", "tiny-b", {})];
      await round([a, b]);
      const before = runs() ?? 0;
      const observed = await packageKind.observe(a as never, ports, life.signal);
      assert.match(
        JSON.stringify(packageKind.prune?.plan(a as never, observed, true)),
        /the package tiny-a 1\.0/,
      );
      assert.equal(await packageKind.prune?.apply(["tiny-a", "tiny-b"], ports, life.signal), new Map());
      assert.is(runs(), before + 1);
      const facts = await ports.packages.facts(["tiny-a", "tiny-b", "tiny-c"]);
      assert.equal(
        [...facts.values()].map(({ version }) => version),
        [null, null, "1.0"],
      );
      await round([a]);
    });

    test("the collector tells what could be renewed, asks apt again only for a reason, and does not take old lists for none", async () => {
      let now = Date.now();
      let asked = 0;
      const packages: Ports["packages"] = {
        ...ports.packages,
        pending(signal) {
          asked += 1;
          return ports.packages.pending(signal);
        },
      };
      const declared = [resource("package", "tiny-a", {}), resource("package", "tiny-b", { version: "3.0" })];
      const collector = createPackagesCollector({ ...ports, packages, now: () => now }, () => declared);
      const look = async () => PackagesSample.parse(await collector.look(life.signal));
      await round([resource("package", "tiny-a", {}), resource("package", "tiny-b", {})]);
      const first = await look();
      assert.equal([first.error, first.pending, first.security], [null, 0, 0]);
      assert.equal(
        first.faults.map(({ what }) => what),
        ["package tiny-b is installed as 1.0, and should be 3.0"],
      );
      addToRepository(join(prefix.path, "srv/repository"), [{ name: "tiny-a", version: "2.0" }]);
      const options = aptOptions(prefix.path).flatMap((option) => ["-o", option]);
      const update = await ports.run("apt-get", [...options, "update"], { timeout_ms: 30_000 }, life.signal);
      assert.is(update.code, 0, update.stderr);
      now += 300_000;
      assert.is((await look()).pending, 0, "apt may be at it still");
      now += 300_001;
      const second = await look();
      assert.equal(
        second.updates.map(({ name, installed, offered }) => [name, installed, offered]),
        [["tiny-a", "1.0", "2.0"]],
      );
      now += 3_600_000;
      await look();
      assert.is(asked, 2);
      now += 15 * 86_400_000;
      const old = await look();
      assert.equal([old.pending, old.error], [null, "apt's lists are too old to tell: apt-get update"]);
      rmSync(join(prefix.path, "var/lib/apt/lists"), { recursive: true });
      const none = await look();
      assert.equal([none.pending, none.refreshed_at], [null, null]);
      assert.match(none.error ?? "", "was never run");
    });

    test("one that apt does not know fails alone, and what needs it with it", async () => {
      const { applied } = await round([
        resource("package", "tiny-a", { state: "absent" }),
        resource("package", "tiny-d", {}),
        resource("file", "/srv/needs", { content: "x" }, ["package/tiny-d"]),
      ]);
      assert.equal(applied.done, ["package/tiny-a"]);
      assert.equal(
        applied.failures.map(({ ref, what }) => [ref, what.replace(/^a command on the host failed: /, "")]),
        [
          ["package/tiny-d", "apt knows no package tiny-d"],
          ["file//srv/needs", "needs package/tiny-d, which failed"],
        ],
      );
    });
  }

  test("apt's word on what could be renewed, security updates by the archive that they come from", () => {
    const text = `NOTE: This is only a simulation!
Inst base-files [12.4+deb12u11] (12.4+deb12u12 Debian:12.12/oldstable [amd64])
Inst libssl3 [3.0.16-1] (3.0.17-1~deb12u2 Debian-Security:12/oldstable-security [amd64]) []
Inst linux-image-6.1.0-40-amd64 (6.1.153-1 Debian-Security:12/oldstable-security, Debian:12.12/oldstable [amd64])
Conf base-files (12.4+deb12u12 Debian:12.12/oldstable [amd64])
`;
    assert.equal(
      readSimulated(text).map(({ name, installed, offered, security }) => [
        name,
        installed,
        offered,
        security,
      ]),
      [
        ["base-files", "12.4+deb12u11", "12.4+deb12u12", false],
        ["libssl3", "3.0.16-1", "3.0.17-1~deb12u2", true],
        ["linux-image-6.1.0-40-amd64", null, "6.1.153-1", true],
      ],
    );
    const sample = (security: number, updates: ReturnType<typeof readSimulated>) =>
      ({ security, updates }) as unknown as PackagesSample;
    assert.equal(
      packageEvents(sample(0, []), sample(2, readSimulated(text))).map(({ what }) => what),
      ["security updates wait: libssl3 3.0.17-1~deb12u2, linux-image-6.1.0-40-amd64 6.1.153-1"],
    );
    assert.equal(packageEvents(sample(2, readSimulated(text)), sample(2, readSimulated(text))), []);
  });

  test("an agent that is confined says so of each kind that needs the machine, and does the rest", async () => {
    const kinds: Resource[] = [
      resource("package", "tiny-a", {}),
      resource("sysctl", "net.ipv6.conf.all.forwarding", { value: "1" }),
      resource("user", "alice", {}),
      resource("timer", "tick", { every: "1h", command: "true" }),
      resource("service", "ssh", {}),
    ];
    const confined = { ...ports, confined: "this agent does not run as root" };
    const { plan, applied } = await round(
      [...kinds, resource("file", "/srv/mine", { content: "x" })],
      confined,
    );
    assert.equal(applied.done, ["file//srv/mine"]);
    assert.equal(
      plan.waiting.map(({ why, error }) => [why, error]),
      kinds.map(({ kind }) => [
        `this cannot be done here: a ${kind} needs the whole machine: this agent does not run as root`,
        "UNSUPPORTED",
      ]),
    );
  });
});
