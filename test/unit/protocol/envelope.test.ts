/** The signed envelope: what is refused, and that each check is one that can fail. */
import * as assert from "uvu/assert";
import {
  CertificateReader,
  type CommandMemory,
  createNkey,
  type Envelope,
  FleetError,
  HEADER,
  loadEnvelope,
  open,
  openByAdminKey,
  openCommand,
  rawPublic,
  seal,
  storeEnvelope,
  type Verifier,
} from "../../../packages/protocol/src/index.ts";
import { PeopleCa, type Person } from "../../kit/people.ts";
import { suite } from "../../kit/suite.ts";

const SUBJECT = "rpc.all.facts";
const BODY = Buffer.from('{"v":1}');

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof FleetError) return error.code;
    throw error;
  }
  return "taken";
};

const memoryOf = (challenge?: string, signed_from_ms = 0): CommandMemory => {
  const seen = new Map<string, number>();
  return {
    signed_from_ms,
    remember: async (nonce, { until_ms }) => !seen.has(nonce) && seen.set(nonce, until_ms).size > 0,
    give: async () => challenge ?? "",
    take: async (nonce) => nonce === challenge,
  };
};

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof FleetError) return error.code;
    throw error;
  }
  return "taken";
};

suite("envelope", (test) => {
  let operators: PeopleCa;
  let controllers: PeopleCa;
  let alice: Person;
  let viewer: Person;
  let verifier: Verifier;
  const now_ms = Date.now();

  test.before(async () => {
    operators = await PeopleCa.make("operators");
    controllers = await PeopleCa.make("controllers");
    alice = await operators.person("alice", "operator", { from_ms: -7_200_000 });
    viewer = await operators.person("vera", "viewer");
    const certificates = new CertificateReader({
      operators: [operators.pem],
      controllers: [controllers.pem],
    });
    verifier = { certificates, voided: (principal) => principal.name === "mallory" };
  });

  test("a good one opens, also after it was kept as JSON", () => {
    const kept = loadEnvelope(storeEnvelope(seal(SUBJECT, BODY, alice, now_ms)));
    const opened = open(SUBJECT, kept, verifier, "operator");
    assert.is(opened.principal.name, "alice");
    assert.is(opened.principal.rank, "operator");
    assert.is(opened.signed_at_ms, now_ms);
    assert.equal(Buffer.from(opened.body), BODY);
  });

  test("altered body, subject, time or nonce is a bad signature", () => {
    const sealed = seal(SUBJECT, BODY, alice, now_ms);
    const altered = (headers: Record<string, string>, body = sealed.body) => ({
      headers: { ...sealed.headers, ...headers },
      body,
    });
    assert.is(
      code(() => open("rpc.all.health", sealed, verifier, "viewer")),
      "BAD_SIGNATURE",
    );
    assert.is(
      code(() => open(SUBJECT, altered({}, Buffer.from('{"v":2}')), verifier, "viewer")),
      "BAD_SIGNATURE",
    );
    assert.is(
      code(() => open(SUBJECT, altered({}, BODY.subarray(0, -1)), verifier, "viewer")),
      "BAD_SIGNATURE",
    );
    assert.is(
      code(() => open(SUBJECT, altered({ [HEADER.time]: String(now_ms + 1) }), verifier, "viewer")),
      "BAD_SIGNATURE",
    );
    assert.is(
      code(() => open(SUBJECT, altered({ [HEADER.nonce]: "0".repeat(32) }), verifier, "viewer")),
      "BAD_SIGNATURE",
    );
    assert.is(
      code(() => open(SUBJECT, altered({ [HEADER.certificate]: viewer.certificate }), verifier, "viewer")),
      "BAD_SIGNATURE",
    );
  });

  test("unsigned is refused, and so is half a signature", () => {
    assert.is(
      code(() => open(SUBJECT, { headers: {}, body: BODY }, verifier, "viewer")),
      "UNSIGNED",
    );
    const { [HEADER.certificate]: _, ...rest } = seal(SUBJECT, BODY, alice, now_ms).headers;
    assert.is(
      code(() => open(SUBJECT, { headers: rest, body: BODY }, verifier, "viewer")),
      "UNSIGNED",
    );
  });

  test("rank decides: a viewer gives no orders, a controller is no operator, ci only signs releases", async () => {
    const controller = await controllers.person("c1", "controller");
    const ci = await operators.person("forge", "ci");
    assert.is(
      code(() => open(SUBJECT, seal(SUBJECT, BODY, viewer, now_ms), verifier, "operator")),
      "NOT_ALLOWED",
    );
    assert.is(
      code(() => open(SUBJECT, seal(SUBJECT, BODY, controller, now_ms), verifier, "controller")),
      "taken",
    );
    assert.is(
      code(() => open(SUBJECT, seal(SUBJECT, BODY, controller, now_ms), verifier, "operator")),
      "NOT_ALLOWED",
    );
    assert.is(
      code(() => open(SUBJECT, seal(SUBJECT, BODY, alice, now_ms), verifier, "admin")),
      "NOT_ALLOWED",
    );
    assert.is(
      code(() => open(SUBJECT, seal(SUBJECT, BODY, ci, now_ms), verifier, "operator")),
      "NOT_ALLOWED",
    );
    assert.is(
      code(() =>
        open(SUBJECT, seal(SUBJECT, BODY, ci, now_ms), verifier, "operator", { signs_release: true }),
      ),
      "taken",
    );
  });

  test("a certificate of another mount, of no CA, of no rank, or out of its time is refused", async () => {
    const stranger = await (await PeopleCa.make("operators")).person("alice", "admin");
    const forged = await controllers.person("alice", "operator");
    const swapped = await operators.person("c1", "controller");
    const unknown = await operators.person("alice", "root");
    const old = await operators.person("alice", "operator", { from_ms: -7_200_000, to_ms: -3_600_000 });
    for (const signer of [stranger, forged, swapped, unknown, old]) {
      assert.is(
        code(() => open(SUBJECT, seal(SUBJECT, BODY, signer, now_ms), verifier, "viewer")),
        "BAD_CERTIFICATE",
      );
    }
    const ca = {
      certificate: Buffer.from(operators.pem.replaceAll(/-----.*-----|\n/g, ""), "base64").toString("base64"),
      key: alice.key,
    };
    assert.is(
      code(() => open(SUBJECT, seal(SUBJECT, BODY, ca, now_ms), verifier, "viewer")),
      "BAD_CERTIFICATE",
    );
  });

  test("a certificate with an empty or odd subject is refused and nothing else", async () => {
    const { certificate } = await operators.person("alice", "constructor");
    const empty = await PeopleCa.make("x").then((ca) => ca.nameless());
    for (const bad of [certificate, empty, "AAAA"]) {
      const sealed = seal(SUBJECT, BODY, { certificate: bad, key: alice.key }, now_ms);
      assert.is(
        code(() => open(SUBJECT, sealed, verifier, "viewer")),
        "BAD_CERTIFICATE",
      );
    }
  });

  test("a revoked signer is refused", async () => {
    const mallory = await operators.person("mallory", "admin");
    assert.is(
      code(() => open(SUBJECT, seal(SUBJECT, BODY, mallory, now_ms), verifier, "viewer")),
      "VOIDED",
    );
  });

  test("a command works once and near our clock; a challenge makes up for a wrong clock", async () => {
    const challenge = "ab".repeat(16);
    const now = { now_ms, memory: memoryOf(challenge), acts: true };
    const told = (envelope: Envelope) => codeOf(openCommand(SUBJECT, envelope, verifier, "operator", now));
    const sealed = seal(SUBJECT, BODY, alice, now_ms);
    assert.is(await told(sealed), "taken");
    assert.is(await told(sealed), "REPLAYED");
    assert.is(await told(seal(SUBJECT, BODY, alice, now_ms - 61_000)), "CLOCK_SKEW");
    const answer = seal(SUBJECT, BODY, alice, now_ms - 61_000, challenge);
    assert.is(await told(answer), "taken");
    assert.is(await told(answer), "REPLAYED");
  });

  test("what was signed before the memory begins needs a challenge", async () => {
    const told = (envelope: Envelope, memory: CommandMemory) =>
      codeOf(openCommand(SUBJECT, envelope, verifier, "operator", { now_ms, memory, acts: true }));
    const nonce = "ef".repeat(16);
    const before = seal(SUBJECT, BODY, alice, now_ms - 1, nonce);
    assert.is(await told(before, memoryOf(undefined, now_ms)), "CLOCK_SKEW");
    assert.is(await told(before, memoryOf(nonce, now_ms)), "taken");
    assert.is(await told(seal(SUBJECT, BODY, alice, now_ms), memoryOf(undefined, now_ms)), "taken");
  });

  test("a command of a clock that is ahead is remembered until its own window is over", async () => {
    const nonce = "12".repeat(16);
    let kept_ms = 0;
    const memory: CommandMemory = {
      ...memoryOf(nonce),
      remember: async (_nonce, { until_ms }) => {
        kept_ms = until_ms;
        return true;
      },
    };
    const ahead = seal(SUBJECT, BODY, alice, now_ms + 1_800_000, nonce);
    await openCommand(SUBJECT, ahead, verifier, "operator", { now_ms, memory, acts: true });
    assert.ok(kept_ms > now_ms + 1_800_000 + 60_000, "it would be taken once more, half an hour later");
  });

  test("a challenge does not revive a key that expired long ago", async () => {
    const nonce = "cd".repeat(16);
    const stolen = seal(SUBJECT, BODY, alice, now_ms - 3_700_000, nonce);
    const now = { now_ms, memory: memoryOf(nonce), acts: true };
    assert.is(await codeOf(openCommand(SUBJECT, stolen, verifier, "operator", now)), "CLOCK_SKEW");
  });

  test("an admin key signs bundles only when it is one of ours", () => {
    const admin = createNkey("user");
    const admin_key = rawPublic(admin.key).toString("base64");
    const sealed = seal("trust", BODY, { admin_key, key: admin.key }, now_ms);
    assert.equal(Buffer.from(openByAdminKey("trust", sealed, [admin_key])), BODY);
    assert.is(
      code(() => openByAdminKey("trust", sealed, [])),
      "NOT_ALLOWED",
    );
    assert.is(
      code(() => openByAdminKey("other", sealed, [admin_key])),
      "BAD_SIGNATURE",
    );
    assert.is(
      code(() => openByAdminKey("trust", seal("trust", BODY, alice, now_ms), [admin_key])),
      "UNSIGNED",
    );
  });

  test("opening costs at most 0.3 ms", () => {
    const sealed = seal(SUBJECT, BODY, alice, now_ms);
    // The best of many batches: what it costs, not how busy the machine is.
    const batches = Array.from({ length: 40 }, () => {
      const start = performance.now();
      for (let round = 0; round < 20; round++) open(SUBJECT, sealed, verifier, "operator");
      return (performance.now() - start) / 20;
    });
    const each_ms = Math.min(...batches);
    assert.ok(each_ms <= 0.3, `${each_ms.toFixed(3)} ms each`);
  });
});
