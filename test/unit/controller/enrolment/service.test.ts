/** Enrolment on a real broker: every way in, and each refusal with nothing left behind. */

import { createPrivateKey, randomBytes, sign } from "node:crypto";
import type { Bus } from "@muster/ports/bus";
import { callController } from "@muster/ports/call";
import { makeCsr } from "@muster/ports/csr";
import {
  AccessReply,
  AuditRecord,
  createNkey,
  FleetError,
  hostFingerprint,
  type JoinClaims,
  type JoinReply,
  openSealed,
  parseJson,
  proofText,
  readJwt,
  SealedReply,
  seal,
  storeEnvelope,
  writeJoinString,
} from "@muster/protocol";
import * as assert from "uvu/assert";
import { startController, type TestController } from "../../../kit/controller.ts";
import { eventually } from "../../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../../kit/fleet.ts";
import { claimOf, enrol, hello, joinWith, type Machine, makeMachine, proved } from "../../../kit/machine.ts";
import type { Person } from "../../../kit/people.ts";
import { suite } from "../../../kit/suite.ts";

const hex = () => randomBytes(16).toString("hex");

function refusal(reply: JoinReply): string {
  return reply.status === "refused" ? reply.error.code : reply.status;
}

suite(
  "enrolment",
  (test) => {
    let fleet: TestFleet;
    let controller: TestController;
    let alice: Person;
    const life = new AbortController();
    let bus: Bus;
    let count = 0;
    const unused = () => `host${++count}`;
    const string = (claims: Partial<JoinClaims> = {}, signer = alice) =>
      writeJoinString(
        {
          v: 1,
          fleet: fleet.name,
          anchor: fleet.anchor,
          brokers: [fleet.server.address],
          id: hex(),
          groups: ["core"],
          networks: [],
          not_after: Date.now() + 60_000,
          ...claims,
        },
        signer,
        Date.now(),
      );
    const caller = async (person: Person) => ({
      bus: (await fleet.connect("operator", "alice", life.signal)).bus,
      signer: person,
      now: Date.now,
    });
    const record = async (name: string) =>
      (await callController(await caller(alice), "host", { name })).record;

    test.before(async () => {
      fleet = await startFleet();
      controller = await startController(fleet);
      alice = await fleet.person("alice");
      bus = await fleet.anonymous(life.signal);
    });
    test.after(async () => {
      await bus.close();
      await controller.stop();
      life.abort();
      await fleet.stop();
    });

    test("a join string lets its machine in, once, and what it gets works", async ({ signal }) => {
      const name = unused();
      const machine = await makeMachine("whatever", {});
      const joining = string({ name, networks: ["127.0.0.0/8"] });
      const reply = await enrol(bus, machine, joining);
      assert.is(refusal(reply), "admitted");
      if (reply.status !== "admitted") return;
      assert.is(reply.name, name);
      const claims = readJwt(reply.credentials.user_jwt, fleet.roles.agent.public);
      assert.is(claims.name, name);
      assert.is(claims.sub, machine.nkey.public);
      const kept = await record(name);
      assert.equal(
        [kept?.id, kept?.groups, kept?.enrolled_by, kept?.recoveries],
        [machine.nkey.public, ["core"], "alice", 0],
      );

      const other = await makeMachine("whatever");
      assert.is(refusal(await enrol(bus, other, joining)), "JOIN_USED");

      // Its own connection, and its own renewal.
      const agent = await fleet.connect("agent", name, signal, machine.nkey);
      const csr = await makeCsr(machine.tls.private_pem, { common_name: name });
      const renewed = await agent.bus.request(
        `host.${machine.nkey.public}.renew`,
        Buffer.from(JSON.stringify({ v: 1, what: ["user_jwt", "service_certificate"], csr })),
        { timeout_ms: 20_000 },
      );
      const { ok } = JSON.parse(Buffer.from(renewed.body).toString());
      assert.equal(Object.keys(ok), ["user_jwt", "service_certificate"]);
      const foreign = await makeMachine("x");
      const refused = await agent.bus.request(
        `host.${machine.nkey.public}.renew`,
        Buffer.from(
          JSON.stringify({ v: 1, what: ["ssh_certificate"], ssh_public_key: foreign.ssh_public_key }),
        ),
        { timeout_ms: 20_000 },
      );
      assert.is(JSON.parse(Buffer.from(refused.body).toString()).error.code, "NOT_ALLOWED");
    });

    test("two machines with one string at the same time: one gets in", async () => {
      const joining = string({ groups: ["core"] });
      const machines = await Promise.all([unused(), unused(), unused()].map((name) => makeMachine(name)));
      const replies = await Promise.all(machines.map((machine) => enrol(bus, machine, joining)));
      assert.equal(replies.map(refusal).sort(), ["JOIN_USED", "JOIN_USED", "admitted"]);
      const kept = await Promise.all(machines.map((machine) => record(machine.name)));
      assert.is(kept.filter((found) => found !== null).length, 1);
    });

    const refused: Record<string, [string, (machine: Machine) => Promise<JoinReply>]> = {
      "an expired string": [
        "JOIN_EXPIRED",
        (m) => enrol(bus, m, string({ name: m.name, not_after: Date.now() - 1 })),
      ],
      "a string of a viewer": [
        "JOIN_FORGED",
        async (m) => enrol(bus, m, string({ name: m.name }, await fleet.person("eve", "viewer"))),
      ],
      "a string of a controller": [
        "JOIN_FORGED",
        async (m) =>
          enrol(bus, m, string({ name: m.name }, await fleet.controllers.person("c", "controller"))),
      ],
      "a string that was altered": [
        "JOIN_FORGED",
        async (m) => {
          const [version, , headers] = string({ name: "other" }).split(".");
          const body = Buffer.from(JSON.stringify({ v: 1 })).toString("base64url");
          return enrol(bus, m, `${version}.${body}.${headers}`);
        },
      ],
      "a string of another fleet": [
        "JOIN_FORGED",
        (m) => enrol(bus, m, string({ name: m.name, fleet: "other" })),
      ],
      "a string for another network": [
        "JOIN_NETWORK",
        (m) => enrol(bus, m, string({ name: m.name, networks: ["10.0.0.0/8", "2001:db8::/32"] })),
      ],
      "a nonce that was used": [
        "BAD_PROOF",
        async (m) => {
          const request = proved(m, claimOf(m, (await hello(bus, m)).nonce));
          assert.is(refusal(await joinWith(bus, m, request)), "pending");
          return joinWith(bus, m, request);
        },
      ],
      "a nonce given to another curve key": [
        "BAD_PROOF",
        async (m) => {
          const { nonce } = await hello(bus, await makeMachine("x"));
          return joinWith(bus, m, proved(m, claimOf(m, nonce)));
        },
      ],
      "an nkey that did not sign": [
        "BAD_PROOF",
        (m) => withProof(m, "id", (other, text) => sign(null, text, other.nkey.key)),
      ],
      "an ssh key that did not sign": [
        "BAD_PROOF",
        (m) => withProof(m, "ssh", (other, text) => sign(null, text, other.ssh)),
      ],
      "a TLS key that did not sign": [
        "BAD_PROOF",
        (m) =>
          withProof(m, "tls", (other, text) => sign("sha256", text, createPrivateKey(other.tls.private_pem))),
      ],
    };
    const withProof = async (
      machine: Machine,
      which: "id" | "ssh" | "tls",
      forge: (other: Machine, text: Buffer) => Buffer,
    ) => {
      const claim = claimOf(machine, (await hello(bus, machine)).nonce, string({ name: machine.name }));
      const request = proved(machine, claim);
      const forged = forge(await makeMachine("x"), proofText(claim)).toString("base64");
      return joinWith(bus, machine, { ...request, proofs: { ...request.proofs, [which]: forged } });
    };
    for (const [title, [code, attempt]] of Object.entries(refused)) {
      test(`refuses ${title}, and keeps no record`, async () => {
        const machine = await makeMachine(unused());
        const signed = controller.issuer.signed;
        assert.is(refusal(await attempt(machine)), code);
        assert.is(controller.issuer.signed, signed, "something was signed");
        assert.is(await record(machine.name), null);
      });
    }

    test("a taken name is refused, with an alarm; the bound key comes back without a string", async () => {
      const name = unused();
      const machine = await makeMachine(name);
      assert.is(refusal(await enrol(bus, machine, string({ name }))), "admitted");
      const thief = await makeMachine(name);
      assert.is(refusal(await enrol(bus, thief, string({ name }))), "NAME_TAKEN");
      assert.is(refusal(await enrol(bus, thief)), "NAME_TAKEN");
      const ops = await caller(alice);
      await eventually(async () => {
        const { events } = await callController(ops, "events", { since: null, limit: 100 });
        const alarm = `calls itself ${name}`;
        assert.ok(events.some(({ event }) => event.severity === "error" && event.what.includes(alarm)));
      });

      for (let time = 1; time <= 10; time++) {
        assert.is(refusal(await enrol(bus, machine)), "admitted", `time ${time}`);
        assert.is((await record(name))?.recoveries, time);
      }
      assert.is(refusal(await enrol(bus, machine)), "NOT_ALLOWED");
      // A person's new word ends the count.
      assert.is(refusal(await enrol(bus, machine, string({ name }))), "admitted");
      assert.is((await record(name))?.recoveries, 0);
      // One key is one host.
      assert.is(refusal(await enrol(bus, machine, string({ name: unused() }))), "NAME_TAKEN");
    });

    test("a request for a certificate names the host and nothing else", async () => {
      for (const csr of [{ dns_names: ["evil.example"] }, { common_name: "core1" }]) {
        const name = unused();
        const machine = await makeMachine(name, { csr });
        assert.is(refusal(await enrol(bus, machine, string({ name }))), "INVALID", JSON.stringify(csr));
        assert.is(await record(name), null);
      }
    });

    test("a name goes to another machine only by a string that says whose key it takes it from", async () => {
      const name = unused();
      const [old, other, next, late] = await Promise.all([1, 2, 3, 4].map(() => makeMachine(name)));
      if (!old || !other || !next || !late) throw new Error("no machines");
      assert.is(refusal(await enrol(bus, old, string({ name, groups: ["ixp"] }))), "admitted");
      const wrong = string({ name, replaces: other.nkey.public });
      assert.is(refusal(await enrol(bus, next, wrong)), "NAME_TAKEN");
      const replaces = old.nkey.public;
      assert.is(refusal(await enrol(bus, next, string({ name, groups: [], replaces }))), "admitted");
      const now = await record(name);
      assert.is(now?.id, next.nkey.public);
      assert.equal(now?.groups, ["ixp"]);
      // The name is another machine's: the old one does not come back, and a second string for the old key is worth nothing.
      assert.is(refusal(await enrol(bus, old)), "NAME_TAKEN");
      assert.is(refusal(await enrol(bus, late, string({ name, replaces }))), "NAME_TAKEN");
    });

    test("without a string it waits for a person, whose word is for the keys that were shown", async () => {
      const machine = await makeMachine(unused());
      const first = await enrol(bus, machine);
      assert.is(first.status, "pending");
      assert.is((await enrol(bus, machine)).status, "pending");
      const fingerprint = hostFingerprint(machine.nkey.public);
      assert.is(first.status === "pending" && first.fingerprint, fingerprint);
      const ops = await caller(alice);
      const { waiting } = await callController(ops, "enrolments", {});
      const mine = waiting.filter((one) => one.fingerprint === fingerprint);
      assert.is(mine.length, 1);
      assert.is(mine[0]?.from, "127.0.0.1");

      const name = unused();
      assert.equal(await callController(ops, "approve", { fingerprint, name, groups: ["ixp"] }), {
        name,
        id: machine.nkey.public,
      });
      // The same nkey with another ssh key is not what was approved.
      const changed = await makeMachine(machine.name, { nkey: machine.nkey });
      assert.is((await enrol(bus, changed)).status, "pending");
      const reply = await enrol(bus, machine);
      assert.is(reply.status === "admitted" && reply.name, name);
      assert.equal([(await record(name))?.groups, (await record(name))?.enrolled_by], [["ixp"], "alice"]);
    });

    test("a person may say no", async () => {
      const machine = await makeMachine(unused());
      const reply = await enrol(bus, machine);
      assert.is(reply.status, "pending");
      if (reply.status !== "pending") return;
      await callController(await caller(alice), "reject", { fingerprint: reply.fingerprint });
      assert.is(refusal(await enrol(bus, machine)), "REJECTED");
    });

    test("a sealed Vault uses up no join string, and its words stay inside", async () => {
      const name = unused();
      const machine = await makeMachine(name);
      const joining = string({ name });
      controller.issuer.down = new FleetError("VAULT_SEALED", "https://vault.inside:8200");
      const reply = await enrol(bus, machine, joining);
      controller.issuer.down = null;
      assert.equal(reply.status === "refused" && reply.error, {
        code: "VAULT_SEALED",
        detail: "the controller cannot sign now",
      });
      assert.is(refusal(await enrol(bus, machine, joining)), "admitted");
    });

    test("a person gets onto the bus with a certificate, and nobody else", async () => {
      const machine = await makeMachine("laptop");
      const elsewhere = createNkey("user").public;
      const ask = async (
        person: Person,
        at_ms = Date.now(),
        subject = "enrol.access",
        id = machine.nkey.public,
      ) => {
        const signed = seal(subject, Buffer.from(JSON.stringify({ id })), person, at_ms);
        const body = { v: 1, curve: machine.curve.public, access: storeEnvelope(signed) };
        const answer = await bus.request("enrol.access", Buffer.from(JSON.stringify(body)), {
          timeout_ms: 20_000,
        });
        const { from, box } = parseJson(SealedReply, answer.body, "sealed");
        return parseJson(AccessReply, openSealed(from, Buffer.from(box, "base64"), machine.curve), "access");
      };
      const granted = await ask(await fleet.operators.person("alice", "operator", { to_ms: 3_600_000 }));
      assert.is(granted.status, "granted");
      if (granted.status !== "granted") return;
      assert.is(readJwt(granted.user_jwt, fleet.roles.operator.public).name, "alice");
      assert.ok(granted.expires <= Date.now() + 3_600_000);
      const bob = await fleet.person("bob", "viewer");
      assert.is((await ask(bob)).status, "refused", "alice's key");
      const viewer = await ask(bob, Date.now(), "enrol.access", elsewhere);
      assert.ok(viewer.status === "granted" && readJwt(viewer.user_jwt, fleet.roles.viewer.public));
      const code = async (reply: ReturnType<typeof ask>) => {
        const said = await reply;
        return said.status === "refused" ? said.error.code : said.status;
      };
      const late = await fleet.operators.person("late", "operator", { from_ms: -7_200_000, to_ms: -1 });
      assert.is(await code(ask(late)), "BAD_CERTIFICATE");
      const since = await fleet.operators.person("since", "operator", { from_ms: -3_600_000 });
      assert.is(await code(ask(since, Date.now() - 120_000)), "CLOCK_SKEW");
      assert.is(await code(ask(alice, Date.now(), "ctl.hosts")), "BAD_SIGNATURE");
      assert.is(await code(ask(await fleet.controllers.person("c", "controller"))), "NOT_ALLOWED");
    });

    test("of several who are let in from one place in a minute the audit names each", async ({ signal }) => {
      const names = [unused(), unused(), unused()];
      for (const name of names)
        assert.is(refusal(await enrol(bus, await makeMachine(name), string({ name }))), "admitted");
      const { bus: reader } = await fleet.connect("controller", "reader", signal);
      await eventually(async () => {
        const told: string[] = [];
        for await (const message of reader.readAll("AUDIT", "audit.>")) {
          const { what, result, target } = parseJson(AuditRecord, message.body, "record");
          if (what === "join" && result === "done") told.push(target.split(" ")[0] ?? "");
        }
        for (const name of names) assert.ok(told.includes(name), `${name} of ${told.join(", ")}`);
      });
    });

    test("fifty machines at once", async () => {
      const machines = await Promise.all(Array.from({ length: 50 }, () => makeMachine(unused())));
      const strings = machines.map((machine) => string({ name: machine.name }));
      const began = performance.now();
      const replies = await Promise.all(
        machines.map((machine, index) => enrol(bus, machine, strings[index])),
      );
      const per_s = Math.round((machines.length * 1_000) / (performance.now() - began));
      assert.ok(replies.every((reply) => reply.status === "admitted"));
      console.log(`  ${per_s} enrolments/s, machines and controller in one process`);
    });
  },
  { limit_ms: 30_000 },
);
