/** The dispatcher and its callers on a real broker: who may, who is meant, what is fresh, who was silent. */
import { connectBus } from "@muster/ports/bus";
import { type CallOptions, callMany, callOne } from "@muster/ports/call";
import { type Call, type Handlers, serve } from "@muster/ports/dispatch";
import { processMemory } from "@muster/ports/nonces";
import {
  type AuditEntry,
  createNkey,
  type EnvelopeSigner,
  RPC,
  type RpcBody,
  seal,
  subjects,
} from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { assertWithin } from "../../kit/figures.ts";
import { type NatsServer, startNats } from "../../kit/nats.ts";
import { PeopleCa } from "../../kit/people.ts";
import { suite } from "../../kit/suite.ts";

type Host = { id: string; groups: string[]; clock_off_ms: number; calls: string[] };
const host = (groups: string[], clock_off_ms = 0): Host => ({
  id: createNkey("user").public,
  groups,
  clock_off_ms,
  calls: [],
});

suite(
  "dispatch",
  (test) => {
    let server: NatsServer;
    let operators: PeopleCa;
    let alice: EnvelopeSigner;
    let viewer: EnvelopeSigner;
    let stranger: EnvelopeSigner;
    const life = new AbortController();
    const hosts = [host(["core"]), host(["ixp"]), host(["ixp"], 10 * 60_000)] as const;
    const ids = hosts.map(({ id }) => id);

    const bus = (name: string) =>
      connectBus({ servers: [server.address], name, inbox_prefix: `_INBOX_${name}` }, life.signal);

    // Inside the window of a command and the life of the certificates, so that only the start speaks against it.
    const started = Date.now() - 30_000;
    const audited: AuditEntry[] = [];
    let ended: ReturnType<NonNullable<Call["endsLater"]>> | undefined;
    const answer = async (self: Host) => {
      const verifier = operators.verifier();
      const handlers: Handlers<typeof RPC> = {
        ping: () => ({ host: self.id.toLowerCase(), at: 1, version: "1", protocol: 1 }),
        facts: () => {
          throw new FleetError("UNSUPPORTED", "not here");
        },
        health: () => {
          throw new TypeError("a mistake");
        },
        bgp: () => new Promise(() => {}),
        checks: () => new Promise(() => {}),
        status: () => new Promise(() => {}),
        plan: () => ({}) as never,
        manifest: () => ({ envelope: null }),
        images: () => ({ images: [] }),
        reconcile: (_, call) => {
          self.calls.push(call.principal?.name ?? "");
          return { generation: 7 };
        },
        return: () => ({ generation: 1, content_hash: "0".repeat(64) }),
        switch: () => ({ thrown: [] }),
        logs: () => ({ stream: "0".repeat(32) }),
        next: () => ({ from: 0, chunks: [], end: null }),
        birdc: () => ({ lines: [] }),
        reboot: () => ({ boot: "1" }),
        prune: () => ({ kept: [], removed: [], failed: [] }),
        joined: () => ({ joined: null }),
        rename: () => {
          throw new FleetError("UNSUPPORTED", "not played");
        },
        login: () => {
          throw new FleetError("UNSUPPORTED", "not played");
        },
        audit: () => {
          throw new FleetError("UNSUPPORTED", "not here");
        },
        exec: (_, call) => {
          ended = call.endsLater?.();
          return { stream: "0".repeat(32) };
        },
      };
      serve(
        {
          bus: await bus(self.id),
          table: RPC,
          handlers,
          routes: [
            { pattern: `rpc.${self.id}.*`, logical: (method) => subjects.rpc(self.id, method) },
            { pattern: "rpc.all.*", logical: (method) => subjects.rpcAll(method) },
          ],
          verifier: () => verifier,
          now: () => Date.now() + self.clock_off_ms,
          memory: processMemory(() => Date.now() + self.clock_off_ms, {
            signed_until_ms: started + self.clock_off_ms - 1,
            raise: async () => undefined,
          }),
          self: () => ({ id: self.id, groups: self.groups, labels: {} }),
          audit: {
            before: async (entry) => audited.push(entry),
            tell: (entry) => void audited.push(entry),
          },
        },
        life.signal,
      );
    };
    const caller = async (signer: EnvelopeSigner | null) => ({
      bus: await bus("CALLER"),
      signer,
      now: Date.now,
    });
    const code = async (work: Promise<unknown>) => {
      try {
        await work;
        return "none";
      } catch (error) {
        return error instanceof FleetError ? error.code : String(error);
      }
    };
    const reconcile = async (id: string, signer: EnvelopeSigner | null, options: CallOptions = {}) =>
      callOne(await caller(signer), id, "reconcile", {}, options);

    test.before(async () => {
      server = await startNats({ tls: false, jetstream: false });
      operators = await PeopleCa.make("operators");
      alice = await operators.person("alice", "operator");
      viewer = await operators.person("bob", "viewer");
      stranger = await (await PeopleCa.make("other")).person("eve", "operator");
      await Promise.all(hosts.map(answer));
    });
    test.after(async () => {
      life.abort();
      await server.stop();
    });

    test("ping needs no signature", async () => {
      const reply = await callOne(await caller(null), ids[0] ?? "", "ping", {});
      assert.is(reply.host, ids[0]?.toLowerCase());
    });

    test("what goes on after the answer is over in the audit when it is over", async () => {
      const id = ids[0] ?? "";
      const order = { command: ["id"], from: "alice@laptop", longest_ms: 1_000 };
      await callOne(await caller(alice), id, "exec", order);
      const execs = () => audited.filter(({ what }) => what === "exec");
      const begun = audited.findIndex(({ what }) => what === "exec") + 1;
      assert.equal(
        execs().map(({ result }) => result),
        ["begun"],
      );
      ended?.("id: exit 3", new FleetError("COMMAND_FAILED", "exit 3"));
      const [, end] = execs();
      assert.equal(
        [end?.result, end?.code, end?.of, end?.by?.name],
        ["failed", "COMMAND_FAILED", begun, "alice"],
      );
      assert.match(end?.target ?? "", /: id: exit 3$/);
    });

    test("authority is enforced", async () => {
      const id = ids[0] ?? "";
      assert.is(await code(reconcile(id, null)), "UNSIGNED");
      assert.is(await code(reconcile(id, viewer)), "NOT_ALLOWED");
      assert.is(await code(reconcile(id, stranger)), "BAD_CERTIFICATE");
      assert.equal(hosts[0].calls, []);
      assert.equal(await reconcile(id, alice), { generation: 7 });
      assert.equal(hosts[0].calls, ["alice"]);
    });

    test("a command works once, and only on its own subject", async () => {
      const [one = "", two = ""] = ids;
      const wire = await bus("REPLAY");
      const body = Buffer.from(JSON.stringify({ v: 1, args: {} } satisfies RpcBody));
      const { headers } = seal(subjects.rpc(one, "reconcile"), body, alice, Date.now());
      const send = async (id: string) =>
        (
          await wire.request(subjects.rpc(id, "reconcile"), body, { headers, timeout_ms: 10_000 })
        ).body.toString();
      const said = async (id: string) => Buffer.from(await send(id)).toString();
      assert.match(await said(two), /BAD_SIGNATURE/);
      const first = await wire.request(subjects.rpc(one, "reconcile"), body, { headers, timeout_ms: 10_000 });
      assert.match(Buffer.from(first.body).toString(), /"ok"/);
      const again = await wire.request(subjects.rpc(one, "reconcile"), body, { headers, timeout_ms: 10_000 });
      assert.match(Buffer.from(again.body).toString(), /REPLAYED/);
    });

    test("a skewed host challenges, and the caller answers unseen", async () => {
      assert.equal(await reconcile(ids[2] ?? "", alice), { generation: 7 });
      const results = await callMany(await caller(alice), ids, "reconcile", {});
      assert.is(results.answered.size, 3);
      assert.equal([results.failed.size, results.silent.length], [0, 0]);
    });

    test("what was signed before the start needs a challenge", async () => {
      const id = ids[0] ?? "";
      const wire = await bus("OLD");
      const body = Buffer.from(JSON.stringify({ v: 1, args: {} }));
      const { headers } = seal(subjects.rpc(id, "reconcile"), body, alice, started - 1);
      const reply = await wire.request(subjects.rpc(id, "reconcile"), body, { headers, timeout_ms: 10_000 });
      assert.match(Buffer.from(reply.body).toString(), /CLOCK_SKEW.*"challenge":"[0-9a-f]{32}"/);
    });

    test("a fan-out names who answered, failed and was silent", async () => {
      const nobody = createNkey("user").public;
      const began = performance.now();
      const results = await callMany(await caller(null), [...ids, nobody], "ping", {});
      assert.is(results.answered.size, 3);
      assert.equal(results.silent, [nobody]);
      assert.equal(results.absent, [nobody]);
      assertWithin(performance.now() - began, 1_000, "what ends when everybody has answered");
      const failed = await callMany(await caller(alice), ids.slice(0, 2), "facts", {});
      assert.equal([...failed.failed.values()].map(String), [
        "FleetError: this cannot be done here: not here",
        "FleetError: this cannot be done here: not here",
      ]);
    });

    test("a broadcast reaches who is meant, and nobody else answers", async () => {
      const many = [...ids, ...Array.from({ length: 300 }, () => createNkey("user").public)];
      const all = await callMany(await caller(alice), many, "reconcile", {}, { timeout_ms: 10_000 });
      assert.is(all.answered.size, 3);
      assert.is(
        all.absent.length,
        300,
        "without a filter each gets its own message, and the broker says who is not there",
      );
      const everybody = await callMany(
        await caller(alice),
        many,
        "reconcile",
        {},
        { timeout_ms: 4_000, filter: {} },
      );
      assert.is(everybody.answered.size, 3);
      assert.equal([everybody.silent.length, everybody.absent.length], [300, 0]);
      const before = hosts[0].calls.length;
      const some = await callMany(
        await caller(alice),
        many,
        "reconcile",
        {},
        {
          timeout_ms: 4_000,
          filter: { groups: ["ixp"] },
        },
      );
      assert.equal([...some.answered.keys()].sort(), [ids[1], ids[2]].sort());
      assert.is(hosts[0].calls.length, before);
    });

    test("a handler's mistakes and lateness are answers", async () => {
      const id = ids[0] ?? "";
      assert.is(await code(callOne(await caller(alice), id, "health", {})), "FAILED");
      assert.is(
        await code(callOne(await caller(alice), id, "plan", { content: EMPTY, overwrite: [] })),
        "FAILED",
      );
      const wire = await bus("BAD");
      const reply = await wire.request(`rpc.${id}.constructor`, Buffer.from("{}"), { timeout_ms: 10_000 });
      assert.match(Buffer.from(reply.body).toString(), /NOT_FOUND/);
    });
  },
  { limit_ms: 15_000 },
);

const EMPTY = { groups: [], labels: {}, resources: [], switches: [] };
