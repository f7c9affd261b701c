/** A bird.conf of several files against a real BIRD with a real neighbour: one to the check, the guard, the confirmation and the undo. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Ports } from "@muster/agent/ports/index";
import { bird } from "@muster/agent/resources/bird";
import { birdGuard } from "@muster/agent/resources/bird-guard";
import type { Declared, PlanContext } from "@muster/agent/resources/kind";
import { planAll } from "@muster/agent/resources/plan-all";
import type { Resource } from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import * as assert from "uvu/assert";
import { type Child, freePort } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import {
  config,
  hostPrefix,
  imports,
  type Prefix,
  portsBelow,
  startBird,
  startNeighbour,
  UPSTREAM,
  until,
} from "./private-bird.ts";

const CONTEXT: PlanContext = { applied: null, made: false, coming: new Set(), going: new Set() };
const WINDOW_MS = 20_000;

const declared = (text: string, files: Record<string, string>): Declared<"bird"> => ({
  kind: "bird",
  name: "main",
  spec: { config: text, expect: {}, files },
  needs: [],
});

suite(
  "bird.conf of several files",
  (test) => {
    let prefix: Prefix;
    let ports: Ports;
    let port: number;
    let generation = 40;
    const lifetime = new AbortController();
    const children: Child[] = [];
    const { signal } = lifetime;

    const good = () => config(port, [UPSTREAM]);
    const onDisk = (name: string) => readFileSync(join(prefix.path, "etc/bird", name), "utf8");
    const boot = () => onDisk("bird.conf");
    const inDirectory = () => readdirSync(join(prefix.path, "etc/bird")).sort();
    const settled = () =>
      until("its 20 routes", 15_000, async () => (await imports(ports, signal)).upstream === 20);
    /** Until the guard says so of itself. */
    const judged = (kept: unknown, failure = "") =>
      until(failure === "" ? "well" : failure, 15_000, async () => {
        const { failures } = await birdGuard.check(kept, ports, signal);
        return failures.join() === failure;
      });

    /** Up to and with the last step, as the agent's loop does it. */
    const begin = async (text: string, own: Record<string, string>) => {
      generation += 1;
      const resource = declared(text, own);
      const observed = await bird.observe(resource, ports, signal);
      const plan = bird.plan(resource, observed, CONTEXT);
      if (plan.refused !== undefined) throw new Error(plan.refused.detail);
      const guard = birdGuard.plan(resource, observed, plan.steps);
      const context = { resource, generation, window_ms: WINDOW_MS };
      const snapshot = await birdGuard.snapshot(resource, observed, "/nowhere", ports, signal, context);
      const kept: unknown = JSON.parse(JSON.stringify(snapshot));
      for (const step of plan.steps) await bird.apply(step, ports, signal, context);
      return { kept, plan, guard, context };
    };

    test.before(async () => {
      prefix = await hostPrefix();
      port = await freePort("127.77.0.1");
      ports = portsBelow(prefix.path, signal);
      writeFileSync(join(prefix.path, "etc/bird/bird.conf"), good(), { mode: 0o640 });
      children.push(startNeighbour(prefix.path, port, UPSTREAM), startBird(prefix.path));
      await settled();
    });
    test.after(async () => {
      lifetime.abort();
      await Promise.all(children.map((child) => child.stop()));
      await prefix.release();
    });

    test("checked, loaded and taken back as one, kept as one, and guarded when one of them alone is another", async () => {
      const split = (filter: string) => ({
        text: `include "filters.conf";\n${good().replace(/^filter .*$/m, "")}`,
        own: {
          "filters.conf": `include "consts.conf";\nfilter from_peer { ${filter} }\n`,
          "consts.conf": "define LONG = 24;\n",
        },
      });

      const wrong = split("acept;");
      const refused = declared(wrong.text, wrong.own);
      const seen = bird.plan(refused, await bird.observe(refused, ports, signal), CONTEXT);
      assert.match(seen.refused?.detail ?? "", /^BIRD \S+ there: filters\.conf:2:/);
      const idle = declared(good(), wrong.own);
      assert.match(
        bird.plan(idle, await bird.observe(idle, ports, signal), CONTEXT).refused?.detail ?? "",
        /filters\.conf is one of its files, and bird\.conf does not include it/,
      );
      assert.equal(inDirectory(), ["bird.conf"]);

      const bad = split("if net ~ [ 10.96.0.0/16+ ] && net.len = LONG then reject; accept;");
      const first = await begin(bad.text, bad.own);
      assert.match(
        first.plan.steps[0]?.why ?? "",
        /bird\.conf .*; filters\.conf \+2 -0; consts\.conf \+1 -0/,
      );
      assert.equal(first.guard?.watches, ["upstream"]);
      assert.not.ok(existsSync(join(prefix.path, "etc/bird/filters.conf")), "the next boot has the old ones");
      await judged(first.kept, "upstream imported 20, now 0 (guard: within 10 %)");
      await birdGuard.undo(first.kept, ports, signal);
      await settled();
      assert.equal(inDirectory(), ["bird.conf"]);

      const fine = split("accept;");
      const second = await begin(fine.text, fine.own);
      await judged(second.kept);
      await birdGuard.confirm(second.kept, ports, signal);
      assert.equal(inDirectory(), ["bird.conf", "consts.conf", "filters.conf"]);
      assert.equal([boot(), onDisk("filters.conf")], [fine.text, fine.own["filters.conf"]]);
      const kept = declared(fine.text, fine.own);
      assert.equal(bird.plan(kept, await bird.observe(kept, ports, signal), CONTEXT).steps, []);

      // An edit by hand in one of them is one in the whole: it is told from what Muster put there, also when something new is wanted.
      const managed = async (wanted: Declared<"bird">) =>
        bird.managed(await bird.observe(wanted, ports, signal, { unseen: true, applied: kept.spec }));
      const changed = declared(fine.text, { ...fine.own, "consts.conf": "define LONG = 22;\n" });
      assert.equal(await managed(changed), await managed(kept));
      writeFileSync(join(prefix.path, "etc/bird/consts.conf"), "define LONG = 25;\n");
      assert.not.equal(await managed(changed), sha256(boot()));
      assert.not.equal(await managed(kept), sha256(boot()));
      writeFileSync(join(prefix.path, "etc/bird/consts.conf"), "define LONG = 22;\n");
      assert.equal(await managed(changed), sha256(boot()));
      writeFileSync(join(prefix.path, "etc/bird/consts.conf"), fine.own["consts.conf"]);

      // What was a file of its own before is not removed when it has become BIRD's, and it cannot be both.
      const file: Resource = {
        ...{ kind: "file", name: "/etc/bird/consts.conf", needs: [] },
        spec: { content: "", owner: "root", group: "root", mode: "0644" },
      };
      const entry = (resource: Resource) => ({
        ...{ resource, observed: { value: null }, applied: null, made: true },
      });
      const theirs = { ...entry(kept), observed: { value: await bird.observe(kept, ports, signal) } };
      const { left } = planAll({ declared: [theirs], removed: [entry(file)], owed: [] });
      assert.equal(left, [{ ref: "file//etc/bird/consts.conf", why: "bird/main has it now" }]);
      const twice = planAll({ declared: [theirs, entry(file)], removed: [], owed: [] });
      assert.match(twice.refused[0]?.error.detail ?? "", /one of bird\/main's files: declare it once/);

      // Only an included file is another: the same check and guard, and the confirmation that dies half-way is finished.
      const third = await begin(fine.text, { ...fine.own, "consts.conf": "define LONG = 23;\n" });
      assert.is(third.plan.steps[0]?.why, "consts.conf +1 -1");
      assert.is(onDisk("consts.conf"), fine.own["consts.conf"]);
      const at = (name: string) => `/etc/bird/${name}`;
      await ports.files.rename(
        at(`bird.${third.context.generation}.conf`),
        at(`.muster-confirming.${third.context.generation}.conf`),
      );
      await birdGuard.confirm(third.kept, ports, signal);
      assert.is(onDisk("consts.conf"), "define LONG = 23;\n");
      await birdGuard.undo(third.kept, ports, signal);
      assert.is(onDisk("consts.conf"), fine.own["consts.conf"]);
    });
  },
  { limit_ms: 60_000 },
);
