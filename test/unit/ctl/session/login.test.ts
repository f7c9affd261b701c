/** Log-ins on a real Vault and a real broker, without a controller: by password, asked for when needed, with the recovery kit, and what is refused. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { pki } from "@muster/ports/pki";
import { openVault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { openJoinString, splitJoinString } from "@muster/protocol/join";
import { TrustBundle, verifierOf } from "@muster/protocol/trust";
import * as assert from "uvu/assert";
import { openOutput } from "../../../../packages/ctl/src/output/output.ts";
import type { Context } from "../../../../packages/ctl/src/program/context.ts";
import { openSession } from "../../../../packages/ctl/src/session/session.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made, PASSPHRASE, PASSWORD } from "../made.ts";
import { ctl } from "../terminal.ts";

suite(
  "ctl login and sessions",
  (test) => {
    const life = new AbortController();
    let made: Made;
    test.before(async () => {
      made = await emptyGround(life.signal);
      await made.init();
      await made.startBroker();
      const ran = await made.init();
      assert.is(ran.code, 0, ran.err);
    });
    test.after(async () => {
      life.abort();
      await made.stop();
    });
    const file = (name: string) => join(made.directory, name);
    const terminal = {
      stdin: process.stdin,
      stdout: { write: () => true },
      stderr: Object.assign(process.stderr, {}),
    };
    const contextOf = (signal: AbortSignal, kit?: string): Context => ({
      global: {
        fleet: undefined,
        yes: true,
        kit,
        passphrase_file: kit === undefined ? undefined : file("passphrase"),
        not: undefined,
      },
      output: openOutput(terminal, { form: "json", yes: true, no_color: true }),
      terminal,
      signal,
      lifetime: signal,
      asking: signal,
      now: Date.now,
      cwd: made.directory,
      home: made.home,
    });

    test("says what to type when nobody is logged in", async () => {
      const ran = await ctl(["whoami"], { home: made.home });
      assert.is(ran.code, 1);
      assert.match(ran.err, /ctl login alice/);
      const empty = await ctl(["whoami"], { home: file("nowhere") });
      assert.match(empty.err, /ctl login NAME@ADDRESS#ANCHOR/);
    });

    test("refuses a wrong password", async () => {
      const ran = await ctl(["login", "alice"], { home: made.home, answers: ["wrong"] });
      assert.is(ran.code, 1, ran.err);
      assert.match(ran.err, /Vault refused/);
      assert.not.match(ran.err, /wrong/);
    });

    test("logs in by password without a controller, since alice is admin", async () => {
      const ran = await ctl(["login"], { home: made.home, answers: [PASSWORD] });
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.out, /^lab · alice, admin, until .* \(8 h|7 h 59 min\)/);
      const path = join(made.home, "lab/session.json");
      assert.is((await stat(path)).mode & 0o777, 0o600);
      const who = await ctl(["whoami", "--json"], { home: made.home });
      assert.is(JSON.parse(who.out).rank, "admin");
    });

    test("keeps the key that signs apart from the key of the bus", async () => {
      const session = await openSession(contextOf(life.signal), { rank: "admin" });
      const { bus, id } = await session.connect();
      assert.ok(bus.connected);
      assert.is(session.bundle.version, 1);
      assert.match(id, /^U/);
      await bus.close();
    });

    test("takes a newer trust bundle by the admin's signature, and the new addresses with it", async () => {
      const port = made.address.split(":")[1];
      const ran = await made.init(["--address", `[::1]:${port}`]);
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.out, /^copy +.*nats has changed/m);
      const session = await openSession(contextOf(life.signal), { rank: "admin" });
      const { bus } = await session.connect();
      assert.is(session.bundle.version, 2);
      assert.ok(session.bundle.brokers.includes(`[::1]:${port}`));
      await bus.close();
    });

    test("refuses a fleet's name that leaves its place", async () => {
      const ran = await ctl(["whoami", "--fleet", "../lab"], { home: made.home });
      assert.is(ran.code, 2);
      assert.match(ran.err, /--fleet "..\/lab": must be/);
    });

    test("gives alice a certificate for alice and none for bob", async () => {
      const open = openVault({ addresses: [made.vault.address], ca_pem: made.vault.ca_pem }, life.signal);
      const vault = await open.loginUserpass("alice", PASSWORD);
      const csr = await makeCsr(makeKey("ed25519").private_pem, { common_name: "bob" });
      for (const common_name of ["bob", "*", "kit", "alice.bob", ""]) {
        try {
          await pki(vault).signCsr("operators", "admin", csr, { common_name, ttl_s: 60 });
          assert.unreachable(`signed for ${common_name}`);
        } catch (error) {
          assert.ok(error instanceof FleetError && error.code === "VAULT_REFUSED", String(error));
        }
      }
      // A CSR that asks for bob, signed for alice, becomes alice's.
      const signed = await pki(vault).signCsr("operators", "admin", csr, { common_name: "alice", ttl_s: 60 });
      assert.not.match(signed.certificate_pem, /bob/);
    });

    test("makes bob an operator, who is less than an admin", async () => {
      await writeFile(file("bobs"), "another long password\n");
      const add = await ctl(
        ["operator", "add", "bob", "--rank", "operator", "--password-file", file("bobs")],
        { home: made.home },
      );
      // No controller runs: what has to go over the bus is left, and said.
      assert.is(add.code, 4, add.err);
      assert.match(add.err, /NOT DONE: the audit does not say so\nnext {3}the same line again/);
      const open = openVault({ addresses: [made.vault.address], ca_pem: made.vault.ca_pem }, life.signal);
      const vault = await open.loginUserpass("bob", "another long password");
      const csr = await makeCsr(makeKey("ed25519").private_pem, { common_name: "bob" });
      await pki(vault).signCsr("operators", "operator", csr, { common_name: "bob", ttl_s: 60 });
      for (const path of [
        "operators/sign/admin",
        "operators/sign/kit",
        "transit/sign/operator-signing",
        "transit/sign/fleet-operator",
        "identity/entity/name/bob",
      ]) {
        try {
          await vault.write(path, { csr, common_name: "bob", policies: "muster-admin" });
          assert.unreachable(path);
        } catch (error) {
          assert.ok(
            error instanceof FleetError && error.code === "VAULT_DENIED",
            `${path}: ${String(error)}`,
          );
        }
      }
      const list = await ctl(["operator", "list", "--json"], { home: made.home });
      assert.equal(JSON.parse(list.out), [
        { name: "alice", rank: "admin", disabled: false, guest: null, logins: ["password"] },
        { name: "bob", rank: "operator", disabled: false, guest: null, logins: ["password"] },
      ]);
    });

    test("an admin gives no policy that is not the fleet's", async () => {
      const open = openVault({ addresses: [made.vault.address], ca_pem: made.vault.ca_pem }, life.signal);
      const vault = await open.loginUserpass("alice", PASSWORD);
      for (const policies of ["root-like", "muster-admin,other", ["muster-admin", "other"]]) {
        try {
          await vault.write("identity/entity/name/mallory", { policies });
          assert.unreachable(String(policies));
        } catch (error) {
          assert.ok(error instanceof FleetError && error.code === "VAULT_DENIED", String(error));
        }
      }
    });

    test("a disabled person is out at once, and comes back by `add`", async () => {
      const disabled = await ctl(["operator", "disable", "bob", "-y"], { home: made.home });
      assert.is(disabled.code, 4, disabled.err);
      assert.match(
        disabled.out,
        /^vault +can neither log in[\s\S]*^records +NOT DONE: nobody is there to answer/m,
      );
      const open = openVault({ addresses: [made.vault.address], ca_pem: made.vault.ca_pem }, life.signal);
      try {
        await open.loginUserpass("bob", "another long password");
        assert.unreachable("bob logged in");
      } catch (error) {
        assert.ok(error instanceof FleetError && error.code === "VAULT_DENIED", String(error));
      }
      assert.is((await ctl(["operator", "add", "bob", "--rank", "viewer"], { home: made.home })).code, 4);
      await open.loginUserpass("bob", "another long password");
    });

    test("signs join strings that the trust bundle proves", async () => {
      const ran = await ctl(
        ["join", "ixp1", "probe1", "--group", "ixp", "--network", "192.0.2.0/24", "--json"],
        { home: made.home },
      );
      assert.is(ran.code, 0, ran.err);
      const { strings } = JSON.parse(ran.out);
      const signed = (row: { join: string }) => splitJoinString(row.join).join;
      assert.ok(splitJoinString(strings[0].join).vault_token, "a token for its own log-in at Vault");
      const bundle = TrustBundle.parse(
        JSON.parse(await readFile(join(made.home, "lab/fleet.json"), "utf8")).bundle,
      );
      const { claims, by } = openJoinString(signed(strings[1]), verifierOf(bundle), Date.now());
      assert.is(by, "alice");
      assert.is(claims.name, "probe1");
      assert.equal(claims.networks, ["192.0.2.0/24"]);
      assert.ok(claims.not_after - Date.now() <= 15 * 60_000);
      assert.is.not(openJoinString(signed(strings[0]), verifierOf(bundle), Date.now()).claims.id, claims.id);
    });

    test("asks for the log-in when it has ended, and goes on", async () => {
      const later = () => Date.now() + 9 * 3_600_000;
      const quiet = await ctl(["join", "ixp1"], { home: made.home, now: later });
      assert.is(quiet.code, 1);
      assert.match(quiet.err, /the log-in of alice has ended[\s\S]*ctl login alice/);
      await ctl(["logout"], { home: made.home });
      const asked = await ctl(["join", "ixp1"], { home: made.home, answers: [PASSWORD] });
      assert.is(asked.code, 0, asked.err);
      assert.match(asked.out, /^mj1\./);
    });

    test("goes on with the recovery kit while Vault is sealed", async () => {
      await ctl(["logout"], { home: made.home });
      await made.vault.seal();
      const sealed = await ctl(["login", "alice"], { home: made.home, answers: [PASSWORD] });
      assert.is(sealed.code, 5, sealed.err);
      assert.match(sealed.err, /--kit FILE/);
      const kit = file("lab.kit");
      const ran = await ctl(["join", "ixp1", "--kit", kit, "--passphrase-file", file("passphrase")], {
        home: file("other-machine"),
      });
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.err, /every host logs that it was used/);
      const wrong = await ctl(["join", "ixp1", "--kit", kit], {
        home: made.home,
        answers: [`${PASSPHRASE}!`],
      });
      assert.is(wrong.code, 1);
      assert.match(wrong.err, /does not open the recovery kit/);
      const session = await openSession(contextOf(life.signal, kit), { rank: "admin" });
      assert.ok(session.kit);
      const { bus } = await session.connect();
      const bundle = TrustBundle.parse(session.bundle);
      const der = "certificate" in session.signer ? session.signer.certificate : "";
      const { principal } = verifierOf(bundle).certificates.read(der, Date.now());
      assert.is(principal.rank, "admin");
      assert.ok(principal.kit);
      await bus.close();
      await made.vault.unseal();
    });
  },
  { limit_ms: 60_000 },
);
