// limit: 120 s
/**
 * One host's key, used twice, on a real broker: a copy that runs an agent, a thief who says nothing, a host that came back by another way while its old
 * connection still stood, and the second connection of a guarded change. Who is one host is left alone; two machines are seen before anything is renewed.
 */
import { cp } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { type Bus, connectBus } from "@muster/ports/bus";
import { callController } from "@muster/ports/call";
import type { Log } from "@muster/ports/log";
import { createNkey, type Nkey, subjects } from "@muster/protocol";
import * as assert from "uvu/assert";
import type { Patience } from "../../../../packages/controller/src/copies/judge.ts";
import { watchCopies } from "../../../../packages/controller/src/copies/watch.ts";
import type { EventInput } from "../../../../packages/controller/src/events.ts";
import { HostRecords } from "../../../../packages/controller/src/records/hosts.ts";
import { joinString, makeAgent, realSshCertificates, type TestAgent } from "../../../kit/agent.ts";
import { startController, type TestController } from "../../../kit/controller.ts";
import { eventually } from "../../../kit/eventually.ts";
import { SSH_PUBLIC_KEY, startFleet, type TestFleet } from "../../../kit/fleet.ts";
import { suite } from "../../../kit/suite.ts";

const AWAIT_MS = 30_000;
const SHORT: Patience = { questions: [100, 100, 200], answer: 1_200, return: 3_000, dead: 800 };
/** Another address of the same loopback. */
const ELSEWHERE = "127.0.0.2";

suite(
  "one key, two connections",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let records: HostRecords;
    let told: EventInput[] = [];
    let verdicts: unknown[] = [];
    const watching = new AbortController();

    /** A host on record, and how it connects. */
    const enrolled = async (name: string): Promise<Nkey> => {
      const key = createNkey("user");
      await records.write(
        {
          ...{ name, id: key.public, ssh_public_key: SSH_PUBLIC_KEY, curve: "X", groups: [] },
          ...{ enrolled_at: 1, enrolled_by: "alice", recoveries: 0, state: "enrolled" },
          ...{ certificates: { user_jwt: 1, service: 1, ssh: 1 }, os: "test", agent_version: "0" },
        },
        null,
      );
      [told, verdicts] = [[], []];
      return key;
    };
    /** As an agent: answers pings, and dials again. */
    const serves = async (name: string, key: Nkey, signal: AbortSignal): Promise<Bus> => {
      const { bus } = await fleet.connect("agent", name, signal, key);
      bus.subscribe(
        subjects.rpc(key.public, "ping"),
        {},
        (message) => void bus.respond(message, Buffer.from("{}")),
      );
      await bus.roundTrip();
      return bus;
    };
    const quarantined = async (name: string) => (await records.fetch(name))?.record.quarantined ?? null;
    const alarms = () => told.filter(({ severity }) => severity === "error");

    test.before(async () => {
      fleet = await startFleet();
      const { bus } = await fleet.connect("controller", "watcher", life.signal);
      records = new HostRecords(bus);
      const log = {
        info: (fields: { verdict?: unknown }) => verdicts.push(fields.verdict),
        debug: () => undefined,
        warn: (fields: unknown) => verdicts.push(fields),
      } as unknown as Log;
      const events = { emit: (event: EventInput) => void told.push(event) };
      const ports = { bus, records, events, leading: () => true, log, now: Date.now, patience: SHORT };
      watchCopies(ports, watching.signal);
      await bus.roundTrip();
    });
    test.after(async () => {
      watching.abort();
      life.abort();
      await fleet.stop();
    });

    test("a second connection for a moment, as a guarded change makes it, is nothing", async ({ signal }) => {
      const key = await enrolled("ixp1");
      await serves("ixp1", key, signal);
      const second = await fleet.connect("agent", "probe", signal, key);
      await second.bus.close();
      await eventually(() => assert.equal(verdicts, ["one"]), AWAIT_MS);
      assert.equal([told, await quarantined("ixp1")], [[], null]);
    });

    test("a host that comes back by another way while its old connection stands is one host, and it is told", async ({
      signal,
    }) => {
      const key = await enrolled("ixp2");
      // Its line is cut: it is gone, and the broker has not missed it yet.
      const line = await startLine(fleet.server.address, ELSEWHERE);
      const gone = new AbortController();
      const credentials = await fleet.credentials("agent", "ixp2", key);
      const before = await connectBus(
        {
          servers: [line.address],
          ca_pem: fleet.broker_ca.certificate_pem,
          name: "before",
          inbox_prefix: subjects.inboxPrefix(key.public),
          credentials: () => credentials,
          first_connect: "once",
        },
        gone.signal,
      );
      await before.close();
      gone.abort();
      const host = await serves("ixp2", key, signal);
      await eventually(() => assert.equal(verdicts, ["moved"]), AWAIT_MS);
      assert.equal(await quarantined("ixp2"), null);
      assert.match(
        told[0]?.what ?? "",
        /is connected from 127.0.0.1; before it was 127.0.0.2, where nobody is any more/,
      );
      assert.ok(host.connected);
      line.stop();
    });

    test("a key that is at another address while its host is away is told, once for each", async ({
      signal,
    }) => {
      const key = await enrolled("ixp6");
      const first = new AbortController();
      const home = await serves("ixp6", key, first.signal);
      await home.close();
      first.abort();
      const credentials = await fleet.credentials("agent", "ixp6", key);
      const visit = async (from: string) => {
        const line = await startLine(fleet.server.address, from, "ends");
        const copy = await connectBus(
          {
            ...{ servers: [line.address], ca_pem: fleet.broker_ca.certificate_pem, name: "ixp6" },
            inbox_prefix: subjects.inboxPrefix(key.public),
            ...{ credentials: () => credentials, first_connect: "once" },
          },
          signal,
        );
        await copy.roundTrip();
        await copy.close();
        line.stop();
      };
      await visit(ELSEWHERE);
      const place = (from: string, before: string) =>
        `is connected from ${from}, where it was not before (${before}): if no machine of yours is there, ctl host replace ixp6`;
      const first_event = place(ELSEWHERE, "127.0.0.1");
      await eventually(
        () =>
          assert.equal(
            told.map(({ what }) => what),
            [first_event],
          ),
        AWAIT_MS,
      );
      await visit(ELSEWHERE);
      const back = new AbortController();
      await (await serves("ixp6", key, back.signal)).close();
      back.abort();
      await visit("127.0.0.3");
      const both = [first_event, place("127.0.0.3", `127.0.0.1, ${ELSEWHERE}`)];
      await eventually(
        () =>
          assert.equal(
            told.map(({ what }) => what),
            both,
          ),
        AWAIT_MS,
      );
    });

    test("a thief who says nothing is found out by the host, which dials again; of the two it is the thief who is closed", async ({
      signal,
    }) => {
      const key = await enrolled("ixp3");
      const host = await serves("ixp3", key, signal);
      const thief = await fleet.connect("agent", "ixp3", signal, key);
      let closed = 0;
      thief.bus.onStatus((event) => event.type === "disconnected" && closed++);
      await eventually(async () => assert.ok(await quarantined("ixp3"), JSON.stringify(verdicts)), AWAIT_MS);
      assert.match((await quarantined("ixp3"))?.why ?? "", /one of them dialled again while the other stood/);
      assert.match(alarms()[0]?.what ?? "", /two machines have its key[\s\S]*ctl host clear ixp3/);
      // It dials again and again, and is closed each time; the host is left alone.
      await eventually(() => assert.ok(closed >= 2, `closed ${closed} times`), AWAIT_MS);
      let lost = 0;
      host.onStatus((event) => event.type === "disconnected" && lost++);
      const before = closed;
      await eventually(() => assert.ok(closed >= before + 2, `closed ${closed} times`), AWAIT_MS);
      assert.equal([lost, host.connected, alarms().length], [0, true, 1]);
    });

    test("second connections one after the other, as an unconfirmed change makes them, are nothing either", async ({
      signal,
    }) => {
      const key = await enrolled("ixp4");
      const host = await serves("ixp4", key, signal);
      let lost = 0;
      host.onStatus((event) => event.type === "disconnected" && lost++);
      // Each stands until the next does, so that there are two at whatever moment one looks.
      let last = await fleet.connect("agent", "probe", signal, key);
      const end_ms = performance.now() + 4_000;
      while (performance.now() < end_ms) {
        const next = await fleet.connect("agent", "probe", signal, key);
        await last.bus.close();
        last = next;
      }
      await last.bus.close();
      await eventually(() => assert.ok(verdicts.length > 0), AWAIT_MS);
      assert.equal(
        [verdicts.filter((verdict) => verdict !== "one"), told, lost, await quarantined("ixp4")],
        [[], [], 0, null],
      );
    });

    test("a copied state directory: seen while both run, and the copy is closed", async () => {
      watching.abort();
      const alice = await fleet.person("alice");
      const agents: TestAgent[] = [];
      let controller: TestController | undefined;
      try {
        controller = await startController(fleet);
        await realSshCertificates(controller.issuer, fleet.server.directory);
        const { bus } = await fleet.connect("operator", "alice", life.signal);
        const caller = { bus, signer: alice, now: Date.now };
        const record = async () => (await callController(caller, "host", { name: "core1" })).record;
        const [host, copy] = [await makeAgent("core1"), await makeAgent("core1")];
        agents.push(host, copy);
        await host.write("/etc/muster/join", joinString(fleet, alice, { name: "core1" }));
        host.start();
        const connected = (agent: TestAgent) =>
          eventually(async () => {
            const status = JSON.parse((await agent.read("run/muster-agent/status.json")) ?? "{}");
            assert.equal([status.enrolment, status.broker], [null, null], JSON.stringify(status));
          }, AWAIT_MS);
        await connected(host);
        for (const path of ["var/lib/muster-agent", "etc/ssh"])
          await cp(join(host.prefix, path), join(copy.prefix, path), {
            recursive: true,
            filter: (source) => !source.endsWith(".sock"),
          });
        const { mark } = (await record()) ?? {};
        copy.start();
        const began = performance.now();
        await eventually(
          async () => assert.ok((await record())?.quarantined, copy.output().slice(-500)),
          AWAIT_MS,
        );
        console.log(`    seen ${Math.round(performance.now() - began)} ms after the copy was started`);
        assert.match((await record())?.quarantined?.why ?? "", /two answer at once/);
        assert.equal((await record())?.mark, mark, "nothing was renewed");
        await eventually(
          () => assert.match(copy.output(), /disconnected|connection .*closed|BUS_UNREACHABLE/i),
          AWAIT_MS,
        );
        await connected(host);
        await copy.stop("SIGKILL");
        assert.is((await callController(caller, "clear", { name: "core1" })).cleared, true);
        assert.is((await record())?.quarantined ?? null, null);
      } finally {
        await Promise.all(agents.map((agent) => agent.remove()));
        await controller?.stop();
      }
    });
  },
  { limit_ms: 100_000 },
);

type Line = { readonly address: string; stop(): void };

/** A way to the broker from another address. Who goes away on this side leaves the broker's side open, as a cut line does. */
async function startLine(broker: string, from: string, ends?: "ends"): Promise<Line> {
  const [host = "", port = ""] = broker.split(/:(?=\d+$)/);
  const open: Socket[] = [];
  const server: Server = createServer((near) => {
    const far = connect({ host, port: Number(port), localAddress: from });
    open.push(near, far);
    near.on("data", (data) => far.write(data));
    far.on("data", (data) => near.write(data));
    if (ends) near.on("close", () => far.end());
    for (const socket of [near, far]) socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: own } = server.address() as { port: number };
  return {
    address: `127.0.0.1:${own}`,
    stop() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
