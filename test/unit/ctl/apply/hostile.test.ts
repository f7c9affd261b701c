/** A controller that lies, and streams that were tampered with: nothing is built on what no operator signed. */
import { type Handlers, serve } from "@muster/ports/dispatch";
import { processMemory } from "@muster/ports/nonces";
import { CONTROL, FleetError, subjects, verifierOf } from "@muster/protocol";
import * as assert from "uvu/assert";
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

    test("another key under a pinned name is refused before anything is sent to it", async () => {
      head = { generation: 0, rollout: null, release: null };
      const stranger = (await ground.fleet.connect("agent", "core1", life.signal)).id;
      await ground.write("hosts.lock", `core1 ${ids.core1}\n`);
      ids = { core1: stranger };
      const ran = await ground.run("plan core1");
      assert.is(ran.code, 1);
      assert.match(ran.err, /core1 has another key than hosts\.lock says/);
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
