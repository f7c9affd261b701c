/**
 * Every role against a real nats-server in operator mode: what it needs is allowed, everything else is refused by the server. A viewer,
 * agent or enrollee is tried on every subject pattern, stream and API that the fleet has.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Bus } from "@muster/ports/bus";
import * as assert from "uvu/assert";
import {
  CONTROL,
  CONTROL_METHODS,
  FLEET_BLOBS,
  intakeOf,
  PAGE_METHODS,
  PERMISSIONS,
  patterns,
  ROLES,
  RPC,
  SENTINEL_PERMISSIONS,
  STREAMS,
  SYSTEM_PERMISSIONS,
  subjects,
  VIEWER_CTL,
  VIEWER_RPC,
} from "../../../packages/protocol/src/index.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { refusedPublish, refusedSubscribe } from "../../kit/refused.ts";
import { suite } from "../../kit/suite.ts";

const GOLDEN = fileURLToPath(new URL("../../golden/permissions.txt", import.meta.url));

type Client = { readonly id: string; readonly bus: Bus };

suite(
  "permissions",
  (test) => {
    const lifetime = new AbortController();
    let fleet: TestFleet;
    let one: Client;
    let other: Client;

    test.before(async () => {
      fleet = await startFleet();
      one = await fleet.connect("agent", "ixp1", lifetime.signal);
      other = await fleet.connect("agent", "core1", lifetime.signal);
    });
    test.after(async () => {
      lifetime.abort();
      await fleet.stop();
    });

    const ownSubjects = (client: Client, host: string) => [
      subjects.telemetry(client.id, host, "health"),
      subjects.event(client.id, host, "drift"),
      subjects.log(client.id, host),
      intakeOf(subjects.audit(client.id, "command")),
      intakeOf(subjects.history(client.id, host)),
      subjects.host(client.id, "renew"),
      `$JS.API.DIRECT.GET.DESIRED.${subjects.desired(client.id)}`,
      "$JS.API.DIRECT.GET.TRUST.trust",
      `$JS.API.DIRECT.GET.BLOB.${subjects.blob(client.id, "0".repeat(64), 0)}`,
    ];
    const ownInboxes = (client: Client) => [
      subjects.liveDesired(client.id),
      subjects.liveTrust(),
      patterns.rpcOf(client.id),
      patterns.rpcAll,
      `${subjects.inboxPrefix(client.id)}.>`,
    ];
    /** What controllers write. */
    const STATE = () => [
      subjects.desired(one.id),
      subjects.trust(),
      subjects.release("0".repeat(32)),
      subjects.blob(one.id, "0".repeat(64), 0),
      "$KV.hosts.ixp1",
      "$KV.fleet.generation",
    ];
    /** Nothing of this may ever be open to an agent, viewer or enrollee. */
    const forbiddenToAll = () => [
      ...STATE().map(intakeOf),
      subjects.desired(one.id),
      subjects.liveDesired(one.id),
      subjects.trust(),
      subjects.liveTrust(),
      subjects.release("0".repeat(32)),
      subjects.blob(one.id, "0".repeat(64), 0),
      `$JS.API.DIRECT.GET.BLOB.${subjects.blob(FLEET_BLOBS, "0".repeat(64), 0)}`,
      "$SYS.REQ.CLAIMS.UPDATE",
      "$SYS.REQ.SERVER.PING",
      ...STREAMS.flatMap(({ name }) => [
        `$JS.API.STREAM.INFO.${name}`,
        `$JS.API.STREAM.CREATE.${name}`,
        `$JS.API.STREAM.UPDATE.${name}`,
        `$JS.API.STREAM.DELETE.${name}`,
        `$JS.API.STREAM.PURGE.${name}`,
        `$JS.API.STREAM.MSG.GET.${name}`,
        `$JS.API.STREAM.MSG.DELETE.${name}`,
        `$JS.API.CONSUMER.CREATE.${name}`,
        `$JS.API.CONSUMER.CREATE.${name}.c`,
        `$JS.API.CONSUMER.DURABLE.CREATE.${name}.c`,
        `$JS.API.CONSUMER.MSG.NEXT.${name}.c`,
        `$JS.API.DIRECT.GET.${name}`,
      ]),
      "$JS.API.INFO",
      "anything.else",
    ];

    test("the table as text is what was reviewed", async () => {
      const roles = {
        ...Object.fromEntries(ROLES.map((role) => [role, PERMISSIONS[role]])),
        enrollee: SENTINEL_PERMISSIONS,
        "admin in SYS": SYSTEM_PERMISSIONS,
      };
      const text = Object.entries(roles)
        .flatMap(([role, { pub, sub, resp }]) => [
          `${role}${resp ? `  (replies: ${resp.max} in ${resp.ttl_ms} ms)` : ""}`,
          ...pub.map((subject) => `  pub ${subject}`),
          ...sub.map((subject) => `  sub ${subject}`),
        ])
        .join("\n");
      if (process.env.GOLDEN === "1") await writeFile(GOLDEN, `${text}\n`);
      assert.fixture(`${text}\n`, await readFile(GOLDEN, "utf8"));
    });

    test("an agent may what it needs", async () => {
      assert.equal(await refusedPublish(one.bus, ownSubjects(one, "ixp1")), []);
      assert.equal(await refusedSubscribe(one.bus, ownInboxes(one)), []);
    });

    test("an agent may nothing of another host, under its own name or another", async () => {
      const foreign = [...ownSubjects(other, "core1"), ...ownSubjects(other, "ixp1")].filter(
        (subject) => !subject.endsWith(".trust"),
      );
      const forged = [
        subjects.telemetry(one.id, "core1", "health"),
        subjects.event(one.id, "core1", "drift"),
        subjects.log(one.id, "core1"),
        intakeOf(subjects.history(one.id, "core1")),
        // As it is stored: nobody publishes there, or a reply could be had to it.
        subjects.history(one.id, "ixp1"),
      ];
      const orders = [
        subjects.rpc(other.id, "facts"),
        subjects.rpcAll("facts"),
        subjects.ctl("apply"),
        subjects.enrol("join"),
      ];
      const wanted = [...new Set([...foreign, ...forged, ...orders, ...forbiddenToAll()])];
      assert.equal(await refusedPublish(one.bus, wanted), wanted);
      const ears = [
        ...ownInboxes(other).filter((subject) => ![subjects.liveTrust(), patterns.rpcAll].includes(subject)),
        "live.>",
        "desired.>",
        "telemetry.>",
        "event.>",
        "log.>",
        "_INBOX.>",
        "*.>",
        "$KV.>",
        "$JS.>",
        "$SYS.>",
        "rpc.>",
        "ctl.>",
        "enrol.>",
        "host.>",
        ">",
      ];
      assert.equal(await refusedSubscribe(one.bus, ears), ears);
    });

    test("a viewer reads telemetry and asks what viewers may, and nothing else", async () => {
      const vera = await fleet.connect("viewer", "vera", lifetime.signal);
      const asks = [
        ...VIEWER_CTL.map(subjects.ctl),
        ...VIEWER_RPC.map((method) => subjects.rpc(one.id, method)),
        ...VIEWER_RPC.map(subjects.rpcAll),
      ];
      assert.equal(await refusedPublish(vera.bus, asks), []);
      assert.equal(
        await refusedSubscribe(vera.bus, [
          patterns.telemetry("core1", "bgp"),
          patterns.event(),
          `${subjects.inboxPrefix(vera.id)}.>`,
        ]),
        [],
      );
      const orders = [
        ...Object.keys(CONTROL)
          .filter((method) => !(VIEWER_CTL as readonly string[]).includes(method))
          .map(subjects.ctl),
        ...Object.keys(RPC)
          .filter((method) => !(VIEWER_RPC as readonly string[]).includes(method))
          .map((method) => subjects.rpc(one.id, method)),
        ...ownSubjects(one, "ixp1"),
      ];
      const wanted = [...orders, ...forbiddenToAll()];
      assert.equal(await refusedPublish(vera.bus, wanted), wanted);
      const ears = [
        subjects.liveDesired(one.id),
        "live.>",
        "desired.>",
        "rpc.>",
        patterns.log,
        "log.>",
        "*.>",
        "audit.>",
        "release.>",
        "_R_.>",
        ">",
      ];
      assert.equal(await refusedSubscribe(vera.bus, ears), ears);
    });

    test("a web page reads telemetry and events, asks under its own key, and nothing else", async () => {
      const page = await fleet.connect("page", "vera", lifetime.signal);
      const asks = PAGE_METHODS.map((method) => subjects.page(page.id, method));
      assert.equal(await refusedPublish(page.bus, asks), []);
      const hears = [patterns.telemetry(), patterns.event(), `${subjects.inboxPrefix(page.id)}.>`];
      assert.equal(await refusedSubscribe(page.bus, hears), []);
      const wanted = [
        ...PAGE_METHODS.map((method) => subjects.page(one.id, method)),
        // What an operator may ask, under its own key.
        ...CONTROL_METHODS.filter((method) => !(PAGE_METHODS as readonly string[]).includes(method)).map(
          (method) => `page.${page.id}.${method}`,
        ),
        ...Object.keys(CONTROL).map(subjects.ctl),
        ...Object.keys(RPC).flatMap((method) => [subjects.rpc(one.id, method), subjects.rpcAll(method)]),
        ...["hello", "join", "access", "page"].map(subjects.enrol),
        ...ownSubjects(one, "ixp1"),
        ...ownSubjects({ ...one, id: page.id }, "vera"),
        ...forbiddenToAll(),
      ];
      assert.equal(await refusedPublish(page.bus, wanted), wanted);
      const ears = [
        subjects.liveDesired(one.id),
        `${subjects.inboxPrefix(one.id)}.>`,
        ...[
          "live.>",
          "desired.>",
          "rpc.>",
          "page.>",
          "answer.>",
          "log.>",
          "audit.>",
          "release.>",
          "_R_.>",
          "*.>",
          ">",
        ],
      ];
      assert.equal(await refusedSubscribe(page.bus, ears), ears);
    });

    test("an operator asks controllers and hosts, reads what was signed, and publishes no state", async () => {
      const alice = await fleet.connect("operator", "alice", lifetime.signal);
      const asks = [
        ...Object.keys(CONTROL).map(subjects.ctl),
        ...Object.keys(RPC).map((method) => subjects.rpc(one.id, method)),
        `$JS.API.DIRECT.GET.DESIRED.${subjects.desired(one.id)}`,
        `$JS.API.DIRECT.GET.RELEASE.${subjects.release("0".repeat(32))}`,
      ];
      assert.equal(await refusedPublish(alice.bus, asks), []);
      const wanted = [...forbiddenToAll(), ...ownSubjects(one, "ixp1").slice(0, 5)];
      assert.equal(await refusedPublish(alice.bus, wanted), wanted);
    });

    test("a controller makes, changes and empties no stream and has no consumers", async () => {
      const controller = await fleet.connect("controller", "c1", lifetime.signal);
      const needs = [
        ...STATE().map(intakeOf),
        intakeOf(subjects.audit(controller.id, "command")),
        subjects.rpc(one.id, "reconcile"),
        subjects.event(controller.id, "ixp1", "host"),
      ];
      assert.equal(await refusedPublish(controller.bus, needs), []);
      assert.equal(
        await refusedSubscribe(controller.bus, [
          patterns.ctl,
          patterns.enrol,
          patterns.host,
          patterns.page,
          "telemetry.>",
          "event.>",
          patterns.log,
        ]),
        [],
      );
      const wanted = [
        ...STATE(),
        intakeOf(subjects.audit(one.id, "command")),
        ...forbiddenToAll().filter((subject) => /STREAM|CONSUMER|\$SYS|INFO|anything/.test(subject)),
        subjects.telemetry(one.id, "ixp1", "health"),
        subjects.event(one.id, "ixp1", "host"),
        subjects.log(one.id, "ixp1"),
        subjects.host(one.id, "renew"),
        subjects.liveDesired(one.id),
      ];
      assert.equal(await refusedPublish(controller.bus, wanted), wanted);
      const ears = [
        subjects.liveDesired(one.id),
        patterns.rpcOf(one.id),
        `${subjects.inboxPrefix(one.id)}.>`,
        ">",
      ];
      assert.equal(await refusedSubscribe(controller.bus, ears), ears);
    });

    test("an admin in SYS gives accounts to the broker, sees and closes connections, and nothing else", async () => {
      const system = await fleet.system(lifetime.signal);
      const needs = [
        "$SYS.REQ.CLAIMS.PACK",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.SERVER.S1.CONNZ",
        "$SYS.REQ.SERVER.S1.KICK",
      ];
      assert.equal(await refusedPublish(system, needs), []);
      const wanted = [
        "$SYS.REQ.CLAIMS.DELETE",
        "$SYS.REQ.SERVER.S1.RELOAD",
        "$SYS.REQ.SERVER.S1.LDM",
        "$SYS.REQ.SERVER.S1.VARZ",
        "$SYS.REQ.SERVER.S1.JSZ",
        "$SYS.REQ.ACCOUNT.PING.CONNZ",
        "$SYS.ACCOUNT.A.CONNECT",
        "anything.else",
      ];
      assert.equal(await refusedPublish(system, wanted), wanted);
      const ears = ["$SYS.>", "$SYS.ACCOUNT.*.CONNECT", "_INBOX.>", ">"];
      assert.equal(await refusedSubscribe(system, ears), ears);
    });

    test("without credentials one can enrol and nothing else, and filling that account leaves the fleet alone", async () => {
      const stranger = await fleet.anonymous(lifetime.signal);
      assert.equal(
        await refusedPublish(stranger, ["hello", "join", "access", "page"].map(subjects.enrol)),
        [],
      );
      const wanted = [
        ...ownSubjects(one, "ixp1"),
        ...forbiddenToAll(),
        subjects.ctl("hosts"),
        subjects.rpcAll("ping"),
      ];
      assert.equal(await refusedPublish(stranger, wanted), wanted);
      const ears = ["telemetry.>", "enrol.>", "_INBOX.>", `${subjects.inboxPrefix(one.id)}.>`, ">"];
      assert.equal(await refusedSubscribe(stranger, ears), ears);
    });

    test("desired state reaches its host alone, live and by direct get", async () => {
      const controller = await fleet.connect("controller", "c2", lifetime.signal);
      const heard: string[] = [];
      const end = one.bus.subscribe(subjects.liveDesired(one.id), {}, (message) => {
        heard.push(Buffer.from(message.body).toString());
      });
      await one.bus.roundTrip();
      const headers = { "Muster-Time": "1" };
      await controller.bus.publishStored(subjects.desired(one.id), Buffer.from("mine"), { headers });
      await controller.bus.publishStored(subjects.desired(other.id), Buffer.from("theirs"));
      const kept = await one.bus.directGet("DESIRED", subjects.desired(one.id));
      await one.bus.roundTrip();
      end();
      assert.equal(heard, ["mine"]);
      assert.is(Buffer.from(kept?.body ?? "").toString(), "mine");
      assert.is(kept?.headers["Muster-Time"], "1");
      let refused = "";
      await one.bus.directGet("DESIRED", subjects.desired(other.id)).catch((error) => {
        refused = error.code;
      });
      assert.is(refused, "BUS_DENIED");
    });
  },
  { limit_ms: 20_000 },
);
