/**
 * `ctl operator invite` on a real Vault, broker, controller and two agents: bob, who has no account at Vault, sees the hosts of one group and nothing of the
 * others. What he may not do is refused by the broker, and where his signature reaches a host or a controller by another way, by these.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bus } from "@muster/ports/bus";
import { callController, callOne } from "@muster/ports/call";
import { CONTROL } from "@muster/protocol/control/index";
import { FleetError } from "@muster/protocol/errors";
import { readInvitation, writeInvitation } from "@muster/protocol/invite";
import { RPC } from "@muster/protocol/rpc/index";
import { subjects, VIEWER_CTL, VIEWER_RPC } from "@muster/protocol/subjects";
import * as assert from "uvu/assert";
import { writeText } from "../../../../packages/ctl/src/fleet/disk.ts";
import { openOutput } from "../../../../packages/ctl/src/output/output.ts";
import { type Connection, openSession } from "../../../../packages/ctl/src/session/session.ts";
import { makeAgent, type TestAgent } from "../../../kit/agent.ts";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made, PASSWORD } from "../made.ts";
import { ctl } from "../terminal.ts";

type Row = { name: string; record: { id: string } };

suite(
  "ctl operator invite",
  (test) => {
    const life = new AbortController();
    let made: Made;
    const agents: TestAgent[] = [];
    let invitation: string;
    const home = (name: string) => join(made.directory, name);
    const admin = (...words: string[]) => ctl(words, { home: made.home });
    const bob = (...words: string[]) => ctl(words, { home: home("bob") });
    const ids = new Map<string, string>();
    const idOf = (name: string) => ids.get(name) ?? "";

    test.before(async () => {
      made = await emptyGround(life.signal);
      await made.init();
      await made.startBroker();
      const ran = await made.init();
      assert.is(ran.code, 0, ran.err);
      await made.startController(life.signal);
      assert.is((await ctl(["login"], { home: made.home, answers: [PASSWORD] })).code, 0);
      for (const name of ["ixp1", "core1"]) {
        const agent = await makeAgent(name);
        agents.push(agent);
        await agent.write("etc/muster/join", (await admin("join", name, "--group", "new")).out);
        agent.start();
      }
      await eventually(async () => {
        const rows = JSON.parse((await admin("hosts", "--json")).out) as Row[];
        assert.is(rows.length, 2);
        for (const { name, record } of rows) ids.set(name, record.id);
        // A record stands there before its agent listens.
        assert.is((await admin("rpc", "ping")).code, 0);
      }, 20_000);
      // What a host is, it knows by what was signed for it; the records follow.
      const folder = home("folder");
      const files = {
        "muster.yml": "fleet: lab\n",
        "hosts.yml": "ixp: { hosts: { ixp1: {} } }\ncore: { hosts: { core1: {} } }\n",
        "resources/ixp.yml": 'file: { /etc/note: { content: "one\\n" } }\n',
        "resources/core.yml": 'file: { /etc/note: { content: "one\\n" } }\n',
      };
      for (const [name, text] of Object.entries(files)) await writeText(join(folder, name), text);
      const applied = await ctl(["apply", "-y", "-m", "notes"], { home: made.home, cwd: folder });
      assert.is(applied.code, 0, applied.out + applied.err);
      const grouped = JSON.parse((await admin("hosts", "--json")).out) as { record: { groups: string[] } }[];
      assert.equal(
        grouped.map(({ record }) => record.groups.includes("new")),
        [false, false],
      );
    });
    test.after(async () => {
      life.abort();
      for (const agent of agents) await agent.remove();
      await made.stop();
    });

    /** A connection of that home's person, as a command has it. */
    const connect = async (of: string, signal: AbortSignal): Promise<Connection> => {
      const terminal = { stdin: process.stdin, stdout: { write: () => true }, stderr: process.stderr };
      const session = await openSession(
        {
          global: { fleet: undefined, yes: true, kit: undefined, passphrase_file: undefined, not: undefined },
          output: openOutput(terminal, { form: "json", yes: true, no_color: true }),
          terminal,
          ...{ signal, lifetime: signal, asking: signal, now: Date.now, cwd: made.directory, home: of },
        },
        { rank: "viewer" },
      );
      return session.connect();
    };
    const codeOf = (answer: Promise<unknown>) =>
      answer.then(
        () => "none",
        (error: unknown) => (error instanceof FleetError ? error.code : String(error)),
      );
    const refused = async (bus: Bus, published: readonly string[], heard: readonly string[]) => {
      const denied = new Set<string>();
      const stop = bus.onStatus((event) => event.type === "denied" && denied.add(event.subject));
      for (const subject of published) bus.publish(subject, new Uint8Array());
      const ends = heard.map((subject) => bus.subscribe(subject, {}, () => {}));
      await bus.roundTrip();
      await bus.roundTrip();
      stop();
      for (const end of ends) end();
      return [...published, ...heard].filter((subject) => denied.has(subject));
    };

    test("one string lets bob in, with a key of his own, and works once", async () => {
      const ran = await admin(
        "operator",
        "invite",
        "bob",
        "--viewer",
        "--groups",
        "ixp",
        "--for",
        "30d",
        "--json",
      );
      assert.is(ran.code, 0, ran.err);
      invitation = JSON.parse(ran.out).invitation;
      const login = await bob("login", invitation);
      assert.is(login.code, 0, login.err);
      assert.match(login.out, /^lab · bob, viewer of the hosts of ixp, until /);
      assert.match((await bob("whoami")).out, /bob, viewer, until .*\(29 d|30 d/);
      const again = await ctl(["login", invitation], { home: home("mallory") });
      assert.is(again.code, 1);
      assert.match(again.err, /was used: if not by you/);
      const listed = await admin("operator", "list");
      assert.match(listed.out, /^bob +viewer +ixp +\d{4}-/m);
      assert.match((await admin("sessions")).out, /^bob +viewer +ixp/m);
    });

    test("what stands in the string is not his to change", async () => {
      const ran = await admin(
        "operator",
        "invite",
        "eve",
        "--viewer",
        "--groups",
        "ixp",
        "--for",
        "30d",
        "--json",
      );
      const { invitation: claims, token } = readInvitation(JSON.parse(ran.out).invitation);
      for (const other of [
        { ...claims, groups: null },
        { ...claims, ends: claims.ends + 86_400_000 },
        { ...claims, name: "alice" },
      ]) {
        const made_up = await ctl(["login", writeInvitation(other, token)], { home: home("eve") });
        assert.is(made_up.code, 1);
        // The token went with the first attempt.
        assert.match(made_up.err, /Vault answered with an error|was used/);
      }
    });

    test("he sees the hosts of his group, and the others nowhere", async ({ signal }) => {
      const rows = JSON.parse((await bob("hosts", "--json")).out) as Row[];
      assert.equal(
        rows.map(({ name }) => name),
        ["ixp1"],
      );
      const status = await bob("status");
      assert.match(status.out, /ixp1/);
      assert.not.match(status.out + status.err, /core1/);
      const events = await bob("events", "--json");
      assert.is(events.code, 0, events.err);
      assert.match(events.out, /ixp1/);
      assert.not.match(events.out, /core1|"diff"/);
      const connection = await connect(home("bob"), signal);
      assert.equal(await callController(connection, "names", { after: null, limit: 10 }), {
        hosts: [{ name: "ixp1", id: idOf("ixp1") }],
        next: null,
      });
      await callOne(connection, idOf("ixp1"), "health", {});
      assert.is(await codeOf(callOne(connection, idOf("core1"), "health", {})), "BUS_DENIED");
    });

    test("the broker lets him hear and ask that, and refuses the rest", async ({ signal }) => {
      const { bus, id } = await connect(home("bob"), signal);
      const own = [
        ...VIEWER_CTL.map(subjects.ctl),
        ...VIEWER_RPC.map((one) => subjects.rpc(idOf("ixp1"), one)),
      ];
      assert.equal(await refused(bus, own, ["telemetry.*.ixp1.*", `${subjects.inboxPrefix(id)}.>`]), []);
      const beyond = [
        ...Object.keys(RPC).flatMap((one) => [subjects.rpc(idOf("core1"), one), subjects.rpcAll(one)]),
        ...Object.keys(RPC)
          .filter((one) => !(VIEWER_RPC as readonly string[]).includes(one))
          .map((one) => subjects.rpc(idOf("ixp1"), one)),
        ...Object.keys(CONTROL)
          .filter((one) => !(VIEWER_CTL as readonly string[]).includes(one))
          .map(subjects.ctl),
        `$JS.API.DIRECT.GET.DESIRED.${subjects.desired(idOf("ixp1"))}`,
        "$JS.API.DIRECT.GET.TRUST.trust",
        "$JS.API.DIRECT.GET.EVENT",
      ];
      const ears = [
        "telemetry.>",
        "telemetry.*.core1.*",
        "event.>",
        "event.*.ixp1.*",
        "live.>",
        "live.trust",
        "rpc.>",
        "audit.>",
        ">",
      ];
      assert.equal(await refused(bus, beyond, ears), [...beyond, ...ears]);
    });

    test("hosts and controllers refuse his signature by whatever way it comes", async ({ signal }) => {
      const [{ signer }, alice] = await Promise.all([
        connect(home("bob"), signal),
        connect(made.home, signal),
      ]);
      const thief = { bus: alice.bus, signer, now: Date.now };
      assert.is(await codeOf(callOne(thief, idOf("ixp1"), "health", {})), "none");
      assert.is(await codeOf(callOne(thief, idOf("core1"), "health", {})), "NOT_ALLOWED");
      const orders = Object.keys(RPC).filter(
        (one) => one !== "ping" && !(VIEWER_RPC as readonly string[]).includes(one),
      ) as (keyof typeof RPC)[];
      for (const order of orders)
        assert.is(await codeOf(callOne(thief, idOf("ixp1"), order, {} as never)), "NOT_ALLOWED", order);
      const asks = Object.keys(CONTROL).filter(
        (one) => !(VIEWER_CTL as readonly string[]).includes(one),
      ) as (keyof typeof CONTROL)[];
      for (const ask of asks)
        assert.is(await codeOf(callController(thief, ask, {} as never)), "NOT_ALLOWED", ask);
    });

    test("his access to the bus is asked for anew by itself, until he is revoked", async () => {
      const path = join(home("bob"), "lab/session.json");
      const stored = JSON.parse(await readFile(path, "utf8"));
      await writeFile(path, JSON.stringify({ ...stored, jwt_ends: Date.now() }));
      assert.is((await bob("hosts")).code, 0);
      assert.ok(JSON.parse(await readFile(path, "utf8")).jwt_ends > Date.now() + 3_600_000);
      const revoked = await admin("revoke", "bob", "-y");
      assert.is(revoked.code, 0, revoked.err);
      const after = await bob("hosts");
      assert.is.not(after.code, 0);
      await writeFile(path, JSON.stringify({ ...stored, jwt_ends: Date.now() }));
      const renewed = await bob("hosts");
      assert.is(renewed.code, 1);
      assert.match(renewed.err, /revoked/);
    });

    test("a host that is retired is gone from every list, and the folder is told", async ({ signal }) => {
      const ran = await ctl(["host", "retire", "core1", "--why", "rack given up", "-y"], {
        home: made.home,
        cwd: home("folder"),
      });
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.out, /^next +take core1 out of hosts\.yml/m);
      const rows = JSON.parse((await admin("hosts", "--json")).out) as Row[];
      assert.equal(
        rows.map(({ name }) => name),
        ["ixp1"],
      );
      const connection = await connect(made.home, signal);
      const names = await callController(connection, "names", { after: null, limit: 10 });
      assert.equal(names.hosts, [{ name: "ixp1", id: idOf("ixp1") }]);
    });

    test("somebody with a log-in is not invited, and nobody to more than to look on", async () => {
      const self = await admin("operator", "invite", "alice", "--viewer", "--for", "1d");
      assert.match(self.err, /alice has a log-in as admin/);
      for (const words of [
        ["--for", "1d"],
        ["--viewer"],
        ["--viewer", "--for", "400d"],
        ["--viewer", "--for", "1d", "--groups", "a b"],
      ])
        assert.is((await admin("operator", "invite", "carol", ...words)).code, 2, words.join(" "));
    });
  },
  { limit_ms: 60_000 },
);
