/** Kind `bird` against a real BIRD with real neighbours: refused, kept, taken back, interrupted. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Ports } from "@muster/agent/ports/index";
import { bird } from "@muster/agent/resources/bird";
import { musterText, saysDrained } from "@muster/agent/resources/bird-files";
import { birdGuard } from "@muster/agent/resources/bird-guard";
import type { Declared, PlanContext } from "@muster/agent/resources/kind";
import type { ThrownSwitch } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { type Child, freePort } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import {
  BINARY,
  CORE1,
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
const FULL = { upstream: 20, core1: 2 };
const WINDOW_MS = 4_000;

const declared = (text: string): Declared<"bird"> => ({
  kind: "bird",
  name: "main",
  spec: { config: text, expect: {} },
  needs: [],
});

suite(
  "kind bird on a real BIRD",
  (test) => {
    let prefix: Prefix;
    let ports: Ports;
    let port: number;
    let daemon: Child;
    let generation = 40;
    const lifetime = new AbortController();
    const neighbours: Child[] = [];
    const { signal } = lifetime;

    const good = () => config(port, [UPSTREAM, CORE1]);
    const bootPath = () => join(prefix.path, "etc/bird/bird.conf");
    const boot = () => readFileSync(bootPath(), "utf8");
    const inDirectory = () => readdirSync(join(prefix.path, "etc/bird")).sort();
    const settled = (want: Record<string, number>) =>
      until(`sessions ${JSON.stringify(want)}`, 15_000, async () => {
        const now = await imports(ports, signal);
        return JSON.stringify(Object.entries(now).sort()) === JSON.stringify(Object.entries(want).sort());
      });

    /** Up to and with the last step, as the agent's loop does it. */
    const begin = async (text: string) => {
      generation += 1;
      const resource = declared(text);
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

    /** The guard: good for 2 s on end, or the failures that stand when the window ends. */
    const judge = async (kept: unknown): Promise<readonly string[]> => {
      const end = Date.now() + WINDOW_MS;
      let failures: readonly string[] = [];
      for (let good_for = 0; good_for < 8 && Date.now() < end; ) {
        ({ failures } = await birdGuard.check(kept, ports, signal));
        good_for = failures.length === 0 ? good_for + 1 : 0;
        await sleep(250);
      }
      return failures;
    };

    test.before(async () => {
      if (!existsSync(BINARY)) throw new Error(`${BINARY} is not here: apt-get install bird2`);
      prefix = await hostPrefix();
      port = await freePort("127.77.0.1");
      ports = portsBelow(prefix.path, signal);
      writeFileSync(bootPath(), good(), { mode: 0o640 });
      neighbours.push(startNeighbour(prefix.path, port, UPSTREAM), startNeighbour(prefix.path, port, CORE1));
      daemon = startBird(prefix.path);
      await settled(FULL);
    });
    test.before.each(async () => {
      if (boot() !== good()) throw new Error("the test before left another configuration");
      await settled(FULL);
    });
    test.after(async () => {
      lifetime.abort();
      await Promise.all([daemon, ...neighbours].map((child) => child.stop()));
      await prefix.release();
    });

    test("what agrees takes no step, and BIRD is not asked", async () => {
      const observed = await bird.observe(declared(good()), ports, signal);
      assert.is(observed.daemon, null);
      assert.equal(bird.plan(declared(good()), observed, CONTEXT), { steps: [], notes: [] });
    });

    test("an invalid file is refused in BIRD's words before anything changed", async () => {
      const resource = declared(good().replace("protocol device {}", "protocl device {}"));
      const observed = await bird.observe(resource, ports, signal);
      const plan = bird.plan(resource, observed, CONTEXT);
      assert.equal(plan.steps, []);
      assert.is(plan.refused?.code, "BIRD_REFUSED");
      assert.match(plan.refused?.detail ?? "", /^BIRD \d\S* there: bird\.conf:2:1 syntax error/);
      assert.is(boot(), good());
      assert.equal(inDirectory(), ["bird.conf"]);
      assert.is((await ports.routing.status(signal)).undo_in_ms, null);
    });

    test("a filter change is loaded in place, kept, and only then the boot file", async () => {
      const text = config(port, [UPSTREAM, CORE1], "if net ~ [ 172.16.0.0/12+ ] then reject; accept;");
      const { kept, plan, guard, context } = await begin(text);
      assert.equal(plan.notes, [`checked by BIRD ${await ports.routing.version(signal)} there`]);
      assert.is(plan.steps[0]?.why, "bird.conf +1 -1");
      assert.is(plan.steps[0]?.effect, "filters reload in place, no session resets");
      assert.equal(guard, { window_ms: 60_000, watches: ["upstream", "core1"] });
      assert.is(boot(), good());
      assert.ok(((await ports.routing.status(signal)).undo_in_ms ?? 0) > WINDOW_MS);
      for (const step of plan.steps) await bird.apply(step, ports, signal, context);
      assert.equal(await judge(kept), []);
      await birdGuard.confirm(kept, ports, signal);
      assert.is(boot(), text);
      assert.equal(inDirectory(), ["bird.conf"]);
      assert.is((await ports.routing.status(signal)).undo_in_ms, null);
      await birdGuard.confirm(kept, ports, signal);
      assert.equal(
        bird.plan(declared(text), await bird.observe(declared(text), ports, signal), CONTEXT).steps,
        [],
      );
      await back();
    });

    test("a change that loses imports is told with its numbers and taken back", async () => {
      const { kept } = await begin(
        config(port, [UPSTREAM, CORE1], "if net ~ [ 10.96.0.0/16{24,24} ] then reject; accept;"),
      );
      assert.equal(await judge(kept), ["upstream imported 20, now 0 (guard: within 10 %)"]);
      await birdGuard.undo(kept, ports, signal);
      await settled(FULL);
      assert.is(boot(), good());
      assert.equal(inDirectory(), ["bird.conf"]);
      await birdGuard.undo(kept, ports, signal);
      await settled(FULL);
    });

    test("a session that is removed on purpose is confirmed, with a longer window for one that resets", async () => {
      const text = config(port, [{ ...UPSTREAM, name: "transit" }]);
      const { kept, plan, guard } = await begin(text);
      assert.match(plan.steps[0]?.effect ?? "", /resets upstream \(renamed to transit\); ends core1/);
      assert.equal(guard, { window_ms: 300_000, watches: ["transit"] });
      await until(
        "transit comes up again",
        10_000,
        async () => (await birdGuard.check(kept, ports, signal)).good,
      );
      await birdGuard.confirm(kept, ports, signal);
      assert.is(boot(), text);
      await back();
    });

    test("somebody else's configure while ours is pending fails the guard, and our own copy is loaded", async () => {
      const other = join(prefix.path, "other.conf");
      writeFileSync(other, config(port, [CORE1]));
      const { kept } = await begin(config(port, [UPSTREAM, CORE1], "reject;"));
      await ports.routing.configure(other, null, signal);
      const { failures } = await birdGuard.check(kept, ports, signal);
      assert.match(failures[0] ?? "", /own undo timer is gone/);
      try {
        await birdGuard.confirm(kept, ports, signal);
        assert.unreachable();
      } catch (error) {
        assert.is(error instanceof FleetError && error.code, "FAILED");
      }
      await birdGuard.undo(kept, ports, signal);
      await settled(FULL);
      assert.is(boot(), good());
    });

    test("while an unconfirmed configuration is loaded, a plan waits and a second change is refused", async () => {
      const text = config(port, [UPSTREAM, CORE1], "accept; /* two */");
      const { kept, plan, context } = await begin(config(port, [UPSTREAM, CORE1], "accept; /* one */"));
      const observed = await bird.observe(declared(text), ports, signal);
      assert.match(
        bird.plan(declared(text), observed, CONTEXT).unsupported ?? "",
        /unconfirmed configuration/,
      );
      try {
        for (const step of plan.steps) await bird.apply(step, ports, signal, { ...context, generation: 999 });
        assert.unreachable();
      } catch (error) {
        assert.is(error instanceof FleetError && error.code, "CONFLICT");
      }
      await birdGuard.undo(kept, ports, signal);
    });

    test("an agent that dies in mid-change is undone from the record by a new one", async () => {
      const { kept } = await begin(config(port, [UPSTREAM], "reject;"));
      const later = new AbortController();
      try {
        await birdGuard.undo(kept, portsBelow(prefix.path, later.signal), later.signal);
      } finally {
        later.abort();
      }
      await settled(FULL);
      assert.is(boot(), good());
      assert.equal(inDirectory(), ["bird.conf"]);
    });

    test("a confirmation that was cut off is finished when it is asked for again", async () => {
      const text = config(port, [UPSTREAM, CORE1], "accept; /* cut off */");
      const { kept, context } = await begin(text);
      const at = (name: string) => `/etc/bird/${name}`;
      await ports.files.rename(
        at(`bird.${context.generation}.conf`),
        at(`.muster-confirming.${context.generation}.conf`),
      );
      await ports.routing.confirm(signal);
      assert.is(boot(), good());
      await birdGuard.confirm(kept, ports, signal);
      assert.is(boot(), text);
      assert.equal(inDirectory(), ["bird.conf"]);
      await birdGuard.undo(kept, ports, signal);
      await settled(FULL);
    });

    test("undo works while BIRD is down, and a BIRD that is down gets its file at once", async () => {
      const { kept } = await begin(config(port, [UPSTREAM], "reject;"));
      await daemon.stop();
      await until("BIRD is away", 5_000, async () => !(await ports.routing.running(signal)));
      assert.is((await birdGuard.check(kept, ports, signal)).good, false);
      // As a confirmation that got as far as the boot file would leave it.
      writeFileSync(bootPath(), "half a file");
      await birdGuard.undo(kept, ports, signal);
      assert.is(boot(), good());

      // The first configuration ever.
      await ports.files.remove("/etc/bird/bird.conf");
      const bad = declared("protocl device {}\n");
      const refused = bird.plan(bad, await bird.observe(bad, ports, signal), CONTEXT).refused;
      assert.match(refused?.detail ?? "", /there: bird\.conf:1:1 syntax error/);
      const text = config(port, [UPSTREAM, CORE1], "accept; /* from the start */");
      const observed = await bird.observe(declared(text), ports, signal);
      const { steps } = bird.plan(declared(text), observed, CONTEXT);
      assert.equal(
        steps.map(({ action }) => action),
        ["install"],
      );
      assert.is(birdGuard.plan(declared(text), observed, steps), null);
      const context = { resource: declared(text), generation, window_ms: null };
      for (const step of [...steps, ...steps]) await bird.apply(step, ports, signal, context);
      assert.is(boot(), text);
      assert.is((await ports.files.facts("/etc/bird/bird.conf"))?.mode, "0640");
      assert.equal(inDirectory(), ["bird.conf"]);
      writeFileSync(bootPath(), good());
      daemon = startBird(prefix.path);
      await settled(FULL);
    });

    test("the drain constant is written before a file that includes it, and not by a plan", async () => {
      const resource = declared(`include "/etc/bird/muster.conf";\n${good()}`);
      const observed = await bird.observe(resource, ports, signal);
      const { steps, refused } = bird.plan(resource, observed, CONTEXT);
      assert.is(refused, undefined);
      assert.equal(
        steps.map(({ action }) => action),
        ["define", "configure"],
      );
      assert.equal(inDirectory(), ["bird.conf"]);
      const context = { resource, generation, window_ms: WINDOW_MS };
      for (const step of steps.slice(0, 1)) await bird.apply(step, ports, signal, context);
      assert.match(
        readFileSync(join(prefix.path, "etc/bird/muster.conf"), "utf8"),
        /^define muster_drain = false;$/m,
      );
      await ports.files.remove("/etc/bird/muster.conf");
    });

    test("a thrown drain turns the constant under the guard, without a reset; an undo turns it back", async () => {
      const text = `include "/etc/bird/muster.conf";\n${good()}`;
      const muster = join(prefix.path, "etc/bird/muster.conf");
      const included = text.replace("/etc/bird/muster.conf", muster);
      writeFileSync(muster, musterText(false));
      let thrown: ThrownSwitch | null = null;
      const through: Ports = {
        ...portsBelow(prefix.path, signal),
        drain: () => thrown,
        files: {
          ...ports.files,
          replace: (path, bytes, ...rest) =>
            // BIRD itself knows nothing of the prefix.
            ports.files.replace(path, Buffer.from(String(bytes).replace(text, included)), ...rest),
        },
      };
      const looked = async () => {
        const observed = await bird.observe(declared(text), through, signal);
        return { observed, steps: bird.plan(declared(text), observed, CONTEXT).steps };
      };
      writeFileSync(bootPath(), text);
      assert.equal((await looked()).steps, []);
      thrown = { name: "drain", on: true, why: "switch swap", by: "alice", at: 1, until: null };
      const { observed, steps } = await looked();
      assert.equal(
        steps.map(({ action, args, why }) => [action, args.drain, why]),
        [["configure", true, "drained by alice: switch swap"]],
      );
      assert.match(steps[0]?.effect ?? "", /65535:0.*no session resets/);
      assert.equal(birdGuard.plan(declared(text), observed, steps)?.watches, ["upstream", "core1"]);
      const context = { resource: declared(text), generation: 90, window_ms: WINDOW_MS };
      const kept = await birdGuard.snapshot(declared(text), observed, "/nowhere", through, signal, context);
      for (const step of steps) await bird.apply(step, through, signal, context);
      assert.ok(saysDrained(readFileSync(muster, "utf8")));
      assert.is((await birdGuard.check(kept, through, signal)).good, true);
      await birdGuard.undo(kept, through, signal);
      assert.not.ok(saysDrained(readFileSync(muster, "utf8")));
      assert.is((await looked()).steps.length, 1, "still wanted");
      writeFileSync(bootPath(), good());
      await ports.files.remove("/etc/bird/muster.conf");
    });

    test("no password stands in a plan", async () => {
      const resource = declared(good().replace("multihop;", 'multihop; password "hunter2hunter2";'));
      const { steps } = bird.plan(resource, await bird.observe(resource, ports, signal), CONTEXT);
      assert.is(steps.length, 1);
      assert.not.match(JSON.stringify(steps), /hunter2/);
    });

    test("a session that flapped before is not guarded", async () => {
      ports = portsBelow(prefix.path, signal);
      await settled(FULL);
      // What our own changes do must not count; what follows must.
      for (let changes = 0; changes < 2; changes += 1) {
        const { kept } = await begin(config(port, [UPSTREAM, { ...CORE1, name: "core9" }]));
        await imports(ports, signal);
        await birdGuard.undo(kept, ports, signal);
        await settled(FULL);
      }
      await sleep(2_100);
      const up = async () => "upstream" in (await imports(ports, signal));
      for (let falls = 0; falls < 2; falls += 1) {
        await neighbours.shift()?.stop("SIGKILL");
        await until("upstream falls", 10_000, async () => !(await up()));
        neighbours.unshift(startNeighbour(prefix.path, port, UPSTREAM));
        await until("upstream returns", 10_000, up);
      }
      await settled(FULL);
      const { kept, guard } = await begin(
        config(port, [UPSTREAM, CORE1], "if net ~ [ 10.96.0.0/16{24,24} ] then reject; accept;"),
      );
      assert.equal(guard?.watches, ["core1"]);
      assert.equal(await judge(kept), []);
      await birdGuard.undo(kept, ports, signal);
    });

    /** Puts the first configuration back, for the next test. */
    async function back(): Promise<void> {
      writeFileSync(bootPath(), good());
      await ports.routing.configure(bootPath(), null, signal);
    }
  },
  { limit_ms: 30_000 },
);
