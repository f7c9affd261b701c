/** The files of one round through the loop's own functions: written together as far as nothing of them may look at another. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { applyRound } from "@muster/agent/apply";
import { Ledger } from "@muster/agent/ledger";
import type { Ports } from "@muster/agent/ports/index";
import { look } from "@muster/agent/round";
import { contentHash } from "@muster/protocol/canonical";
import { Resource } from "@muster/protocol/resources/index";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";
import { hostPrefix, type Prefix, portsBelow } from "./resources/private-bird.ts";

const file = (name: string, spec: object, needs: string[] = []) =>
  Resource.parse({ kind: "file", name, spec, needs });

suite("files of a round", (test) => {
  let prefix: Prefix;
  let ports: Ports;
  /** What the port was asked for: `all 3` is three at once. */
  let asked: string[] = [];
  const life = new AbortController();
  const at = (path: string) => join(prefix.path, path);

  test.before(async () => {
    prefix = await hostPrefix();
    const real = portsBelow(prefix.path, life.signal);
    ports = {
      ...real,
      files: {
        ...real.files,
        replace: (path, ...rest) => {
          asked.push(path);
          return real.files.replace(path, ...rest);
        },
        replaceAll: (writings) => {
          asked.push(`all ${writings.length}`);
          return real.files.replaceAll(writings);
        },
      },
    };
  });
  test.after(async () => {
    life.abort();
    await prefix.release();
  });

  const round = async (resources: readonly Resource[]) => {
    asked = [];
    const directory = at("srv/state");
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    const ledger = await Ledger.open(join(directory, "ledger.json"), join(directory, "manifests"));
    const content = { groups: [], labels: {}, resources: [...resources], switches: [] };
    const known = { content_hash: contentHash(content), spec_hashes: new WeakMap() };
    const options = { host: "core1", state: ledger.state, holds: [], overwrite: [], also: [] };
    const looked = await look(content, { ...options, ...known, seen: "corrected" }, ports, life.signal);
    const door = { generation: 1, within_ms: null, overwrite: [], ledger, ports };
    // Nothing here is guarded.
    const applied = await applyRound(looked, { ...door, guarded: null as never }, life.signal);
    return { applied, ledger };
  };

  test("one that fails takes with it what needs it, and nothing else; the ledger knows", async () => {
    mkdirSync(at("srv/one"));
    const { applied, ledger } = await round([
      file("/srv/one/a", { content: "a" }),
      file("/srv/one/b", { content: "b", owner: "nobody-here" }),
      file("/srv/one/c", { content: "c" }),
      file("/srv/one/d", { content: "d" }, ["file//srv/one/b"]),
      file("/srv/one/e", { content: "e" }),
    ]);
    assert.equal(asked, ["all 3", "all 1"]);
    assert.equal(
      applied.failures.map(({ ref, what }) => `${ref}: ${what.replace(/ on this host.*/, "")}`),
      [
        "file//srv/one/b: it did not work: there is no user nobody-here",
        "file//srv/one/d: needs file//srv/one/b, which failed",
      ],
    );
    assert.equal(readdirSync(at("srv/one")), ["a", "c", "e"]);
    assert.equal(Object.keys(ledger.state.resources).sort(), [
      "file//srv/one/a",
      "file//srv/one/c",
      "file//srv/one/e",
    ]);
    assert.equal(ledger.state.making, []);
    assert.ok(Object.values(ledger.state.resources).every(({ made }) => made));
  });

  test("a check sees what stands before it in place, and what comes after it not yet", async () => {
    mkdirSync(at("srv/two"));
    writeFileSync(at("srv/two/late"), "old");
    const check = `grep -q new ${at("srv/two/early")} && grep -q old ${at("srv/two/late")} && test -s %s`;
    const { applied } = await round([
      file("/srv/two/early", { content: "new" }),
      file("/srv/two/checked", { content: "x", validate: ["/bin/sh", "-c", check] }),
      file("/srv/two/late", { content: "new" }),
    ]);
    assert.equal(applied.failures, []);
    assert.equal(asked, ["all 1", "/srv/two/checked", "all 1"]);
    assert.is(readFileSync(at("srv/two/late"), "utf8"), "new");
  });

  test("what stands between files comes between them", async () => {
    const { applied } = await round([
      file("/srv/before", { content: "1" }),
      Resource.parse({ kind: "directory", name: "/srv/three", spec: {}, needs: [] }),
      file("/srv/three/after", { content: "2" }),
    ]);
    assert.equal(applied.failures, []);
    assert.equal(asked, ["all 1", "all 1"]);
  });
});
