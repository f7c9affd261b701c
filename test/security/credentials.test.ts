/**
 * Bus access that nobody of the fleet gives, at a real nats-server: of the wrong account, with a role or rights of its own making, under hostile names and
 * tags. And the names themselves wherever one may be given: enrolment, approval, join strings, people. Only a-z, 0-9 and - are a host's name.
 */

import { type Bus, connectBus } from "@muster/ports/bus";
import { type Caller, callController } from "@muster/ports/call";
import {
  createNkey,
  FleetName,
  HostName,
  hostFingerprint,
  type JoinReply,
  memorySigner,
  type Nkey,
  PersonName,
  signEd25519,
  subjects,
  writeJoinString,
} from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { startController, type TestController } from "../kit/controller.ts";
import { startFleet, type TestFleet } from "../kit/fleet.ts";
import { claimOf, enrol, hello, joinWith, makeMachine, proved } from "../kit/machine.ts";
import type { Person } from "../kit/people.ts";
import { refusedPublish, refusedSubscribe } from "../kit/refused.ts";
import { randomHex } from "../kit/rollout.ts";
import { suite } from "../kit/suite.ts";
import { forgedJwt } from "./forged-jwt.ts";

const HOSTILE_NAMES = [
  "*",
  ">",
  "core1.*",
  "core1.>",
  "core1.evil",
  ".",
  "..",
  "../core1",
  "core1/..",
  "core 1",
  "core1\n",
  "core1\0",
  "core1@evil",
  "alice@lab",
  "Core1",
  "cоre1",
  "core１",
  "-core1",
  "",
  "$SYS",
  "{{name()}}",
  "{{tag(x)}}",
  "a".repeat(64),
  "core1,ixp1",
  "core1;id",
];

suite(
  "forged credentials",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let alice: Person;
    let stranger: Bus;
    let ops: Caller;
    let victim: { id: string; bus: Bus };

    test.before(async () => {
      fleet = await startFleet();
      controller = await startController(fleet);
      alice = await fleet.person("alice");
      stranger = await fleet.anonymous(life.signal);
      ops = {
        bus: (await fleet.connect("operator", "alice", life.signal)).bus,
        signer: alice,
        now: Date.now,
      };
      victim = await fleet.connect("agent", "core1", life.signal);
    });
    test.after(async () => {
      life.abort();
      await controller.stop();
      await fleet.stop();
    });

    /** A connection with that JWT, or the code with which the broker refused it. */
    const dial = async (jwt: string, key: Nkey, signal: AbortSignal): Promise<Bus | string> => {
      try {
        return await connectBus(
          {
            servers: [fleet.server.address],
            ca_pem: fleet.broker_ca.certificate_pem,
            name: "forged",
            inbox_prefix: subjects.inboxPrefix(key.public),
            credentials: () => ({ jwt, sign: (nonce) => signEd25519(key.key, nonce) }),
            ...{ first_connect: "once", connect_timeout_ms: 30_000 },
          },
          signal,
        );
      } catch (error) {
        if (error instanceof FleetError) return error.code;
        throw error;
      }
    };
    const exp = () => Math.floor(Date.now() / 1_000) + 600;

    test("of the wrong account, by the wrong key, with rights of its own, without a key, or over: the broker takes none", async ({
      signal,
    }) => {
      const { roles, account, other_accounts } = fleet;
      const everything = { pub: { allow: [">"] }, sub: { allow: [">"] } };
      const own = createNkey("account");
      const key = createNkey("user");
      const top = { name: "core1", sub: key.public, exp: exp() };
      const rows: [string, Record<string, unknown>, Record<string, unknown>, Nkey][] = [
        ["of SYS", top, { issuer_account: other_accounts.system }, roles.agent],
        ["of ENROL", top, { issuer_account: other_accounts.enrol }, roles.agent],
        ["of an account that there is not", top, { issuer_account: own.public }, roles.agent],
        ["by a key of its own", top, { issuer_account: account }, own],
        ["by an account of its own", top, {}, own],
        ["with rights of its own", top, { issuer_account: account, ...everything }, roles.agent],
        ["with more replies", top, { issuer_account: account, resp: { max: -1, ttl: 0 } }, roles.viewer],
        ["for whoever has it", top, { issuer_account: account, bearer_token: true }, roles.agent],
        ["that is over", { ...top, exp: exp() - 700 }, { issuer_account: account }, roles.agent],
        ["of another key", { ...top, sub: victim.id }, { issuer_account: account }, roles.agent],
      ];
      for (const [what, claims, nats, signer] of rows)
        assert.is(
          await dial(await forgedJwt(claims, nats, memorySigner(signer)), key, signal),
          "NOT_LOGGED_IN",
          what,
        );
      const good = await forgedJwt(top, { issuer_account: account }, memorySigner(roles.agent));
      assert.ok(typeof (await dial(good, key, signal)) !== "string", "and one that is right is taken");
    });

    test("a role that the claims give themselves counts for nothing: the signing key is the role", async ({
      signal,
    }) => {
      const key = createNkey("user");
      const jwt = await forgedJwt(
        { name: "vera", sub: key.public, exp: exp(), role: "controller" },
        { issuer_account: fleet.account, role: "controller", tags: ["role:controller", "admin"] },
        memorySigner(fleet.roles.viewer),
      );
      const bus = await dial(jwt, key, signal);
      assert.ok(typeof bus !== "string", String(bus));
      const wanted = [
        subjects.liveDesired(victim.id),
        subjects.rpc(victim.id, "exec"),
        subjects.ctl("apply"),
      ];
      assert.equal(await refusedPublish(bus, wanted), wanted);
      assert.equal(await refusedSubscribe(bus, ["ctl.*", "enrol.*"]), ["ctl.*", "enrol.*"]);
    });

    test("hostile names and tags in a JWT of a stolen signing key open nothing of another host", async ({
      signal,
    }) => {
      const foreign = [
        subjects.telemetry(victim.id, "core1", "health"),
        subjects.event(victim.id, "core1", "drift"),
        subjects.host(victim.id, "renew"),
        `$JS.API.DIRECT.GET.DESIRED.${subjects.desired(victim.id)}`,
        `$JS.API.DIRECT.GET.BLOB.${subjects.blob(victim.id, "0".repeat(64), 0)}`,
        subjects.liveDesired(victim.id),
      ];
      const ears = [
        subjects.liveDesired(victim.id),
        "live.desired.*",
        `rpc.${victim.id}.*`,
        `_INBOX_${victim.id}.>`,
        ">",
      ];
      const tags = ["host:*", "host:>", "id:*", `subject:${victim.id}`, "name:*"];
      let connected = 0;
      for (const name of HOSTILE_NAMES) {
        const key = createNkey("user");
        const jwt = await forgedJwt(
          { name, sub: key.public, exp: exp() },
          { issuer_account: fleet.account, tags },
          memorySigner(fleet.roles.agent),
        );
        const bus = await dial(jwt, key, signal);
        if (typeof bus === "string") continue;
        connected++;
        assert.equal(await refusedPublish(bus, foreign), foreign, JSON.stringify(name));
        assert.equal(await refusedSubscribe(bus, ears), ears, JSON.stringify(name));
        await bus.close();
      }
      assert.ok(connected > 10, `${connected} names were let in, and tried`);
    });

    const said = (reply: JoinReply) => (reply.status === "refused" ? reply.error.code : reply.status);

    test("no machine gets a hostile name: not by asking, not by a join string, not by approval", async () => {
      const signed = controller.issuer.signed;
      const claims = {
        v: 1 as const,
        fleet: fleet.name,
        anchor: fleet.anchor,
        brokers: [fleet.server.address],
        groups: ["core"],
        networks: [],
        not_after: Date.now() + 600_000,
      };
      const tries = async (name: string) => {
        const machine = await makeMachine("core9");
        const join = writeJoinString({ ...claims, id: randomHex(), name }, alice, Date.now());
        const open = writeJoinString({ ...claims, id: randomHex() }, alice, Date.now());
        for (const joining of [undefined, join, open]) {
          const { nonce } = await hello(stranger, machine);
          const claim = { ...claimOf(machine, nonce, joining), name };
          // What has no valid form is not answered.
          const outcome = await joinWith(stranger, machine, proved(machine, claim), 5_000).then(
            said,
            (error) => error.code,
          );
          assert.ok(
            ["TIMEOUT", "INVALID", "BAD_NAME"].includes(outcome),
            `${JSON.stringify(name)}: ${outcome}`,
          );
        }
      };
      await Promise.all(HOSTILE_NAMES.map(tries));
      const waiting = await makeMachine("core8");
      assert.is(said(await enrol(stranger, waiting)), "pending");
      const fingerprint = hostFingerprint(waiting.nkey.public);
      for (const name of HOSTILE_NAMES) {
        const code = await callController(ops, "approve", { fingerprint, name, groups: [] }).then(
          () => "approved",
          (error) => error.code,
        );
        assert.is(code, "INVALID", JSON.stringify(name));
      }
      assert.is(controller.issuer.signed, signed, "something was signed");
      const { hosts } = await callController(ops, "hosts", { after: null, limit: 100 });
      assert.equal(hosts, []);
    });

    test("nothing that becomes part of a subject, path or certificate takes them", () => {
      const people = HOSTILE_NAMES.filter((name) => PersonName.safeParse(name).success);
      // A person's may have dots, and is no part of a subject.
      assert.equal(
        people,
        ["core1.evil", "a".repeat(64)].filter((name) => name.length < 64),
      );
      for (const name of HOSTILE_NAMES) {
        assert.not.ok(HostName.safeParse(name).success, JSON.stringify(name));
        assert.not.ok(FleetName.safeParse(name).success, JSON.stringify(name));
        if (name === "Core1" || name === "-core1" || name === "a".repeat(64)) continue;
        assert.throws(
          () => subjects.event("U", name, "x"),
          /cannot be part of a subject/,
          JSON.stringify(name),
        );
      }
    });

    test("a name that is held goes to no other key, and the key that holds it to no other name", async () => {
      const string = (name: string) =>
        writeJoinString(
          {
            v: 1,
            fleet: fleet.name,
            anchor: fleet.anchor,
            brokers: [fleet.server.address],
            id: randomHex(),
            name,
            groups: [],
            networks: [],
            not_after: Date.now() + 600_000,
          },
          alice,
          Date.now(),
        );
      const first = await makeMachine("edge1");
      assert.is(said(await enrol(stranger, first, string("edge1"))), "admitted");
      const thief = await makeMachine("edge1");
      assert.is(said(await enrol(stranger, thief, string("edge1"))), "NAME_TAKEN");
      assert.is(said(await enrol(stranger, thief)), "NAME_TAKEN");
      assert.is(said(await enrol(stranger, first, string("edge2"))), "NAME_TAKEN");
      const { record } = await callController(ops, "host", { name: "edge1" });
      assert.is(record?.id, first.nkey.public);
    });
  },
  { limit_ms: 30_000 },
);
