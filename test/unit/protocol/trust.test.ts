/** Anchor and trust bundle: nothing that the broker or controller shows is believed unless it fits what the join string carried. */
import * as assert from "uvu/assert";
import {
  anchoredKeysHash,
  anchorOf,
  createNkey,
  FleetError,
  type OwnParts,
  openFirstBundle,
  openJoinString,
  openNextBundle,
  rawPublic,
  readFleetString,
  readJoinString,
  seal,
  splitJoinString,
  TrustBundle,
  verifierOf,
  writeFleetString,
  writeJoinString,
} from "../../../packages/protocol/src/index.ts";
import { PeopleCa } from "../../kit/people.ts";
import { suite } from "../../kit/suite.ts";

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof FleetError) return error.code;
    throw error;
  }
  return "taken";
};

const SSH = `ssh-ed25519 ${"A".repeat(68)}`;

suite("trust", (test) => {
  const admin = createNkey("user");
  const admin_key = rawPublic(admin.key).toString("base64");
  const now_ms = Date.now();
  let operators: PeopleCa;
  let broker: PeopleCa;
  let bundle: TrustBundle;
  const signed = (body: unknown, signer = { admin_key, key: admin.key }) =>
    seal("trust", Buffer.from(JSON.stringify(body)), signer, now_ms);

  test.before(async () => {
    operators = await PeopleCa.make("operators");
    const keys = { operators_ca: [operators.pem], admin_keys: [admin_key] };
    broker = await PeopleCa.make("broker", anchoredKeysHash(keys));
    bundle = TrustBundle.parse({
      v: 1,
      fleet: "as64500",
      version: 1,
      issued_at: now_ms,
      ...keys,
      broker_ca: [broker.pem],
      controllers_ca: [(await PeopleCa.make("controllers")).pem],
      services_ca: [(await PeopleCa.make("services")).pem],
      identity_ca: [],
      vault_ca: [],
      vault: [],
      brokers: ["core1:4222"],
      ssh_host_ca: [SSH],
      ssh_user_ca: [],
      voided: [],
      ssh_krl: null,
      policy: {},
    });
  });

  test("the first bundle opens under the anchor of the root that TLS showed", () => {
    const opened = openFirstBundle(signed(bundle), anchorOf(broker.pem), broker.pem);
    assert.is(opened.fleet, "as64500");
    assert.match(anchorOf(broker.pem), /^([A-Z2-7]{4}-){7}[A-Z2-7]{4}$/);
  });

  test("another root, other operators, other admins or a foreign signature are refused", async () => {
    const other = await PeopleCa.make("operators");
    const anchor = anchorOf(broker.pem);
    const stranger = createNkey("user");
    const foreign = { admin_key: rawPublic(stranger.key).toString("base64"), key: stranger.key };
    assert.is(
      code(() => openFirstBundle(signed(bundle), anchor, other.pem)),
      "WRONG_ANCHOR",
    );
    const swapped = { ...bundle, operators_ca: [other.pem] };
    assert.is(
      code(() => openFirstBundle(signed(swapped), anchor, broker.pem)),
      "WRONG_ANCHOR",
    );
    const added = { ...bundle, admin_keys: [admin_key, foreign.admin_key] };
    assert.is(
      code(() => openFirstBundle(signed(added, foreign), anchor, broker.pem)),
      "WRONG_ANCHOR",
    );
    assert.is(
      code(() => openFirstBundle(signed(bundle, foreign), anchor, broker.pem)),
      "NOT_ALLOWED",
    );
    const altered = {
      ...signed(bundle),
      body: Buffer.from(JSON.stringify({ ...bundle, vault: ["https://evil"] })),
    };
    assert.is(
      code(() => openFirstBundle(altered, anchor, broker.pem)),
      "BAD_SIGNATURE",
    );
  });

  test("a later bundle needs an admin under the one held, and a higher version", async () => {
    const alice = await operators.person("alice", "admin");
    const bob = await operators.person("bob", "operator");
    const next = { ...bundle, version: 2, operators_ca: [(await PeopleCa.make("new")).pem] };
    assert.is(openNextBundle(signed(next), bundle)?.version, 2);
    assert.is(openNextBundle(signed(next, alice as never), bundle)?.version, 2);
    assert.is(
      code(() => openNextBundle(signed(next, bob as never), bundle)),
      "NOT_ALLOWED",
    );
    assert.is(openNextBundle(signed(bundle), bundle), null);
    assert.is(
      code(() => openNextBundle(signed({ ...next, fleet: "other" }), bundle)),
      "WRONG_TARGET",
    );
  });

  test("who is revoked is void from then on, by name or by certificate", async () => {
    const alice = await operators.person("alice", "admin");
    const { principal } = verifierOf(bundle).certificates.read(alice.certificate, now_ms);
    const voided = (entry: object) => verifierOf({ ...bundle, voided: [{ since: now_ms, ...entry }] });
    for (const entry of [{ name: "alice" }, { fingerprint: principal.fingerprint }]) {
      assert.ok(voided(entry).voided(principal, now_ms));
      assert.not.ok(voided(entry).voided(principal, now_ms - 1));
    }
    assert.not.ok(voided({ name: "bob" }).voided(principal, now_ms));
  });

  test("a join string is proved by an operator's signature and lapses", async () => {
    const claims = {
      v: 1 as const,
      fleet: "as64500",
      anchor: anchorOf(broker.pem),
      brokers: ["[2001:db8::1]:4222"],
      id: "0".repeat(32),
      name: "ixp1",
      groups: [],
      networks: [],
      not_after: now_ms + 1_000,
    };
    const verifier = verifierOf(bundle);
    const text = writeJoinString(claims, await operators.person("bob", "operator"), now_ms);
    assert.equal(readJoinString(text), claims);
    assert.is(openJoinString(text, verifier, now_ms).by, "bob");
    assert.is(
      code(() => openJoinString(text, verifier, now_ms + 1_001)),
      "JOIN_EXPIRED",
    );
    const viewers = writeJoinString(claims, await operators.person("vera", "viewer"), now_ms);
    const foreign = writeJoinString(
      claims,
      await (await PeopleCa.make("operators")).person("bob", "operator"),
      now_ms,
    );
    const [version, , headers] = text.split(".");
    const forged = `${version}.${Buffer.from(JSON.stringify({ ...claims, name: "core1" })).toString("base64url")}.${headers}`;
    for (const bad of [viewers, foreign, forged])
      assert.is(
        code(() => openJoinString(bad, verifier, now_ms)),
        "JOIN_FORGED",
      );
    assert.is(
      code(() => readJoinString("mj2.a.b")),
      "JOIN_FORGED",
    );
    const { seed } = createNkey("user");
    const bob = await operators.person("bob", "operator");
    const own = (parts: OwnParts) => splitJoinString(writeJoinString(claims, bob, now_ms, parts));
    const plain = own({});
    assert.equal([plain.vault_token, plain.seed], [null, null]);
    assert.equal(own({ seed }).seed, seed);
    assert.equal(own({ vault_token: "hvs.token", seed }).vault_token, "hvs.token");
    assert.is(own({ seed }).join.split(".").length, 3, "a controller sees neither");
    // Not the last one: two of its five bits say nothing (base32, RFC 4648).
    const swapped = (_: string, before: string, one: string) => before + (one === "A" ? "B" : "A");
    for (const damaged of [seed.slice(0, -1), seed.replace(/^(.{9})(.)/, swapped), "x"])
      assert.is(
        code(() => splitJoinString(`${text}..${damaged}`)),
        "JOIN_FORGED",
        damaged,
      );
  });

  test("a fleet string is read back, also in small letters", () => {
    const fleet = { addresses: ["core1.example", "[2001:db8::1]:4222"], anchor: anchorOf(broker.pem) };
    assert.equal(readFleetString(writeFleetString(fleet)), fleet);
    assert.equal(readFleetString(`core1.example#${fleet.anchor.toLowerCase()}`).anchor, fleet.anchor);
    assert.is(
      code(() => readFleetString("core1.example")),
      "INVALID",
    );
  });
});
