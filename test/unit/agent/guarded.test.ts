// limit: 240 s
/** Unconfirmed changes by a real agent on a real BIRD with real neighbours: kept, taken back, and taken back without the agent. */
import { readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Ports } from "@muster/agent/ports/index";
import { type Caller, callOne } from "@muster/ports/call";
import {
  BgpSample,
  Convergence,
  type FleetEvent,
  hashOfContent,
  type Manifest,
  type ManifestContent,
  parseJson,
  patterns,
  seal,
  subjects,
} from "@muster/protocol";
import * as assert from "uvu/assert";
import { joinString, makeAgent, realSshCertificates, type TestAgent } from "../../kit/agent.ts";
import { type Child, freePort } from "../../kit/child.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { patienceOf } from "../../kit/patience.ts";
import type { Person } from "../../kit/people.ts";
import { randomHex } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";
import {
  CORE1,
  config,
  imports,
  portsBelow,
  startBird,
  startNeighbour,
  UPSTREAM,
} from "./resources/private-bird.ts";

/** For a change that is good: it is confirmed as soon as that is known. */
const AMPLE_MS = 30_000;

suite(
  "guarded",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let alice: Person;
    let agent: TestAgent;
    let caller: Caller;
    let ports: Ports;
    let port = 0;
    let id = "";
    let generation = 0;
    let last: Convergence | null = null;
    let sample: BgpSample | null = null;
    let daemon: Child;
    const states: string[] = [];
    const events: FleetEvent[] = [];
    const neighbours: Child[] = [];
    let publish: (
      subject: string,
      body: Uint8Array,
      headers: Readonly<Record<string, string>>,
    ) => Promise<unknown>;

    const until = async (what: string, ready: () => boolean | Promise<boolean>, limit_ms = 15_000) => {
      const patience = patienceOf(limit_ms);
      while (!(await ready())) {
        if (patience.over()) {
          const seen = JSON.stringify([states, events.map((event) => event.what), last?.detail]);
          throw new Error(`${what}: not after ${patience.text()}; ${seen}\n${agent.output().slice(-3_000)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const send = async (text: string, within_ms: number, intent: Partial<Manifest["intent"]> = {}) => {
      const content: ManifestContent = {
        groups: ["ixp"],
        labels: {},
        resources: [{ kind: "bird", name: "main", spec: { config: text, expect: {} }, needs: [] }],
        switches: [],
      };
      states.length = 0;
      events.length = 0;
      const manifest: Manifest = {
        v: 1,
        fleet: fleet.name,
        host: "ixp1",
        id,
        generation: ++generation,
        release: { id: randomHex(), return_to: null, not_after: Date.now() + 3_600_000 },
        content,
        content_hash: hashOfContent(content),
        intent: { message: "", plan_index: null, overwrite: [], force: false, within_ms, ...intent },
        rolled_back: {},
      };
      const subject = subjects.desired(id);
      const { body, headers } = seal(subject, Buffer.from(JSON.stringify(manifest)), alice, Date.now());
      await publish(subject, body, headers);
    };
    const good = (more = "") => config(port, [UPSTREAM, CORE1], "accept;", more);
    const bad = (more = "") => config(port, [UPSTREAM, CORE1], "reject;", more);
    const boot = () => agent.read("/etc/bird/bird.conf");
    const both = async () => {
      const now = await imports(ports, life.signal);
      return now.upstream === 20 && now.core1 === 2;
    };
    const stateOf = (at: number, state: string) => () => last?.generation === at && last.state === state;

    test.before(
      async () => {
        fleet = await startFleet();
        controller = await startController(fleet);
        await realSshCertificates(controller.issuer, fleet.server.directory);
        alice = await fleet.person("alice");
        agent = await makeAgent("ixp1", { bird_socket: "/run/bird.ctl", settle_ms: 6_000 });
        port = await freePort("127.77.0.1");
        writeFileSync(join(agent.prefix, "etc/passwd"), "root:x:0:0::/root:/bin/sh\n");
        writeFileSync(join(agent.prefix, "etc/group"), "root:x:0:\nbird:x:0:\n");
        writeFileSync(join(agent.prefix, "etc/bird/bird.conf"), good());
        await agent.write("/etc/muster/join", joinString(fleet, alice, { name: "ixp1" }));
        agent.start();
        for (const neighbour of [UPSTREAM, CORE1])
          neighbours.push(startNeighbour(agent.prefix, port, neighbour));
        daemon = startBird(agent.prefix);
        ports = portsBelow(agent.prefix, life.signal);
        const operator = await fleet.connect("operator", "alice", life.signal);
        caller = { bus: operator.bus, signer: alice, now: Date.now };
        operator.bus.subscribe(patterns.telemetry("ixp1", "convergence"), { concurrency: 1 }, (message) => {
          last = parseJson(Convergence, message.body, "convergence");
          if (states.at(-1) !== last.state) states.push(last.state);
        });
        operator.bus.subscribe(patterns.telemetry("ixp1", "bgp"), { concurrency: 1 }, (message) => {
          sample = parseJson(BgpSample, message.body, "bgp");
        });
        operator.bus.subscribe(patterns.event("ixp1"), { concurrency: 1 }, (message) => {
          events.push(JSON.parse(Buffer.from(message.body).toString()));
        });
        const stand_in = await fleet.connect("controller", "stand-in", life.signal);
        publish = (subject, body, headers) => stand_in.bus.publishStored(subject, body, { headers });
        await until("enrolled", () => last !== null);
        id = JSON.parse((await agent.read("/run/muster-agent/status.json")) ?? "{}").id;
        await until("both sessions", both, 20_000);
      },
      { limit_ms: 60_000 },
    );
    test.after(async () => {
      await agent.stop("SIGKILL");
      for (const child of [daemon, ...neighbours]) await child.stop("SIGKILL");
      await agent.remove();
      life.abort();
      await controller.stop();
      await fleet.stop();
    });

    test("a watched host tells of its sessions by its own bird.conf", async () => {
      await until("sample", () => sample?.sessions.every(({ verdict }) => verdict === "ok") === true);
      assert.equal(sample?.sessions.map(({ name }) => name).sort(), ["core1", "upstream"]);
    });

    test("a good change is confirmed and becomes the boot file", async () => {
      await send(good("# one"), AMPLE_MS);
      await until("converged", stateOf(generation, "converged"));
      assert.ok(states.includes("unconfirmed"), states.join());
      assert.match((await boot()) ?? "", /# one/);
      assert.ok(await both());
    });

    test("a change that loses prefixes is taken back, and not tried again", async () => {
      const before = await boot();
      await send(bad(), 4_000);
      await until("undone", stateOf(generation, "undone"));
      assert.match(
        last?.detail ?? "",
        /upstream imported 20, now 0 \(guard: within 10 %\).*; back after \d+ s\. bird\.conf is as before\./,
      );
      assert.is(await boot(), before);
      await until("both sessions", both);
      await until("event", () => events.some((event) => event.kind === "guard"));
      const count = events.filter((event) => event.kind === "guard").length;
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      assert.is(events.filter((event) => event.kind === "guard").length, count, "it was tried again");
      assert.is(last?.state, "undone");
    });

    test("one that BIRD refuses changes nothing", async () => {
      const before = await boot();
      await send(`${good()}\nprotocol nonsense {}`, 4_000);
      await until("refused", () => last?.state === "refused");
      assert.match(last?.detail ?? "", /bird\.conf/);
      assert.is(await boot(), before);
    });

    test("with the agent dead, the armed undo takes it back", async () => {
      const before = await boot();
      await send(bad("# two"), 12_000);
      await until("unconfirmed", () => last?.state === "unconfirmed");
      await agent.stop("SIGKILL");
      await until("imports lost", async () => ((await imports(ports, life.signal)).upstream ?? 0) === 0);
      await until("both sessions, without an agent", both, 20_000);
      assert.is(await boot(), before);
      agent.start();
      await until(
        "the agent tells of it",
        () => events.some((event) => /was undone/.test(event.what)),
        20_000,
      );
      await until("undone", stateOf(generation, "undone"));
    });

    test("killed in the middle and back at once: taken back, tried once more, and it ends well or is undone", async () => {
      await send(good("# three"), AMPLE_MS);
      await until("unconfirmed", () => last?.state === "unconfirmed");
      await agent.stop("SIGKILL");
      agent.start();
      await until("converged", stateOf(generation, "converged"), 25_000);
      assert.match((await boot()) ?? "", /# three/);
      await until("the event", () => events.some(({ what }) => /was undone: the agent was gone/.test(what)));
    });

    test("a hand edit is left, and a new state over it needs --overwrite", async () => {
      await agent.write("/etc/bird/bird.conf", good("# by hand"));
      await until("drift", () => last?.drift.length === 1);
      assert.is(last?.drift[0]?.action, "left");
      assert.is(last?.state, "converged");
      await send(good("# four"), 6_000);
      await until("overwrite", () => last?.generation === generation && last.error === "OVERWRITE");
      assert.match((await boot()) ?? "", /# by hand/);
      await send(good("# five"), AMPLE_MS, { overwrite: ["bird/main"] });
      await until("converged", stateOf(generation, "converged"));
      assert.match((await boot()) ?? "", /# five/);
    });

    test("an edit made after that --overwrite did its work is a new one, also for a restarted agent", async () => {
      await agent.write("/etc/bird/bird.conf", good("# by hand again"));
      await until("drift", () => last?.drift.length === 1);
      await agent.stop("SIGKILL");
      last = null;
      agent.start();
      await until("drift, told anew", () => last?.state === "converged" && last.drift.length === 1);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      assert.match((await boot()) ?? "", /# by hand again/);
      await send(good("# six"), AMPLE_MS, { overwrite: ["bird/main"] });
      await until("converged", stateOf(generation, "converged"));
    });

    test("what was judged good and cannot be confirmed any more is taken back", async () => {
      const before = await boot();
      await send(good("# seven"), 20_000);
      await until("unconfirmed", () => last?.state === "unconfirmed");
      await agent.stop("SIGKILL");
      const records = join(agent.prefix, "/var/lib/muster-agent/unconfirmed");
      const [record = ""] = readdirSync(records);
      renameSync(join(records, record, "record.json"), join(records, record, "confirming.json"));
      await ports.routing.undo(life.signal);
      agent.start();
      await until("undone", stateOf(generation, "undone"));
      await until("the event", () =>
        events.some((event) => /was undone: it cannot be confirmed: /.test(event.what)),
      );
      assert.equal(readdirSync(records), []);
      assert.is(await boot(), before);
    });

    test("a BIRD that stops is an event and a red sample within five seconds", async () => {
      events.length = 0;
      const began = Date.now();
      await daemon.stop();
      await until("event", () => events.some((event) => /BIRD does not answer/.test(event.what)), 5_000);
      await until("sample", () => sample?.daemon.reachable === false, 5_000);
      console.log(`    seen after ${Date.now() - began} ms`);
      assert.ok(sample?.sessions.every(({ verdict }) => verdict !== "ok"));
      daemon = startBird(agent.prefix);
      await until(
        "both again",
        () => sample?.sessions.filter(({ verdict }) => verdict === "ok").length === 2,
        20_000,
      );
      const reply = await callOne(caller, id, "bgp", { session: "upstream" });
      assert.is(reply.path?.interface, "lo");
    });
  },
  { limit_ms: 60_000 },
);
