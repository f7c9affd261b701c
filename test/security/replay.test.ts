/**
 * A command that was carried out once, sent again: to an agent that was killed and started again, to the other controller of a broker, and to one that
 * started later. Signed by a clock that runs ahead, so that no time speaks against it. And what the audit has of all that, held against its chains.
 */
import { callController, callMany } from "@muster/ports/call";
import { createNkey, type EnvelopeSigner, Reply, seal, subjects } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { readAudit, type Stored } from "../../packages/ctl/src/audit/read.ts";
import { AuditCheck, askHeads } from "../../packages/ctl/src/audit/verify.ts";
import { joinString, makeAgent, realSshCertificates, type TestAgent } from "../kit/agent.ts";
import { startController, type TestController } from "../kit/controller.ts";
import { startFleet, type TestFleet } from "../kit/fleet.ts";
import { patienceOf } from "../kit/patience.ts";
import type { Person } from "../kit/people.ts";
import { suite } from "../kit/suite.ts";

type Connection = Parameters<typeof readAudit>[0];

suite(
  "commands sent again",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controllers: TestController[] = [];
    let agent: TestAgent;
    let alice: Person;
    let connection: Connection;
    let id = "";

    /** One signed command, as often as it is wanted: what is sent is the same each time. */
    const command = (
      subject: string,
      args: unknown,
      signer: EnvelopeSigner,
      ahead_ms: number,
      nonce?: string,
    ) => {
      const body = Buffer.from(JSON.stringify({ v: 1, args }));
      const { headers } = seal(subject, body, signer, Date.now() + ahead_ms, nonce);
      return async (): Promise<Reply> => {
        const answer = await connection.bus.request(subject, body, { headers, timeout_ms: 20_000 });
        return Reply.parse(JSON.parse(Buffer.from(answer.body).toString()));
      };
    };
    const codeOf = (reply: Reply) => ("error" in reply ? reply.error.code : "ok");
    const answers = async () => {
      const patience = patienceOf(20_000);
      for (;;) {
        const { answered } = await callMany(connection, [id], "ping", {}, { timeout_ms: 3_000 });
        if (answered.size > 0) return;
        if (patience.over()) throw new Error(`the agent does not answer\n${agent.output().slice(-2_000)}`);
      }
    };

    test.before(
      async () => {
        fleet = await startFleet();
        controllers = [await startController(fleet), await startController(fleet)];
        const [first, second] = controllers;
        if (first === undefined || second === undefined) throw new Error("two controllers are needed");
        await realSshCertificates(first.issuer, fleet.server.directory);
        second.issuer.sshCertificate = first.issuer.sshCertificate;
        alice = await fleet.person("alice");
        const operator = await fleet.connect("operator", "alice", life.signal);
        connection = { ...operator, signer: alice, now: Date.now, close: () => operator.bus.close() };
        agent = await makeAgent("core1");
        await agent.write("/etc/muster/join", joinString(fleet, alice, { name: "core1" }));
        agent.start();
        for (const patience = patienceOf(20_000); id === ""; ) {
          const { record } = await callController(connection, "host", { name: "core1" });
          id = record?.id ?? "";
          if (patience.over()) throw new Error(`not enrolled\n${agent.output().slice(-2_000)}`);
        }
        await answers();
      },
      { limit_ms: 45_000 },
    );
    test.after(async () => {
      await agent.remove();
      life.abort();
      for (const each of controllers) await each.stop();
      await fleet.stop();
    });

    test("an agent that was killed takes no command of before, near or far ahead of its clock", async () => {
      const near = command(subjects.rpc(id, "reconcile"), {}, alice, 40_000);
      assert.is(codeOf(await near()), "ok");
      assert.is(codeOf(await near()), "REPLAYED");
      // One whose clock is half an hour ahead answers a challenge, and its own window comes half an hour later.
      const skewed = await command(subjects.rpc(id, "reconcile"), {}, alice, 1_800_000)();
      const challenge = "challenge" in skewed ? skewed.challenge : undefined;
      const far = command(subjects.rpc(id, "reconcile"), {}, alice, 1_800_000, challenge);
      assert.is(codeOf(await far()), "ok");
      await agent.stop("SIGKILL");
      agent.start();
      await answers();
      assert.is(codeOf(await near()), "CLOCK_SKEW", "taken a second time after a restart");
      assert.is(codeOf(await far()), "CLOCK_SKEW");
      // Who is meant to be there signs the challenge, unseen.
      const again = await callMany(connection, [id], "reconcile", {});
      assert.is(again.answered.size, 1);
    });

    test("of two controllers one carries a command out, and those that start later do not either", async () => {
      const reject = command(subjects.ctl("reject"), { fingerprint: "SHA256:nobody" }, alice, 40_000);
      const codes = await Promise.all(Array.from({ length: 12 }, reject));
      const taken = codes.map(codeOf).filter((code) => code !== "REPLAYED");
      assert.equal(taken, ["NOT_FOUND"], "carried out more than once");
      const [first, second] = controllers;
      controllers = [await startController(fleet)];
      await first?.stop();
      await second?.stop();
      assert.is(codeOf(await reject()), "REPLAYED", "taken by a controller that started later");
      controllers.push(await startController(fleet));
    });

    test("a challenge by one controller is good at the other, once", async () => {
      const late: Connection = { ...connection, now: () => Date.now() + 600_000 };
      for (let tries = 0; tries < 8; tries++)
        assert.is((await callController(late, "head", {})).generation, 0);
      const skewed = await command(subjects.ctl("head"), {}, alice, 600_000)();
      const challenge = "challenge" in skewed ? skewed.challenge : undefined;
      const answer = command(subjects.ctl("reject"), { fingerprint: "SHA256:no" }, alice, 600_000, challenge);
      const codes = (await Promise.all([answer(), answer(), answer()])).map(codeOf).sort();
      assert.equal(codes, ["NOT_FOUND", "REPLAYED", "REPLAYED"]);
      const invented = command(subjects.ctl("head"), {}, alice, 600_000, "ab".repeat(16));
      assert.is(codeOf(await invented()), "CLOCK_SKEW");
    });

    test("the audit has it all, in whole chains; what is taken out, changed or moved shows", async () => {
      await callController(connection, "note", { what: "init", target: "lab", result: "done" });
      const viewer = await fleet.person("vera", "viewer");
      assert.is(codeOf(await command(subjects.rpc(id, "reboot"), { why: "no" }, viewer, 0)()), "NOT_ALLOWED");
      let heads = await askHeads(connection, new Map([["core1", id]]));
      for (const end = Date.now() + 40_000; (heads.said.get(id)?.waiting ?? 1) > 0 && Date.now() < end; )
        heads = await askHeads(connection, new Map([["core1", id]]));
      const stored: Stored[] = [];
      const own = await readAudit(connection, { since: null, writer: null }, (each) => stored.push(each));
      const middle = stored[Math.floor(stored.length / 2)]?.stored_at ?? 0;
      const later: Stored[] = [];
      await readAudit(connection, { since: middle, writer: null }, (each) => later.push(each));
      const wanted = stored.filter(({ stored_at }) => stored_at >= middle);
      assert.ok(wanted.length < stored.length && later.length >= wanted.length, "since");
      assert.ok(
        later.every(({ stored_at }) => stored_at >= middle),
        "since",
      );
      const check = (some: readonly Stored[]) => {
        const checked = new AuditCheck(new Set([id]));
        for (const each of some) checked.take(each);
        return checked.end(heads, own, true).faults;
      };
      assert.equal(check(stored), []);
      const told = stored.flatMap(({ record }) => (record === null ? [] : [record]));
      const has = (what: string, result: string, code: string | null, by: string | null = "alice") =>
        assert.ok(
          told.some(
            (each) =>
              each.what === what &&
              each.result === result &&
              each.code === code &&
              (each.by?.name ?? null) === by,
          ),
          `${what} ${result} ${code} by ${by} is not there`,
        );
      has("reconcile", "begun", null);
      has("reconcile", "done", null);
      has("reconcile", "refused", "REPLAYED", null);
      has("reconcile", "refused", "CLOCK_SKEW", null);
      has("reboot", "refused", "NOT_ALLOWED", null);
      has("reject", "failed", "NOT_FOUND");
      has("init", "done", null);
      has("join", "done", null, null);
      has("start", "done", null, null);
      assert.ok(
        told.some(({ what }) => what === "follows"),
        "a controller says where those before it ended",
      );

      const of = stored.filter(({ writer }) => writer === id);
      for (const at of [0, 1, Math.floor(of.length / 2), of.length - 1]) {
        const gone = check(stored.filter((each) => each !== of[at]));
        assert.ok(gone.length > 0, `record ${at + 1} of ${of.length} can be taken out`);
        assert.ok(gone.every(({ host }) => host === "core1"));
        const changed = check(
          stored.map((each) =>
            each === of[at] && each.record !== null
              ? { ...each, record: { ...each.record, target: "another" } }
              : each,
          ),
        );
        assert.ok(changed.length > 0, `record ${at + 1} of ${of.length} can be changed`);
      }
      const [one, two] = [stored.indexOf(of[1] as Stored), stored.indexOf(of[2] as Stored)];
      const moved = [...stored];
      [moved[one], moved[two]] = [moved[two] as Stored, moved[one] as Stored];
      assert.ok(check(moved).length > 0, "records can be moved");
      // The controllers that ended speak no more; those after them do.
      const ended = told.find(({ what }) => what === "follows")?.target.split(" ")[0] ?? "";
      const last = stored.filter(({ writer }) => writer === ended).at(-1);
      assert.ok(
        check(stored.filter((each) => each !== last)).length > 0,
        "the end of an ended controller can be cut off",
      );
      // A controller that hides a host, and one that lies for it.
      assert.ok(check(stored.filter(({ writer }) => writer !== id)).length > 0, "a host can be hidden");
      const lie = { seq: 1, hash: "0".repeat(64), waiting: 0, unwritten: 0, at: 1, signature: "AAAA" };
      heads = { ...heads, said: new Map([[id, { ...heads.said.get(id), ...lie }]]) };
      assert.ok(check(stored).length > 0);
    });

    test("nobody writes under another's name, and no answer is taken for another's", async () => {
      const thief = await fleet.connect("agent", "ixp1", life.signal);
      const denied: string[] = [];
      thief.bus.onStatus((event) => {
        if (event.type === "denied") denied.push(event.subject);
      });
      // It hears every broadcast, and answers at once in the name of another.
      thief.bus.subscribe("rpc.all.ping", {}, (message) => {
        const body = Buffer.from(
          JSON.stringify({ ok: { host: "core1", at: 1, version: "forged", protocol: 1 } }),
        );
        thief.bus.respondAs(id, message, body);
        thief.bus.respond(message, body, { "Muster-Host": id });
      });
      await thief.bus.roundTrip();
      const many = [id, ...Array.from({ length: 300 }, () => createNkey("user").public)];
      const results = await callMany(connection, many, "ping", {}, { filter: {}, timeout_ms: 6_000 });
      assert.equal([...results.answered.keys()], [id]);
      assert.is.not(results.answered.get(id)?.version, "forged");
      assert.is(results.silent.length, 300);
      await thief.bus.roundTrip();
      assert.ok(
        denied.some((subject) => subject.startsWith(`answer.${id}.`)),
        "the broker let it answer for another",
      );
      const stolen = await thief.bus
        .publishStored(subjects.audit(id, "command"), Buffer.from("{}"))
        .catch((error: unknown) => error);
      assert.is(stolen instanceof FleetError ? stolen.code : "stored", "BUS_DENIED");
    });
  },
  { limit_ms: 60_000 },
);
