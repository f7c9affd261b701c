/**
 * The packages of one round through the loop's own functions, with the real apt and dpkg below a prefix: one run for all that can go together, each
 * failure with its own package; and what an agent says that must keep its hands off the machine.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { applyRound } from "@muster/agent/apply";
import { Ledger } from "@muster/agent/ledger";
import type { Ports } from "@muster/agent/ports/index";
import { packageKind } from "@muster/agent/resources/package";
import { look } from "@muster/agent/round";
import { contentHash } from "@muster/protocol/canonical";
import { Resource } from "@muster/protocol/resources/index";
import * as assert from "uvu/assert";
import { addToRepository } from "../../kit/apt.ts";
import { suite } from "../../kit/suite.ts";
import { hostPrefix, type Prefix, portsBelow } from "./resources/private-bird.ts";

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
    rmSync(directory, { recursive: true, force: true });
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
