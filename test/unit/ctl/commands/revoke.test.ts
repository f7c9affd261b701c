/**
 * `ctl revoke` on a real Vault, broker, controller and agent: a host, a person, a program's credential and one log-in are each out on every plane, in
 * less than a second, and stay out when `ctl init` is run again.
 */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Bus, connectBus } from "@muster/ports/bus";
import { openVault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { nkeyFromSeed, signEd25519 } from "@muster/protocol/nkey";
import { subjects } from "@muster/protocol/subjects";
import * as assert from "uvu/assert";
import { connectAs } from "../../../../packages/ctl/src/fleet/broker-setup.ts";
import { connections, kick } from "../../../../packages/ctl/src/revoke/connections.ts";
import { makeAgent, type TestAgent } from "../../../kit/agent.ts";
import { eventually } from "../../../kit/eventually.ts";
import { assertWithin, measured } from "../../../kit/figures.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made, PASSWORD } from "../made.ts";
import { ctl } from "../terminal.ts";

const run = promisify(execFile);
const BOBS = "another long password";

type Step = { step: string; what: string; changed: boolean; took_ms: number; error: { code: string } | null };

suite(
  "ctl revoke",
  (test) => {
    const life = new AbortController();
    const controller = new AbortController();
    let made: Made;
    let agent: TestAgent;
    let broker_ca: string;
    const file = (name: string) => join(made.directory, name);
    const admin = (...words: string[]) => ctl(words, { home: made.home });
    const bob = (...words: string[]) => ctl(words, { home: file("bob") });

    test.before(async () => {
      made = await emptyGround(life.signal);
      await made.init();
      await made.startBroker();
      const ran = await made.init();
      assert.is(ran.code, 0, ran.err);
      await made.startController(controller.signal);
      assert.is((await ctl(["login"], { home: made.home, answers: [PASSWORD] })).code, 0);
      broker_ca = JSON.parse(await readFile(join(made.home, "lab/fleet.json"), "utf8")).broker_ca;
      await writeFile(file("bobs"), `${BOBS}\n`);
      const words = ["operator", "add", "bob", "--rank", "operator", "--password-file", file("bobs")];
      assert.is((await admin(...words)).code, 0);
      agent = await makeAgent("ixp1");
    });
    test.after(async () => {
      controller.abort();
      life.abort();
      await agent.remove();
      await made.stop();
    });

    /** Runs it, and gives its steps by name; each must have taken less than a second. */
    const revoke = async (words: string[], code = 0): Promise<Map<string, Step>> => {
      const ran = await admin("revoke", ...words, "-y", "--json");
      assert.is(ran.code, code, ran.err);
      const { steps } = JSON.parse(ran.out) as { steps: Step[] };
      for (const { step, what, took_ms } of steps) console.log(`    ${step}: ${what} (${took_ms} ms)`);
      return new Map(steps.map((step) => [step.step, step]));
    };
    const closedIn = (step: Step | undefined) => Number(/closed after (\d+) ms/.exec(step?.what ?? "")?.[1]);
    const connectWith = (seed: string, jwt: string, signal: AbortSignal): Promise<Bus> => {
      const key = nkeyFromSeed(seed);
      return connectBus(
        {
          servers: [made.address],
          ca_pem: broker_ca,
          name: "test",
          inbox_prefix: subjects.inboxPrefix(key.public),
          credentials: () => ({ jwt, sign: (nonce) => signEd25519(key.key, nonce) }),
          first_connect: "once",
        },
        signal,
      );
    };
    const sessionOf = async (home: string) =>
      JSON.parse(await readFile(join(home, "lab/session.json"), "utf8")) as {
        seed: string;
        user_jwt: string;
        vault_token: string;
      };
    const codeOf = (answer: Promise<unknown>) =>
      answer.then(
        () => "none",
        (error: unknown) => (error instanceof FleetError ? error.code : String(error)),
      );

    test("a credential of a program hears, is listed, and is no secret on a terminal", async ({ signal }) => {
      const ran = await admin("creds", "telegraf", "--viewer", "--for", "90d");
      assert.is(ran.code, 0, ran.err);
      const [, jwt = "", seed = ""] = /JWT-+\n(\S+)\n[\s\S]*SEED-+\n(\S+)\n/.exec(ran.out) ?? [];
      const bus = await connectWith(seed, jwt, signal);
      const denied: string[] = [];
      bus.onStatus((event) => event.type === "denied" && denied.push(event.subject));
      bus.subscribe("telemetry.>", {}, () => {});
      bus.subscribe("event.>", {}, () => {});
      await bus.roundTrip();
      assert.equal(denied, []);
      bus.subscribe("desired.>", {}, () => {});
      bus.publish(subjects.rpcAll("exec"), new Uint8Array());
      await bus.roundTrip();
      await eventually(() => assert.equal(denied.sort(), ["desired.>", "rpc.all.exec"]));
      const listed = JSON.parse((await admin("creds", "--json")).out);
      assert.is(listed.length, 1);
      assert.is(listed[0].name, "telegraf");
      assert.is(listed[0].given_by, "alice");
      assert.not.match(JSON.stringify(listed), new RegExp(seed));
      const events = JSON.parse((await admin("events", "--json")).out);
      assert.match(JSON.stringify(events), /alice made a viewer's credential for telegraf/);

      const by_hand = await ctl(["creds", "other", "--viewer", "--for", "1d"], {
        home: made.home,
        tty: true,
      });
      assert.is(by_hand.code, 2);
      assert.match(by_hand.err, /not shown on a terminal/);
      for (const words of [["--for", "1d"], ["--viewer"], ["--viewer", "--for", "367d"]])
        assert.is((await admin("creds", "other", ...words)).code, 2, words.join(" "));
      const bobs = await admin("creds", "bob", "--viewer", "--for", "1d");
      assert.match(bobs.err, /bob is a person/);

      const steps = await revoke(["telegraf", "--why", "it leaked"]);
      assert.equal([...steps.keys()], ["bus", "records"]);
      assertWithin(closedIn(steps.get("bus")), 1_000, steps.get("bus")?.what);
      await eventually(() => assert.not.ok(bus.connected));
      assert.is(await codeOf(connectWith(seed, jwt, signal)), "NOT_LOGGED_IN");
      const again = await revoke(["telegraf"]);
      assert.ok([...again.values()].every(({ changed }) => !changed));
    });

    test("a host is off the bus, gets nothing more, and its name stays taken", async () => {
      const joined = await admin("join", "ixp1", "--group", "ixp");
      assert.is(joined.code, 0, joined.err);
      await agent.write("etc/muster/join", joined.out);
      agent.start();
      const known = async () =>
        JSON.parse((await admin("hosts", "--json")).out) as { record: { id: string } }[];
      await eventually(async () => assert.is((await known()).length, 1), 20_000);
      const record = (await known())[0]?.record as
        | { id: string; ssh_public_key: string; name: string }
        | undefined;
      // A record stands there before its agent listens.
      await eventually(async () => assert.is((await admin("rpc", "ping")).code, 0), 20_000);

      const steps = await revoke(["ixp1", "--why", "stolen"]);
      assert.equal([...steps.keys()].sort(), ["bus", "records", "ssh", "vault"]);
      assert.match(steps.get("bus")?.what ?? "", /1 connection closed/);
      assertWithin(closedIn(steps.get("bus")), 1_000, steps.get("bus")?.what);
      assert.equal(await known(), []);
      const again = await revoke(["ixp1"]);
      assert.ok(
        [...again.values()].every(({ changed }) => !changed),
        JSON.stringify([...again]),
      );

      // Neither its own key brings it back, nor another machine under its name.
      await eventually(() => assert.match(agent.output(), /the broker refused the credentials/), 20_000);
      const string = await admin("join", "ixp1", "--group", "ixp");
      const other = await makeAgent("ixp1");
      await other.write("etc/muster/join", string.out);
      other.start();
      await eventually(
        () => assert.match(other.output(), /ixp1 is enrolled with another key/),
        20_000,
      ).finally(() => other.remove());
      assert.equal(await known(), []);

      // OpenSSH itself reads the list that the bundle carries now.
      const profile = await readFile(join(made.home, "lab/fleet.json"), "utf8");
      const { bundle } = JSON.parse(profile);
      await writeFile(file("krl"), Buffer.from(bundle.ssh_krl, "base64"));
      await writeFile(file("host.pub"), `${record?.ssh_public_key}\n`);
      const query = await run("ssh-keygen", ["-Q", "-f", file("krl"), file("host.pub")]).catch(
        (error) => error,
      );
      assert.match(String(query.stdout), /REVOKED/);
    });

    test("a person is out of the bus, of Vault and of what is signed, and `ctl init` takes none of it back", async ({
      signal,
    }) => {
      const login = () => ctl(["login", "bob", "--password-file", file("bobs")], { home: file("bob") });
      const profile = JSON.parse(await readFile(join(made.home, "lab/fleet.json"), "utf8"));
      const target = `bob@${made.address}#${profile.anchor}`;
      const first = await ctl(["login", target, "--password-file", file("bobs")], { home: file("bob") });
      assert.is(first.code, 0, first.err);
      const { seed, user_jwt, vault_token } = await sessionOf(file("bob"));
      const bus = await connectWith(seed, user_jwt, signal);
      const vault = openVault(
        { addresses: [made.vault.address], ca_pem: made.vault.ca_pem },
        signal,
      ).withToken(vault_token);
      await vault.lookupSelf();
      const seen = await admin("sessions");
      assert.match(seen.out, /^bob +operator/m);

      const began = performance.now();
      const revoking = revoke(["bob", "--why", "left"]);
      await eventually(async () => assert.is(await codeOf(vault.lookupSelf()), "VAULT_DENIED"), 5_000);
      const refused_ms = Math.round(performance.now() - began);
      const steps = await revoking;
      measured("revoke: a live connection is closed after", `${closedIn(steps.get("bus"))} ms`);
      measured("revoke: Vault refuses what was logged in, ctl included, after", `${refused_ms} ms`);
      assertWithin(steps.get("vault")?.took_ms ?? 9_999, 1_000);
      assertWithin(closedIn(steps.get("bus")), 1_000, steps.get("bus")?.what);
      assert.not.ok(bus.connected);
      const asked = await bob("hosts");
      assert.is.not(asked.code, 0);
      assert.is((await login()).code, 1);

      // What the accounts say changes with a release of ours; who is void does not.
      const before = await accounts();
      assert.is(Object.keys(before).length, 3, "program, host, bob");
      const init = await made.init(["--address", `[::1]:${made.address.split(":")[1]}`]);
      assert.is(init.code, 0, init.err);
      assert.equal(await accounts(), before);
      assert.is(await codeOf(connectWith(seed, user_jwt, signal)), "NOT_LOGGED_IN");
      // The bundle with the new address goes on from the one that voids bob, and reaches everybody.
      assert.is((await admin("hosts")).code, 0);
      const { bundle } = JSON.parse(await readFile(join(made.home, "lab/fleet.json"), "utf8"));
      assert.ok(
        bundle.brokers.some((broker: string) => broker.startsWith("[::1]")),
        bundle.brokers.join(),
      );
      assert.ok(bundle.voided.some((entry: { name?: string }) => entry.name === "bob"));
      const state = JSON.parse(await readFile(join(made.out, "fleet.json"), "utf8"));
      const body = state.account_jwts[state.accounts.fleet].split(".")[1];
      assert.equal(JSON.parse(Buffer.from(body, "base64url").toString()).nats.revocations, before);

      const add = await admin("operator", "add", "bob", "--rank", "operator");
      assert.is(add.code, 0, add.err);
      assert.match(add.out, /taken up again/);
      await login();
      assert.is(await codeOf(connectWith(seed, user_jwt, signal)), "NOT_LOGGED_IN", "the old log-in");
    });

    test("one log-in ends by its key, and nobody revokes himself", async ({ signal }) => {
      const own = await admin("revoke", "alice", "-y");
      assert.is(own.code, 1);
      assert.match(own.err, /this is you/);
      const other = file("alice-elsewhere");
      const profile = JSON.parse(await readFile(join(made.home, "lab/fleet.json"), "utf8"));
      const target = `alice@${made.address}#${profile.anchor}`;
      const login = await ctl(["login", target], { home: other, answers: [PASSWORD] });
      assert.is(login.code, 0, login.err);
      const { seed, user_jwt } = await sessionOf(other);
      const id = nkeyFromSeed(seed).public;
      const steps = await revoke([id]);
      assert.equal([...steps.keys()].sort(), ["bus", "records", "signatures"]);
      assert.is(await codeOf(connectWith(seed, user_jwt, signal)), "NOT_LOGGED_IN");
      assert.is((await admin("hosts")).code, 0, "the log-in here goes on");
    });

    test("a connection that should not be there is closed by hand", async ({ signal }) => {
      const { seed, user_jwt } = await sessionOf(made.home);
      const bus = await connectWith(seed, user_jwt, signal);
      const lost = new Promise<void>((resolve) => {
        bus.onStatus((event) => event.type === "disconnected" && resolve());
      });
      const { bus: system, account } = await systemBus(signal);
      const { public: key } = nkeyFromSeed(seed);
      const found = await connections(system, account, (one) => one.key === key);
      assert.is(found.length, 1);
      assert.is(found[0]?.name, "alice");
      await Promise.all(found.map((one) => kick(system, one)));
      await lost;
    });

    test("without a controller all the rest is done, what is lacking is named, and the next run finishes it", async () => {
      controller.abort();
      await eventually(async () => assert.is((await admin("hosts")).code, 5), 10_000);
      const steps = await revoke(["bob"], 4);
      assert.equal(
        [...steps.values()]
          .filter(({ error }) => error !== null)
          .map(({ step, error }) => [step, error?.code]),
        [["records", "NO_RESPONDER"]],
      );
      assert.ok(steps.get("signatures")?.changed && steps.get("vault")?.changed);
      const told = await admin("revoke", "bob", "-y");
      assert.match(told.out, /^records +NOT DONE: nobody is there to answer/m);
      assert.match(told.out, /^next +ctl revoke bob/m);
      await made.startController(life.signal);
      assert.is((await revoke(["bob"])).get("records")?.error, null);
    });

    async function systemBus(signal: AbortSignal): Promise<{ bus: Bus; account: string }> {
      const state = JSON.parse(await readFile(join(made.out, "fleet.json"), "utf8"));
      const there = { addresses: [made.address], broker_ca };
      const { system, fleet } = state.accounts;
      const { bus } = await connectAs(there, made.vault.root, "sys-admin", system, Date.now(), signal);
      return { bus, account: fleet };
    }
    async function accounts(): Promise<Record<string, number>> {
      const { heldAccounts } = await import("../../../../packages/ctl/src/fleet/claims.ts");
      const { revocationsOf } = await import("@muster/protocol/jwt");
      const end = new AbortController();
      const { bus, account } = await systemBus(end.signal);
      const held = await heldAccounts(bus);
      await bus.close();
      end.abort();
      return { ...revocationsOf(held.get(account) ?? "") };
    }
  },
  { limit_ms: 60_000 },
);
