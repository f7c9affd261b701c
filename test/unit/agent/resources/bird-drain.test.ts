/** A drain where bird.conf has no drain constant, on a real BIRD with real neighbours; and what birdc may do there. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createBgp } from "@muster/agent/collectors/bgp";
import { shownDrain } from "@muster/agent/drain";
import type { Ports } from "@muster/agent/ports/index";
import { bird } from "@muster/agent/resources/bird";
import { birdGuard } from "@muster/agent/resources/bird-guard";
import type { Declared, PlanContext } from "@muster/agent/resources/kind";
import type { Round } from "@muster/agent/round";
import { birdc } from "@muster/agent/rpc/birdc";
import type { RpcDoor } from "@muster/agent/rpc/door";
import { throwSwitch } from "@muster/agent/rpc/switch";
import type { Call } from "@muster/ports/dispatch";
import type { ThrownSwitch } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { DEFAULT_SWITCHES } from "@muster/protocol/switch";
import * as assert from "uvu/assert";
import { type Child, freePort } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import {
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

suite(
  "a drain that disables sessions",
  (test) => {
    let prefix: Prefix;
    let ports: Ports;
    let port: number;
    let daemon: Child;
    let thrown: ThrownSwitch | null = null;
    const neighbours: Child[] = [];
    const lifetime = new AbortController();
    const { signal } = lifetime;

    const declared = (): Declared<"bird"> => ({
      kind: "bird",
      name: "main",
      spec: { config: config(port, [UPSTREAM, CORE1]), expect: {} },
      needs: [],
    });
    const bootPath = () => join(prefix.path, "etc/bird/bird.conf");
    const settled = (want: Record<string, number>) =>
      until(`sessions ${JSON.stringify(want)}`, 15_000, async () => {
        const now = await imports(ports, signal);
        return JSON.stringify(Object.entries(now).sort()) === JSON.stringify(Object.entries(want).sort());
      });
    const look = async () => {
      const resource = declared();
      const observed = await bird.observe(resource, ports, signal);
      return { resource, observed, plan: bird.plan(resource, observed, CONTEXT) };
    };
    /** As the agent's loop does it, confirmed. */
    const apply = async () => {
      const { resource, observed, plan } = await look();
      const context = { resource, generation: 7, window_ms: WINDOW_MS };
      const kept: unknown = JSON.parse(
        JSON.stringify(await birdGuard.snapshot(resource, observed, "/nowhere", ports, signal, context)),
      );
      for (const step of plan.steps) await bird.apply(step, ports, signal, context);
      await until(
        "the guard is content",
        WINDOW_MS,
        async () => (await birdGuard.check(kept, ports, signal)).good,
      );
      await birdGuard.confirm(kept, ports, signal);
      return plan;
    };
    const shown = async (failed: readonly string[] = []) => {
      const { resource, observed, plan } = await look();
      const looked = [{ ref: "bird/main", resource, observed: { value: observed } }];
      return shownDrain(thrown, { looked, plan } as unknown as Round, failed, () => ["2001:db8::1"]);
    };

    test.before(async () => {
      prefix = await hostPrefix();
      port = await freePort("127.77.0.1");
      ports = { ...portsBelow(prefix.path, signal), drain: () => thrown };
      writeFileSync(bootPath(), declared().spec.config, { mode: 0o640 });
      neighbours.push(startNeighbour(prefix.path, port, UPSTREAM), startNeighbour(prefix.path, port, CORE1));
      daemon = startBird(prefix.path);
      await settled(FULL);
    });
    test.after(async () => {
      lifetime.abort();
      await Promise.all([daemon, ...neighbours].map((child) => child.stop()));
      await prefix.release();
    });

    test("the switch says what it needs, and is kept with what was agreed to", async () => {
      let kept: readonly ThrownSwitch[] = [];
      const door = {
        events: { tell: () => undefined },
        ports,
        reconciler: { bell: { ring: () => undefined } },
        ledger: {
          state: { in_force: { generation: 7 } },
          manifest: async () => ({ content: { resources: [declared()], switches: DEFAULT_SWITCHES } }),
          update: async (change: (state: object) => { switches: ThrownSwitch[] }) => {
            kept = change({ switches: kept }).switches;
          },
        },
      } as unknown as RpcDoor;
      const call = { principal: { name: "alice", rank: "operator" }, signal } as unknown as Call;
      const wish = { name: "drain", on: true, why: "switch swap", for_ms: 60_000 } as const;
      try {
        await throwSwitch(door)(wish, call);
        assert.unreachable();
      } catch (error) {
        assert.ok(error instanceof FleetError);
        assert.is(error.code, "UNSUPPORTED");
        assert.match(error.detail, /lacks the line: include/);
      }
      assert.equal(kept, []);
      const { thrown: now } = await throwSwitch(door)({ ...wish, disable: true }, call);
      assert.equal(
        now.map(({ name, by, disable }) => [name, by, disable]),
        [["drain", "alice", true]],
      );
      thrown = now[0] ?? null;
    });

    test("drained: sessions with other networks are disabled under the guard, ours stay", async () => {
      assert.is((await shown(["bird/main"]))?.in_effect, false);
      const plan = await apply();
      const [step] = plan.steps;
      assert.equal(
        [step?.action, step?.args.disables, step?.why, step?.effect],
        [
          "configure",
          ["upstream"],
          "drained by alice: switch swap; bird.conf +1 -0",
          "disables upstream: they go down",
        ],
      );
      await settled({ core1: 2 });
      assert.match(readFileSync(bootPath(), "utf8"), /disabled yes; # drained by Muster\n\}/);
      assert.equal((await look()).plan.steps, []);
      const drained = await shown();
      assert.equal([drained?.in_effect, drained?.disables], [true, ["upstream"]]);
      assert.equal(drained?.addresses, ["2001:db8::1"]);
    });

    test("its sessions are drained with who, why and until, and not red; past its time the words say so", async () => {
      const { spec } = declared();
      const collector = createBgp(ports, () => spec);
      const sample = await collector.sample(signal);
      const [upstream, core1] = sample?.sessions ?? [];
      assert.equal([upstream?.verdict, upstream?.expected, core1?.verdict], ["drained", "up", "ok"]);
      assert.match(upstream?.why ?? "", /^drained by alice until .* UTC: switch swap \(down/);
      assert.ok(thrown !== null);
      thrown = { ...thrown, until: Date.now() - 1 };
      const later = await collector.sample(signal);
      assert.match(later?.sessions[0]?.why ?? "", /^drained by alice, SHOULD BE BACK since/);
    });

    test("it outlives a restart of BIRD, which is what a reboot does", async () => {
      await daemon.stop();
      daemon = startBird(prefix.path);
      await settled({ core1: 2 });
      const { sessions } = await ports.routing.sessions(signal);
      assert.is(sessions.find(({ name }) => name === "upstream")?.protocol_state, "down");
      assert.equal((await look()).plan.steps, []);
    });

    test("undrained: bird.conf is as declared, and the session comes up again", async () => {
      thrown = null;
      const plan = await apply();
      assert.match(plan.steps[0]?.why ?? "", /^undrained; bird\.conf \+0 -1$/);
      assert.match(plan.steps[0]?.effect ?? "", /enables upstream/);
      assert.is(readFileSync(bootPath(), "utf8"), declared().spec.config);
      await settled(FULL);
    });

    test("birdc: BIRD itself refuses what would change something", async () => {
      const ask = birdc({ ports } as unknown as RpcDoor);
      const call = { signal } as unknown as Call;
      const { lines } = await ask({ command: "show route for 10.96.0.1" }, call);
      assert.match(lines.join("\n"), /10\.96\.0\.0\/24/);
      for (const command of ["disable upstream", "configure", "down"])
        await ask({ command }, call).then(
          () => assert.unreachable(command),
          (error: unknown) => {
            assert.ok(error instanceof FleetError);
            assert.equal(
              [error.code, /Access denied/.test(error.detail)],
              ["BIRD_REFUSED", true],
              error.detail,
            );
          },
        );
      await settled(FULL);
    });
  },
  { limit_ms: 30_000 },
);
