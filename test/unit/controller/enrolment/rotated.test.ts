/**
 * The fleet's keys were changed, twice, and twenty trust bundles are gone by, of which the stream keeps sixteen: on a real broker, a controller that starts
 * anew, a person with the fleet's first anchor, a machine with a join string, and a host that slept through all of it.
 */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { connectBus } from "@muster/ports/bus";
import {
  type EnvelopeSigner,
  FleetError,
  openFirstBundle,
  rawPublic,
  seal,
  storeEnvelope,
  subjects,
  succeeding,
  type TrustBundle,
} from "@muster/protocol";
import * as assert from "uvu/assert";
import { fetchFirstBundle } from "../../../../packages/ctl/src/session/welcome.ts";
import { joinString, makeAgent, realSshCertificates, type TestAgent } from "../../../kit/agent.ts";
import { startController, type TestController } from "../../../kit/controller.ts";
import { eventually } from "../../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../../kit/fleet.ts";
import { PeopleCa } from "../../../kit/people.ts";
import { suite } from "../../../kit/suite.ts";

const VERSIONS = 20;
const CREDENTIALS = "var/lib/muster-agent/credentials.json";
/** At these versions another operators' CA and admin key come, before and after what the stream still has. */
const CHANGES = [3, 12];

suite(
  "keys that were changed",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let slept: TestAgent;
    let operators: PeopleCa;
    let newest: TrustBundle;
    const agents: TestAgent[] = [];

    const made = async (name: string, by: PeopleCa): Promise<TestAgent> => {
      const agent = await makeAgent(name);
      agents.push(agent);
      await agent.write("etc/muster/join", joinString(fleet, await by.person("alice", "operator"), { name }));
      agent.start();
      return agent;
    };
    const holds = async (agent: TestAgent): Promise<number> => {
      const text = (await agent.read("var/lib/muster-agent/trust.json")) ?? "";
      return JSON.parse(Buffer.from(JSON.parse(text).envelope.body, "base64").toString()).version;
    };
    const begin = async (name: string): Promise<TestController> => {
      const started = await startController(fleet);
      const directory = join(fleet.server.directory, name);
      await mkdir(directory);
      await realSshCertificates(started.issuer, directory);
      return started;
    };
    const adminOf = (key: KeyObject): EnvelopeSigner => ({
      admin_key: rawPublic(key).toString("base64"),
      key,
    });
    const signed = (bundle: TrustBundle, signer: EnvelopeSigner) =>
      seal(subjects.trust(), Buffer.from(JSON.stringify(bundle)), signer, Date.now());

    test.before(async () => {
      fleet = await startFleet();
      operators = fleet.operators;
      controller = await begin("before");
      slept = await made("slept1", operators);
      await eventually(async () => assert.is(await holds(slept), 1), 20_000);
      await eventually(async () => assert.ok(await slept.read(CREDENTIALS)), 20_000);
      await slept.stop();
      await controller.stop();

      const setup = await fleet.setup(life.signal);
      let held = fleet.bundle;
      let signer = adminOf(fleet.admin_key);
      for (let version = 2; version <= VERSIONS; version++) {
        let next: TrustBundle = { ...held, version, issued_at: Date.now() };
        const before = signer;
        if (CHANGES.includes(version)) {
          operators = await PeopleCa.make("operators");
          signer = adminOf(generateKeyPairSync("ed25519").privateKey);
          const admin_keys = "admin_key" in signer ? [signer.admin_key] : [];
          next = { ...next, operators_ca: [operators.pem], admin_keys };
        }
        held = succeeding(held, next, before, Date.now());
        const { headers, body } = signed(held, before);
        await setup.publishStored(subjects.trust(), body, { headers });
      }
      newest = held;
      const kept: number[] = [];
      for await (const message of setup.readAll("TRUST", subjects.trust())) kept.push(message.seq);
      assert.ok(kept.length <= 16, `the stream has ${kept.length}`);
      controller = await begin("after");
    });
    test.after(async () => {
      await Promise.all(agents.map((agent) => agent.remove()));
      life.abort();
      await controller.stop();
      await fleet.stop();
    });

    test("a machine with a join string under the first anchor is let in, and holds the newest", async () => {
      const agent = await made("new1", operators);
      await eventually(async () => assert.is(await holds(agent), VERSIONS), 20_000);
      await eventually(async () => assert.ok(await agent.read(CREDENTIALS)), 20_000);
    });

    test("a host that slept through both changes comes back by itself", async () => {
      slept.start();
      await eventually(async () => assert.is(await holds(slept), VERSIONS), 20_000);
    });

    test("a person with the first anchor gets the newest bundle, and proves it", async ({ signal }) => {
      const bus = await connectBus(
        {
          servers: [fleet.server.address],
          ca_pem: fleet.broker_ca.certificate_pem,
          name: "person",
          inbox_prefix: subjects.enrolInboxPrefix(),
          first_connect: "once",
        },
        signal,
      );
      const bundle = await fetchFirstBundle(bus, fleet.anchor, fleet.broker_ca.certificate_pem);
      assert.equal([bundle.version, bundle.operators_ca], [VERSIONS, [operators.pem]]);
    });

    test("a chain with a step left out, forged or of another order is refused", () => {
      const [first, second] = newest.succession ?? [];
      if (first === undefined || second === undefined) throw new Error("there are two steps");
      const stranger = adminOf(generateKeyPairSync("ed25519").privateKey);
      const thief = "admin_key" in stranger ? [stranger.admin_key] : [];
      const own = { ...newest, admin_keys: thief };
      const code = (bundle: TrustBundle) => {
        try {
          openFirstBundle(signed(bundle, stranger), fleet.anchor, fleet.broker_ca.certificate_pem);
          return "taken";
        } catch (error) {
          if (error instanceof FleetError) return error.code;
          throw error;
        }
      };
      const forged = storeEnvelope(
        seal(
          "trust.succession",
          Buffer.from(
            JSON.stringify({
              ...{ v: 1, fleet: newest.fleet, version: 13 },
              from: { operators_ca: newest.operators_ca, admin_keys: newest.admin_keys },
              to: { operators_ca: newest.operators_ca, admin_keys: thief },
            }),
          ),
          stranger,
          Date.now(),
        ),
      );
      const { succession: _none, ...bare } = own;
      assert.is(code(bare), "WRONG_ANCHOR");
      assert.is(code({ ...own, succession: [second] }), "WRONG_ANCHOR");
      assert.is(code({ ...own, succession: [second, first] }), "WRONG_ANCHOR");
      assert.is(code(own), "WRONG_ANCHOR");
      assert.is(code({ ...own, succession: [first, second, forged] }), "NOT_ALLOWED");
      assert.is(code(newest), "NOT_ALLOWED", "right keys, and another's signature");
    });
  },
  { limit_ms: 60_000 },
);
