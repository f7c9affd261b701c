/** `ctl init` on a real, empty Vault and with a real broker: from nothing to a fleet, and again without a change. */
import { X509Certificate } from "node:crypto";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { pki } from "@muster/ports/pki";
import { openVault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import * as z from "zod";
import { connectSetUp } from "../../../../packages/ctl/src/fleet/broker-setup.ts";
import { MadeFleet } from "../../../../packages/ctl/src/fleet/state.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made } from "../made.ts";
import { ctl } from "../terminal.ts";

async function failure(answer: Promise<unknown>): Promise<FleetError> {
  try {
    await answer;
  } catch (error) {
    if (error instanceof FleetError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

suite(
  "ctl init",
  (test) => {
    const life = new AbortController();
    let made: Made;
    test.before(async () => {
      made = await emptyGround(life.signal);
    });
    test.after(async () => {
      life.abort();
      await made.stop();
    });

    test("makes everything but the streams, with no broker yet", async () => {
      const ran = await made.init();
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.out, /^lab · alice\n/);
      assert.match(ran.out, /not running yet/);
      assert.match(ran.out, /^kit +.*lab\.kit rebuilds the fleet/m);
    });

    test("finishes when the broker runs, and then changes nothing", async () => {
      await made.startBroker();
      const second = await made.init(["--json"]);
      assert.is(second.code, 0, second.err);
      const { changed, broker } = JSON.parse(second.out);
      assert.is(broker, "running");
      assert.ok(changed.includes("stream DESIRED") && changed.includes("trust bundle 1"), changed.join());
      const third = await made.init();
      assert.is(third.code, 0, third.err);
      assert.match(third.out, /nothing: the fleet is as it should be/);
    });

    test("brings streams of an older fleet to what they are now, and loses nothing of them", async () => {
      const state = MadeFleet.parse(JSON.parse(await readFile(join(made.out, "fleet.json"), "utf8")));
      const { bus } = await connectSetUp(state, [made.address], made.vault.root, Date.now(), life.signal);
      const api = async (verb: string, name: string, body: object) => {
        const answer = await bus.request(
          `$JS.API.STREAM.${verb}.${name}`,
          Buffer.from(JSON.stringify(body)),
          {
            timeout_ms: 5_000,
          },
        );
        const said = JSON.parse(Buffer.from(answer.body).toString());
        assert.is(said.error, undefined, JSON.stringify(said.error));
        return said.config as Record<string, unknown>;
      };
      // As they were before records of accesses, contents by hash, and so many events.
      await api("DELETE", "KV_access", {});
      const { allow_msg_ttl, subject_delete_marker_ttl, ...blob } = await api("INFO", "BLOB", {});
      await api("DELETE", "BLOB", {});
      await api("CREATE", "BLOB", { ...blob, discard: "old" });
      await api("UPDATE", "EVENT", { ...(await api("INFO", "EVENT", {})), max_msgs_per_subject: 10 });
      const trust = await bus.directGet("TRUST", "trust");
      const ran = await made.init(["--json"]);
      assert.is(ran.code, 0, ran.err);
      assert.equal(JSON.parse(ran.out).changed.sort(), ["stream BLOB", "stream EVENT", "stream KV_access"]);
      const now = await api("INFO", "BLOB", {});
      assert.equal([now.discard, now.allow_msg_ttl], ["new", true]);
      assert.is((await api("INFO", "EVENT", {})).max_msgs_per_subject, 10_000);
      assert.is((await bus.directGet("TRUST", "trust"))?.seq, trust?.seq);
      await bus.close();
      assert.equal(JSON.parse((await made.init(["--json"])).out).changed, []);
    });

    test("writes every file for its reader only, and no secret outside of its own file", async () => {
      const files = await readdir(made.out, { recursive: true, withFileTypes: true });
      for (const file of files.filter((file) => file.isFile())) {
        const { mode } = await stat(join(file.parentPath, file.name));
        assert.is(mode & 0o077, 0, `${file.name} has mode ${(mode & 0o777).toString(8)}`);
      }
      assert.is((await stat(join(made.directory, "lab.kit"))).mode & 0o777, 0o600);
      const kit = await readFile(join(made.directory, "lab.kit"), "utf8");
      assert.not.match(kit, /PRIVATE KEY|"SO|"SA/);
      const state = await readFile(join(made.out, "fleet.json"), "utf8");
      assert.not.match(state, /PRIVATE KEY|"S[OAU][A-Z2-7]{50}/);
    });

    test("leaves the keys to Vault: none of them can be taken out", async () => {
      for (const key of ["operator-signing", "fleet-agent", "sys-admin"]) {
        const error = await failure(made.vault.root.read(`transit/export/signing-key/${key}`, z.unknown()));
        assert.is(error.code, "VAULT_REFUSED");
      }
    });

    test("lets the controller sign for hosts, and do nothing else", async () => {
      const read = async (name: string) =>
        (await readFile(join(made.out, "controller", name), "utf8")).trim();
      const open = openVault({ addresses: [made.vault.address], ca_pem: made.vault.ca_pem }, life.signal);
      const vault = await open.loginAppRole(await read("role_id"), await read("secret_id"));
      const input = Buffer.from("x").toString("base64");
      for (const role of ["agent", "controller", "operator", "viewer"]) {
        await vault.write(`transit/sign/fleet-${role}`, { input });
      }
      const csr = async (type: "ed25519" | "p256", common_name: string) =>
        makeCsr(makeKey(type).private_pem, { common_name });
      const host = await pki(vault).signCsr("services", "host", await csr("p256", "ixp1"), {
        common_name: "ixp1",
        alt_names: ["ixp1.lab"],
        ttl_s: 30 * 86_400,
      });
      assert.is(new X509Certificate(host.certificate_pem).subjectAltName, "DNS:ixp1, DNS:ixp1.lab");
      const own = await pki(vault).signCsr("controllers", "controller", await csr("ed25519", "controller"), {
        common_name: "controller",
        ttl_s: 86_400,
      });
      assert.match(new X509Certificate(own.certificate_pem).subject, /OU=controller\nCN=controller/);
      const alias = pki(vault).signCsr("controllers", "controller", await csr("ed25519", "alice"), {
        common_name: "alice",
        ttl_s: 3_600,
      });
      assert.is((await failure(alias)).code, "VAULT_REFUSED", "a controller must not be called alice");

      const refused: [string, string][] = [
        ...["operator-signing", "sys-admin", "fleet-setup"].map((key): [string, string] => [
          "POST",
          `transit/sign/${key}`,
        ]),
        ...["viewer", "operator", "admin", "ci", "kit"].map((role): [string, string] => [
          "POST",
          `operators/sign/${role}`,
        ]),
        ...[
          "identity-ca/sign/host",
          "ssh-user/sign/any",
          "services/issue/host",
          "services/sign-verbatim",
          "services/root/sign-intermediate",
        ].map((path): [string, string] => ["POST", path]),
        ["POST", "auth/token/create"],
        ["POST", "auth/approle/role/muster-controller/secret-id"],
        ["POST", "sys/policies/acl/muster-controller"],
        ["POST", "transit/keys/fleet-agent/config"],
        ["POST", "transit/keys/fleet-agent/rotate"],
        ["GET", "kv/data/muster/fleet"],
        ["GET", "kv/data/anything"],
        ["GET", "cubbyhole/x"],
        ["GET", "sys/mounts"],
        ["GET", "identity/entity/name/alice"],
        ["GET", "transit/keys/sys-admin"],
        ["GET", "transit/export/signing-key/fleet-agent"],
      ];
      for (const [verb, path] of refused) {
        const answer = verb === "GET" ? vault.read(path, z.unknown()) : vault.write(path, { input });
        assert.is((await failure(answer)).code, "VAULT_DENIED", `${verb} ${path}`);
      }
    });

    test("goes on with the recovery kit where its files were lost", async () => {
      const anchor = JSON.parse(await readFile(join(made.out, "fleet.json"), "utf8")).anchor;
      await rm(made.out, { recursive: true });
      const ran = await made.init(["--json"]);
      assert.is(ran.code, 0, ran.err);
      assert.is(JSON.parse(ran.out).anchor, anchor);
      const again = await made.init(["--json"]);
      assert.equal(JSON.parse(again.out).changed, []);
    });

    test("leaves another fleet's Vault alone", async () => {
      const before = await made.vault.root.read("operators/roles/admin", z.unknown());
      const other = ["--out", join(made.directory, "other"), "--kit-file", join(made.directory, "other.kit")];
      const ran = await made.init(other, "other");
      assert.is(ran.code, 1, ran.err);
      assert.match(ran.err, /Vault has the CA "CN=lab operators"/);
      assert.equal(await made.vault.root.read("operators/roles/admin", z.unknown()), before);
      const same_folder = await made.init([], "other");
      assert.match(same_folder.err, /holds the fleet lab/);
    });

    test("refuses what it cannot read", async () => {
      const other = await made
        .init(["--json"])
        .then(() =>
          ctl(
            [
              "init",
              "Bad_Name",
              "--admin",
              "a",
              "--vault",
              "https://x",
              "--vault-ca",
              "/none",
              "--vault-token-file",
              "/none",
              "--out",
              made.out,
            ],
            { home: made.home },
          ),
        );
      assert.is(other.code, 2, other.err);
      assert.match(other.err, /fleet/);
      const init = (...args: string[]) =>
        ctl(["init", "lab", "--out", made.out, ...args], { home: made.home });
      const unreached = await init();
      assert.is(unreached.code, 2);
      assert.match(unreached.err, /--address is missing/);
      const missing = await init("--address", "192.0.2.1");
      assert.is(missing.code, 2);
      assert.match(missing.err, /--vault/);
      const half = await init("--address", "192.0.2.1", "--vault", "https://192.0.2.1:8200");
      assert.is(half.code, 2);
      assert.match(half.err, /--vault needs --vault-ca too/);
    });
  },
  { limit_ms: 60_000 },
);
