/** A controller that lies, and streams that were tampered with: nothing is built on what no operator signed. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Handlers, serve } from "@muster/ports/dispatch";
import { processMemory } from "@muster/ports/nonces";
import {
  CONTROL,
  createNkey,
  FleetError,
  hostFingerprint,
  type Joined,
  signJoined,
  splitJoinString,
  subjects,
  verifierOf,
  type WaitingEnrolment,
} from "@muster/protocol";
import * as assert from "uvu/assert";
import { joinString } from "../../../kit/agent.ts";
import { signRollout } from "../../../kit/rollout.ts";
import { suite } from "../../../kit/suite.ts";
import { type Ground, startGround, writeSmallFolder } from "../ground.ts";

suite(
  "hostile controller",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    let head: unknown = { generation: 0, rollout: null, release: null };
    let ids: Record<string, string> = {};
    let waiting: WaitingEnrolment[] = [];
    const approved: string[] = [];

    test.before(async () => {
      ground = await startGround(["core1"], life.signal, { controller: false });
      await writeSmallFolder(ground);
      ids = { core1: ground.hosts.core1?.id ?? "" };
      const { bus } = await ground.fleet.connect("controller", "liar", life.signal);
      const no = () => {
        throw new FleetError("UNSUPPORTED", "not played");
      };
      const handlers = {
        ...Object.fromEntries(Object.keys(CONTROL).map((method) => [method, no])),
        head: () => head,
        enrolments: () => ({ waiting }),
        approve: ({ fingerprint }: { fingerprint: string }) => {
          approved.push(fingerprint);
          return { name: "core1", id: waiting[0]?.id };
        },
        hosts: () => ({ hosts: [view("core1", ids.core1 ?? "")], next: null, now: Date.now() }),
      } as unknown as Handlers<typeof CONTROL>;
      serve(
        {
          bus,
          table: CONTROL,
          handlers,
          routes: [{ pattern: "ctl.*", logical: subjects.ctl }],
          verifier: () => verifierOf(ground.fleet.bundle),
          now: Date.now,
          memory: { ...processMemory(Date.now), signed_from_ms: Date.now() - 60_000 },
        },
        life.signal,
      );
      await bus.roundTrip();
    });
    test.after(async () => {
      life.abort();
      await ground.stop();
    });

    const view = (name: string, id: string) => ({
      record: {
        name,
        id,
        ssh_public_key: "",
        curve: "",
        groups: [],
        enrolled_at: 1,
        enrolled_by: "alice",
        recoveries: 0,
        state: "enrolled",
        certificates: { user_jwt: 1, service: 1, ssh: 1 },
        os: "",
        agent_version: "",
      },
      heard_at: null,
      silent: true,
      convergence: null,
      bgp: null,
      health: null,
    });

    test("a generation above the newest signed release is refused", async () => {
      head = { generation: 41, rollout: null, release: null };
      assert.match(
        (await ground.run("plan core1")).err,
        /names generation 41, the newest signed release is 0/,
      );
      const signed = signRollout(ground.fleet, ground.alice, ids, { generation: 3, waves: [["core1"]] });
      head = { generation: 41, rollout: signed.id, release: signed.release };
      assert.match(
        (await ground.run("apply core1 -y")).err,
        /names generation 41, the newest signed release is 3/,
      );
    });

    test("a release that no operator signed, or for another rollout, is refused", async () => {
      const vera = await ground.fleet.person("vera", "viewer");
      const forged = signRollout(ground.fleet, vera, ids, { generation: 41, waves: [["core1"]] });
      head = { generation: 41, rollout: forged.id, release: forged.release };
      assert.match((await ground.run("plan core1")).err, /vera is viewer/);
      const real = signRollout(ground.fleet, ground.alice, ids, { generation: 41, waves: [["core1"]] });
      head = { generation: 41, rollout: "b".repeat(32), release: real.release };
      assert.match((await ground.run("plan core1")).err, /signature does not fit/);
    });

    test("a key at first sight: what a join string proves is pinned, and nobody's machine but that one proves it", async () => {
      head = { generation: 0, rollout: null, release: null };
      const core1 = ground.hosts.core1;
      assert.ok(core1);
      const { fleet, alice } = ground;
      const lock = () => readFile(join(ground.folder, "hosts.lock"), "utf8").catch(() => "");
      const text = joinString(fleet, alice, { name: "core1" });
      const { join: string, seed } = splitJoinString(text);
      const as = { fleet: fleet.name, name: "core1", id: core1.id };
      const proof = signJoined(string, seed ?? "", as);
      // All that a controller has: the string without what the machine kept, and what the host told.
      const key = createNkey("user");
      const agent = await fleet.connect("agent", "core1", life.signal, key);
      const own = { ...as, id: key.public };
      const vera = await fleet.person("vera", "viewer");
      const by_vera = splitJoinString(joinString(fleet, vera, { name: "core1" }));
      const ixp1 = splitJoinString(joinString(fleet, alice, { name: "ixp1" }));
      const nameless = splitJoinString(joinString(fleet, alice, { groups: ["ixp"] }));
      const lies: [string, Joined | null][] = [
        ["nothing", null],
        ["the host's own proof", proof],
        ["signed by its own key", { ...proof, signature: signJoined(string, key.seed, own).signature }],
        ["a viewer's string", signJoined(by_vera.join, by_vera.seed ?? "", own)],
        ["another host's string", signJoined(ixp1.join, ixp1.seed ?? "", own)],
        ["a string for any name of another group", signJoined(nameless.join, nameless.seed ?? "", own)],
        ["no string", { ...proof, join: "mj1.e30.e30" }],
      ];
      let joined: Joined | null = null;
      agent.bus.subscribe(`rpc.${key.public}.*`, {}, (message) => {
        agent.bus.respond(message, Buffer.from(JSON.stringify({ ok: { joined } })));
      });
      await agent.bus.roundTrip();
      ids = { core1: key.public };
      for (const [what, lie] of lies) {
        joined = lie;
        const ran = await ground.run("apply core1", { answers: ["n"] });
        assert.match(ran.out, /core1 {2}key SHA256:\S+, seen for the first time/, what);
        assert.is(await lock(), "", what);
      }
      ids = { core1: core1.id };
      const grouped = splitJoinString(joinString(fleet, alice, { groups: ["core", "probe"] }));
      for (const good of [proof, signJoined(grouped.join, grouped.seed ?? "", as)]) {
        await ground.write("hosts.lock", "");
        core1.joined = good;
        const ran = await ground.run("apply core1", { answers: ["n"] });
        assert.match(ran.out, /core1 {2}key SHA256:\S+, proved by the join string of alice/);
        assert.match(await lock(), new RegExp(`^core1 ${core1.id}$`, "m"));
      }
    });

    test("another key under a pinned name is refused before anything is sent to it", async () => {
      head = { generation: 0, rollout: null, release: null };
      const stranger = (await ground.fleet.connect("agent", "core1", life.signal)).id;
      await ground.write("hosts.lock", `core1 ${ids.core1}\n`);
      ids = { core1: stranger };
      const ran = await ground.run("plan core1");
      assert.is(ran.code, 1);
      assert.match(ran.err, /core1 has another key than hosts\.lock says/);
    });

    test("a waiting machine is approved by the fingerprint of its own key, and pinned by it", async () => {
      const machine = createNkey("user").public;
      const row = { name: "core1", id: machine, from: "::1", asked_at: Date.now() };
      const facts = { hostname: "core1", os: "Debian 12", addresses: [] };
      const shown = (id: string) => ({ ...row, id, facts, fingerprint: hostFingerprint(machine) });
      const approve = () => ground.run(`enrol approve ${hostFingerprint(machine)}`, { answers: ["y"] });
      waiting = [shown(createNkey("user").public)];
      const lied = await approve();
      assert.is(lied.code, 1);
      assert.match(lied.err, /the controller shows SHA256:/);
      waiting = [shown(machine)];
      await ground.write("hosts.lock", `core1 ${ground.hosts.core1?.id}\n`);
      assert.match((await approve()).err, /core1 has another key than hosts\.lock says/);
      assert.equal(approved, [], "nothing was let in");
      await ground.write("hosts.lock", "");
      const done = await approve();
      assert.is(done.code, 0, done.err);
      assert.match(
        await readFile(join(ground.folder, "hosts.lock"), "utf8"),
        new RegExp(`^core1 ${machine}$`, "m"),
      );
      await ground.write("hosts.lock", `core1 ${ground.hosts.core1?.id}\n`);
    });

    test("a stored manifest that was altered is not built on", async () => {
      ids = { core1: ground.hosts.core1?.id ?? "" };
      const { bus } = await ground.fleet.connect("controller", "tamper", life.signal);
      const signed = signRollout(ground.fleet, ground.alice, ids, { generation: 1, waves: [["core1"]] });
      const [first] = signed.manifests;
      assert.ok(first);
      const body = Buffer.from(first.manifest.body, "base64")
        .toString()
        .replace('"generation":1', '"generation":9');
      await bus.publishStored(subjects.desired(ids.core1 ?? ""), Buffer.from(body), {
        headers: first.manifest.headers,
      });
      const ran = await ground.run("plan core1");
      assert.is(ran.code, 1, ran.out + ran.err);
      assert.match(ran.err, /the manifest stored for core1: .*alice/);
    });
  },
  { limit_ms: 15_000 },
);
