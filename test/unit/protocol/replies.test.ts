/**
 * A stolen host credential against the fleet's records (ADR 6): the broker itself answers, with the rights of nobody, wherever a request says.
 * A raw client of the library names each subject that controllers write as its reply, on every request that the broker answers a host.
 */
import type { Bus } from "@muster/ports/bus";
import { intakeOf, type Nkey, STREAMS, streamConfig, subjects } from "@muster/protocol";
import { connect, headers, jwtAuthenticator, type NatsConnection } from "nats";
import * as assert from "uvu/assert";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { suite } from "../../kit/suite.ts";

const bytes = (text: string) => Buffer.from(text);
const ROLLOUT = "0".repeat(32);
const HASH = "0".repeat(64);

suite(
  "replies",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: Bus;
    let setup: Bus;
    let thief: NatsConnection;
    let thief_id: string;
    let victim: string;

    const records = () => [
      { stream: "DESIRED", subject: subjects.desired(victim) },
      { stream: "TRUST", subject: subjects.trust() },
      { stream: "RELEASE", subject: subjects.release(ROLLOUT) },
      { stream: "BLOB", subject: subjects.blob(victim, HASH, 0) },
      { stream: "AUDIT", subject: subjects.audit(victim, "command") },
      ...STREAMS.filter(({ name }) => name.startsWith("KV_")).map(({ name }) => ({
        stream: name,
        subject: `$KV.${name.slice(3)}.${name === "KV_fleet" ? "generation" : "record"}`,
      })),
    ];
    /** Everything that the broker itself answers a host, once with each reply. */
    const attack = async (replies: readonly string[]) => {
      for (const reply of replies) {
        thief.publish(subjects.telemetry(thief_id, "ixp1", "health"), bytes("{}"), { reply });
        thief.publish(subjects.event(thief_id, "ixp1", "drift"), bytes("{}"), { reply });
        thief.publish(intakeOf(subjects.audit(thief_id, "command")), bytes("{}"), { reply });
        thief.publish("$JS.API.DIRECT.GET.TRUST.trust", bytes(""), { reply });
        thief.publish(`$JS.API.DIRECT.GET.DESIRED.${subjects.desired(thief_id)}`, bytes(""), { reply });
        const traced = headers();
        traced.set("Nats-Trace-Dest", reply);
        thief.publish(subjects.telemetry(thief_id, "ixp1", "health"), bytes("{}"), { headers: traced });
      }
      await thief.flush();
      await controller.roundTrip();
    };
    const written = async () => {
      const texts: Record<string, string> = {};
      for (const { stream, subject } of records()) {
        const kept = await setup.directGet(stream, subject);
        texts[subject] = kept === null ? "" : Buffer.from(kept.body).toString();
      }
      return texts;
    };

    test.before(async () => {
      fleet = await startFleet();
      controller = (await fleet.connect("controller", "c1", life.signal)).bus;
      setup = await fleet.setup(life.signal);
      const agent = await fleet.connect("agent", "core1", life.signal);
      victim = agent.id;
      await agent.bus.publishStored(subjects.audit(victim, "command"), bytes("true"));
      for (const { subject } of records().filter(({ stream }) => !/AUDIT|TRUST/.test(stream)))
        await controller.publishStored(subject, bytes("true"));
      const { id, key } = await fleet.connect("agent", "ixp1", life.signal);
      thief_id = id;
      thief = await raw(fleet, key);
    });
    test.after(async () => {
      await thief.close();
      life.abort();
      await fleet.stop();
    });

    test("no reply of the broker reaches what controllers write", async () => {
      const before = await written();
      assert.is(before["$KV.fleet.generation"], "true");
      await attack(records().map(({ subject }) => subject));
      assert.equal(await written(), before);
    });

    test("the intake of streams cannot be named as a reply, and nothing of such a message is delivered", async () => {
      const before = await written();
      const refused: string[] = [];
      void (async () => {
        for await (const status of thief.status()) refused.push(String(status.data));
      })();
      await attack(records().map(({ subject }) => intakeOf(subject)));
      assert.equal(await written(), before);
    });

    test("without the intake the same attack overwrites: the test can see it", async () => {
      const spec = STREAMS.find(({ name }) => name === "KV_fleet");
      if (spec === undefined) throw new Error("no such stream");
      const { subject_transform, ...open } = streamConfig(spec, 1);
      const config = { ...open, max_bytes: 1024 * 1024, subjects: [...spec.subjects] };
      const answer = await setup.request("$JS.API.STREAM.UPDATE.KV_fleet", bytes(JSON.stringify(config)), {
        timeout_ms: 5_000,
      });
      assert.not.match(Buffer.from(answer.body).toString(), /"error"/);
      await attack(["$KV.fleet.generation"]);
      assert.is.not((await written())["$KV.fleet.generation"], "true");
    });
  },
  { limit_ms: 20_000 },
);

async function raw(fleet: TestFleet, key: Nkey): Promise<NatsConnection> {
  const { jwt } = await fleet.credentials("agent", "ixp1", key);
  return connect({
    servers: fleet.server.address,
    tls: { ca: fleet.broker_ca.certificate_pem },
    authenticator: jwtAuthenticator(jwt, Buffer.from(key.seed)),
    reconnect: false,
  });
}
