/** A web page's way onto the bus: a ticket works once, for the key that shows it, and what comes of it looks and orders nothing. */
import { randomBytes } from "node:crypto";
import type { Bus } from "@muster/ports/bus";
import { callController } from "@muster/ports/call";
import {
  createCurvePair,
  createNkey,
  openSealed,
  PageReply,
  parseJson,
  readJwt,
  SealedReply,
  subjects,
} from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import * as assert from "uvu/assert";
import { startController, type TestController } from "../../kit/controller.ts";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import type { Person } from "../../kit/people.ts";
import { suite } from "../../kit/suite.ts";

suite(
  "a web page on the bus",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let stranger: Bus;
    let vera: Person;

    test.before(async () => {
      fleet = await startFleet();
      controller = await startController(fleet);
      stranger = await fleet.anonymous(life.signal);
      vera = await fleet.person("vera", "viewer");
    });
    test.after(async () => {
      await controller.stop();
      life.abort();
      await fleet.stop();
    });

    const ticketOf = async (signer: Person) => {
      const { bus } = await fleet.connect("viewer", "vera", life.signal);
      const ticket = randomBytes(32).toString("base64url");
      const caller = { bus, signer, now: Date.now };
      const given = await callController(caller, "ticket", { hash: sha256(Buffer.from(ticket)) });
      return { ticket, ...given };
    };
    const redeem = async (ticket: string, key = createNkey("user")) => {
      const curve = createCurvePair();
      const body = { v: 1, curve: curve.public, ticket, id: key.public };
      const asked = await stranger.request(subjects.enrol("page"), Buffer.from(JSON.stringify(body)), {
        timeout_ms: 20_000,
      });
      const { from, box } = parseJson(SealedReply, asked.body, "page");
      return parseJson(PageReply, openSealed(from, Buffer.from(box, "base64"), curve), "page");
    };
    const refusal = (reply: PageReply) => (reply.status === "refused" ? reply.error.code : reply.status);

    test("its key gets a page's rights, under the person's name, and is answered without a signature", async () => {
      const { ticket, ends, pages } = await ticketOf(vera);
      assert.ok(ends > Date.now() && ends <= Date.now() + 120_000);
      assert.equal(pages, []);
      const key = createNkey("user");
      const reply = await redeem(ticket, key);
      assert.is(refusal(reply), "granted");
      if (reply.status !== "granted") return;
      assert.equal([reply.fleet, reply.person], [fleet.name, "vera"]);
      const claims = readJwt(reply.user_jwt, fleet.roles.page.public);
      assert.equal([claims.name, claims.sub], ["vera", key.public]);
      assert.ok(reply.expires <= Date.now() + 8 * 3_600_000);

      const page = await fleet.connect("page", "vera", life.signal, key);
      const ask = async (method: string, args: unknown) => {
        const body = Buffer.from(JSON.stringify({ v: 1, args }));
        const { body: answer } = await page.bus.request(subjects.page(key.public, method), body, {
          timeout_ms: 20_000,
        });
        return JSON.parse(Buffer.from(answer).toString());
      };
      assert.equal((await ask("hosts", { after: null, limit: 100 })).ok.hosts, []);
      assert.equal((await ask("last", { kind: "bgp", after: null, limit: 100 })).ok.values, []);
      assert.ok(Array.isArray((await ask("events", { since: null, limit: 10 })).ok.events));
      const { alerts, summary } = (await ask("alerts", {})).ok;
      assert.equal([alerts, summary === null || summary.firing === 0], [[], true]);
      assert.equal((await ask("rollouts", { limit: 20 })).ok.rollouts, []);
      assert.is((await ask("rollouts", { limit: 21 })).error.code, "INVALID");
      assert.is((await ask("hosts", { limit: "all" })).error.code, "INVALID");
    });

    test("an operator's page is answered the audit, which says so; a viewer's is refused, and so is one that was revoked", async () => {
      const alice = await fleet.person("alice", "operator");
      const pageOf = async (person: Person) => {
        const key = createNkey("user");
        const reply = await redeem((await ticketOf(person)).ticket, key);
        if (reply.status !== "granted") throw new Error(refusal(reply));
        const { bus } = await fleet.connect("page", reply.person, life.signal, key);
        const ask = async (method: string, args: unknown, of = key.public) => {
          const body = Buffer.from(JSON.stringify({ v: 1, args }));
          const answer = await bus.request(subjects.page(of, method), body, { timeout_ms: 10_000 });
          return JSON.parse(Buffer.from(answer.body).toString());
        };
        return { ask, rank: reply.rank, id: key.public };
      };
      const [hers, veras] = [await pageOf(alice), await pageOf(vera)];
      assert.equal([hers.rank, veras.rank], ["operator", "viewer"]);
      const all = { after: 0, since: null, writer: null, limit: 2_000 };
      const refused = async (page: typeof hers) => (await page.ask("audit", all)).error?.code;
      assert.is(await refused(veras), "NOT_ALLOWED");
      type Told = {
        record: { what: string; result: string; code: string | null; by: { name: string } | null };
      };
      const records = async () =>
        ((await hers.ask("audit", all)).ok.records as Told[]).map(({ record }) => record);
      await eventually(async () => {
        const told = await records();
        assert.ok(told.some(({ what, by }) => what === "ticket" && by?.name === "alice"));
        assert.ok(
          told.some(({ what, by, result }) => what === "audit" && by?.name === "alice" && result === "done"),
        );
        assert.ok(told.some(({ what, code }) => what === "audit" && code === "NOT_ALLOWED"));
      }, 20_000);
      // An operator's page reads more than a viewer's, and orders as little.
      await hers.ask("hosts", { after: null, limit: 1 }).then(({ ok }) => assert.equal(ok.hosts, []));
      const { bus } = await fleet.connect("operator", "alice", life.signal);
      const admin = { bus, signer: await fleet.person("root", "admin"), now: Date.now };
      await callController(admin, "revoke", { host: null, accesses: [hers.id], why: "a test" });
      assert.is(await refused(hers), "VOIDED");
      // That it is the recovery kit was told when it asked for the ticket: a page asks again every few seconds.
      const kits = await pageOf(await fleet.person("alice", "kit"));
      for (let times = 0; times < 5; times += 1) assert.ok((await kits.ask("audit", all)).ok);
      await eventually(async () => {
        const { events } = await callController(admin, "events", { since: null, kind: "kit", limit: 10 });
        assert.equal(
          events.map(({ event }) => event.what),
          ["ticket with the recovery kit by alice"],
        );
      }, 20_000);
    });

    test("a ticket works once, also when two pages show it at the same time", async () => {
      const { ticket } = await ticketOf(vera);
      const replies = await Promise.all([redeem(ticket), redeem(ticket), redeem(ticket)]);
      assert.equal(replies.map(refusal).sort(), ["BAD_PROOF", "BAD_PROOF", "granted"]);
      assert.is(refusal(await redeem(ticket)), "BAD_PROOF");
      assert.is(refusal(await redeem(randomBytes(32).toString("base64url"))), "BAD_PROOF");
    });

    test("who signs for a ticket must be a person of the fleet who may look", async () => {
      const codes: string[] = [];
      for (const ou of ["ci", "nobody"]) {
        await ticketOf(await fleet.person("robot", ou)).catch((error) => codes.push(error.code));
      }
      assert.equal(codes, ["NOT_ALLOWED", "BAD_CERTIFICATE"]);
    });

    test("who was revoked after he asked for a ticket gets nothing by it", async () => {
      const eve = await fleet.person("eve", "viewer");
      const { ticket } = await ticketOf(eve);
      fleet.bundle = {
        ...fleet.bundle,
        version: fleet.bundle.version + 1,
        voided: [{ name: "eve", since: Date.now() - 1_000 }],
      };
      const { body, headers } = fleet.signBundle(fleet.bundle);
      const setup = await fleet.setup(life.signal);
      await setup.publishStored(subjects.trust(), body, { headers });
      await setup.close();
      // The controller hears of it in a moment: a ticket of hers is not taken note of then.
      await eventually(async () => {
        const refused = await ticketOf(eve).then(
          () => null,
          (error) => error.code,
        );
        assert.is(refused, "VOIDED");
      });
      assert.is(refusal(await redeem(ticket)), "VOIDED");
    });
  },
  { limit_ms: 30_000 },
);
