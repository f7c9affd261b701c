/** Attacks on giving a log-in at Vault to a host that is in the fleet: whose curve key, whose order, sealed to whom. Real agent, controller, broker, Vault. */
import { setTimeout as sleep } from "node:timers/promises";
import { callOne } from "@muster/ports/call";
import { createCurvePair, createNkey, sealTo } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { checkCurve, proveCurve } from "@muster/protocol/rpc/login";
import * as assert from "uvu/assert";
import { giveLogin } from "../../packages/ctl/src/host/login.ts";
import { hostLogins } from "../../packages/ctl/src/join/host-logins.ts";
import { joinString, makeAgent } from "../kit/agent.ts";
import { startController } from "../kit/controller.ts";
import { eventually } from "../kit/eventually.ts";
import { outcome } from "../kit/outcome.ts";
import type { Person } from "../kit/people.ts";
import { suite } from "../kit/suite.ts";
import { startVaultFleet, type VaultFleet } from "../kit/vault-fleet.ts";

async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof FleetError) || tries > 600) throw error;
      await sleep(100);
    }
  }
}

suite(
  "a log-in for a host that has none",
  (test) => {
    const life = new AbortController();
    let ground: VaultFleet;
    let alice: Person;
    test.before(async () => {
      ground = await startVaultFleet(life.signal);
      alice = await ground.fleet.person("alice");
    });
    test.after(async () => {
      life.abort();
      await ground.stop();
    });

    test("a host that came without a token is given one by a person, sealed to the key that is pinned", async ({
      signal,
    }) => {
      const logins = await hostLogins(await ground.asPerson("alice", "operator"));
      const controller = await startController(ground.fleet, { vault: ground.controller_vault });
      const agent = await makeAgent("edge9");
      try {
        const { bus } = await ground.fleet.connect("operator", "alice", signal);
        const caller = { bus, id: "", signer: alice, now: Date.now, close: async () => {} };
        await agent.write("/etc/muster/join", joinString(ground.fleet, alice, { name: "edge9" }));
        agent.start();
        const statusOf = async () => JSON.parse((await agent.read("/run/muster-agent/status.json")) ?? "{}");
        await eventually(async () => assert.is((await statusOf()).host, "edge9"), 15_000);
        const { id } = await statusOf();
        const before = await untilAnswered(() => callOne(caller, id, "login", {}));
        assert.is(before.until, null);
        checkCurve(id, before.curve, before.proof);
        // A controller that puts its own curve key in the host's place cannot have the host's key sign it.
        const other = createNkey("user");
        assert.throws(
          () => checkCurve(id, createCurvePair().public, before.proof),
          (error: unknown) => error instanceof FleetError && error.code === "BAD_PROOF",
        );
        assert.throws(
          () => checkCurve(id, before.curve, proveCurve(other, before.curve)),
          (error: unknown) => error instanceof FleetError && error.code === "BAD_PROOF",
        );
        const viewer = { ...caller, signer: await ground.fleet.person("eve", "viewer") };
        assert.is(await outcome(callOne(viewer, id, "login", {})), "NOT_ALLOWED");
        const box = Buffer.from(
          sealTo(createCurvePair().public, Buffer.from("{}"), createCurvePair()),
        ).toString("base64");
        const foreign = { sealed: { from: createCurvePair().public, box } };
        assert.is(await outcome(callOne(caller, id, "login", foreign)), "BAD_SIGNATURE");
        const given = await giveLogin(caller, logins, { name: "edge9", id }, false, signal);
        assert.is(given.error?.message ?? "", "");
        assert.is(given.state, "given");
        assert.ok((given.until ?? 0) > Date.now() + 13 * 86_400_000);
        assert.is((await giveLogin(caller, logins, { name: "edge9", id }, false, signal)).state, "already");
      } catch (error) {
        console.log(agent.output().slice(-3_000));
        throw error;
      } finally {
        await agent.remove();
        await controller.stop();
      }
    });
  },
  { limit_ms: 30_000 },
);
