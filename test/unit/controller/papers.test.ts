/** The controller's own papers by a clock of the test, and who is silent, without anything around them. */
import { FleetError } from "@muster/protocol";
import { SILENT_AFTER_MS } from "@muster/protocol/telemetry/convergence";
import * as assert from "uvu/assert";
import { Identity } from "../../../packages/controller/src/certificates/identity.ts";
import { type Issuer, LIFE_MS } from "../../../packages/controller/src/certificates/issuer.ts";
import { SETTLING_MS, Silence } from "../../../packages/controller/src/telemetry/silence.ts";
import { suite } from "../../kit/suite.ts";

const HOUR_MS = 3_600_000;

suite("the controller's own papers", (test) => {
  const make = () => {
    const world = { now: 1_800_000_000_000, asked: 0, down: false };
    const issuer = {
      async userJwt(_role: string, user: { expires_ms: number }) {
        if (world.down) throw new FleetError("VAULT_SEALED");
        world.asked++;
        return { text: `jwt ${world.asked}`, not_after: user.expires_ms };
      },
    } as unknown as Issuer;
    return { world, identity: new Identity("controller", issuer, () => world.now) };
  };

  test("one is asked for once and renewed at three quarters of its life", async () => {
    const { world, identity } = make();
    assert.is((await identity.busCredentials()).jwt, "jwt 1");
    world.now += 17 * HOUR_MS;
    assert.is((await identity.busCredentials()).jwt, "jwt 1");
    assert.ok(world.now < identity.renew_at);
    world.now += HOUR_MS + 1;
    assert.ok(world.now >= identity.renew_at);
    assert.is((await identity.busCredentials()).jwt, "jwt 2");
  });

  test("an older one serves while Vault is away, as long as it is valid", async () => {
    const { world, identity } = make();
    await identity.busCredentials();
    world.down = true;
    world.now += LIFE_MS.controller - 1;
    assert.is((await identity.busCredentials()).jwt, "jwt 1");
    world.now += 2;
    const failed = await identity.busCredentials().catch((error: FleetError) => error.code);
    assert.is(failed, "VAULT_SEALED");
  });
});

suite("silence", (test) => {
  const T0 = 1_800_000_000_000;
  const LATE = SILENT_AFTER_MS + 1;
  const look = (silence: Silence, heard: Record<string, number | null>, now: number) =>
    silence
      .look(
        Object.entries(heard).map(([host, heard_at]) => ({ host, heard_at })),
        now,
      )
      .map(({ host, silent }) => `${host} ${silent ? "silent" : "back"}`);

  test("each change is told once", () => {
    const silence = new Silence();
    silence.listening(T0 - HOUR_MS);
    assert.equal(look(silence, { a: T0 }, T0), []);
    assert.equal(look(silence, { a: T0 }, T0 + SILENT_AFTER_MS), []);
    assert.equal(look(silence, { a: T0 }, T0 + LATE), ["a silent"]);
    assert.equal(look(silence, { a: T0 }, T0 + LATE + 1_000), []);
    assert.equal(look(silence, { a: T0 + LATE + 1_500 }, T0 + LATE + 2_000), ["a back"]);
  });

  test("who was silent before the start is known and not told, and who never spoke is neither", () => {
    const silence = new Silence();
    silence.listening(T0);
    assert.equal(look(silence, { a: T0 - HOUR_MS, b: null }, T0), []);
    assert.equal(look(silence, { a: T0 - HOUR_MS, b: null }, T0 + LATE), []);
    assert.equal(look(silence, { a: T0 + LATE, b: T0 + LATE }, T0 + LATE), ["a back"]);
  });

  test("a controller that was cut off itself listens first", () => {
    const silence = new Silence();
    silence.listening(T0);
    look(silence, { a: T0 }, T0);
    silence.listening(null);
    assert.equal(look(silence, { a: T0 }, T0 + 60_000), []);
    silence.listening(T0 + 60_000);
    assert.equal(look(silence, { a: T0 }, T0 + 61_000), []);
    assert.equal(look(silence, { a: T0 }, T0 + 60_000 + SETTLING_MS), []);
    assert.equal(look(silence, { a: T0 }, T0 + 60_000 + SETTLING_MS + 1), ["a silent"]);
  });
});
