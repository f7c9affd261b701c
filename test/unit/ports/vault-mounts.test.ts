/** Transit, PKI and SSH verbs on a real Vault; the results judged by node:crypto and ssh-keygen. */
import { execFileSync } from "node:child_process";
import { verify, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { pki } from "@muster/ports/pki";
import { sshCa } from "@muster/ports/sshca";
import { transit } from "@muster/ports/transit";
import { openVault, type Vault, type VaultPath } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { publicKeyObject } from "@muster/protocol/nkey";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";
import { startVault, type VaultServer } from "../../kit/vault.ts";

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FleetError) return error.code;
    throw error;
  }
  return "no error";
}

suite(
  "vault mounts",
  (test) => {
    const life = new AbortController();
    let server: VaultServer;
    let root: Vault;
    let anonymous: Vault;

    test.before(async () => {
      server = await startVault(life.signal);
      root = server.root;
      anonymous = openVault({ addresses: [server.address], ca_pem: server.ca_pem }, life.signal);
      for (const type of ["transit", "pki", "ssh"]) await root.write(["sys", "mounts", type], { type });
    });
    test.after(async () => {
      life.abort();
      await server.stop();
    });

    test("transit: makes a key once, signs raw Ed25519", async () => {
      const keys = transit(root);
      assert.is(await code(keys.publicKey("role")), "VAULT_NOT_FOUND");
      const raw = await keys.createKey("role");
      assert.equal(await keys.createKey("role"), raw);
      const text = Buffer.from("header.claims");
      const signature = await keys.signEd25519("role", text);
      assert.is(signature.length, 64);
      assert.ok(verify(null, text, publicKeyObject(raw), signature));
      assert.not.ok(verify(null, Buffer.from("header.other"), publicKeyObject(raw), signature));
      await root.write("transit/keys/rsa", { type: "rsa-2048" });
      assert.is(await code(keys.createKey("rsa")), "CONFLICT");
      assert.is(await code(root.write("transit/export/signing-key/role", {})), "VAULT_REFUSED");
    });

    test("transit: what many want signed at once goes in two requests, and each gets its own signature", async () => {
      let asked = 0;
      const counted = {
        ...root,
        write: ((path: VaultPath, ...rest: [object]) => {
          asked++;
          return root.write(path, ...rest);
        }) as Vault["write"],
      };
      const keys = transit(counted);
      const raw = await keys.createKey("many");
      const texts = Array.from({ length: 20 }, (_, at) => Buffer.from(`claims ${at}`));
      asked = 0;
      const signatures = await Promise.all(texts.map((text) => keys.signEd25519("many", text)));
      assert.is(asked, 2);
      const key = publicKeyObject(raw);
      for (const [at, text] of texts.entries())
        assert.ok(verify(null, text, key, signatures[at] ?? Buffer.alloc(0)), String(at));
      const none = await Promise.all(texts.map((text) => code(keys.signEd25519("no-key", text))));
      assert.equal(new Set(none), new Set(["VAULT_REFUSED"]));
      assert.is((await keys.signEd25519("many", Buffer.from("later"))).length, 64);
    });

    test("pki: signs a request for the names that the role allows", async () => {
      const certificates = pki(root);
      assert.is(await code(pki(anonymous).caCertificate("pki")), "VAULT_NOT_FOUND");
      await root.write("pki/root/generate/internal", {
        common_name: "services",
        key_type: "ec",
        key_bits: 256,
        ttl: "720h",
      });
      await root.write("pki/roles/host", {
        allowed_domains: "example.net",
        allow_subdomains: true,
        allow_localhost: false,
        key_type: "any",
        use_csr_sans: false,
        use_csr_common_name: false,
        no_store: true,
        max_ttl: "720h",
      });
      const key = makeKey("p256");
      const csr = await makeCsr(key.private_pem, {
        common_name: "ignored",
        dns_names: ["smuggled.example.net"],
      });
      const signed = await certificates.signCsr("pki", "host", csr, {
        common_name: "core1.example.net",
        alt_names: ["core1.example.net"],
        ip_sans: ["2001:db8::1"],
        ttl_s: 3_600,
      });
      const leaf = new X509Certificate(signed.certificate_pem);
      const ca = new X509Certificate(await pki(anonymous).caCertificate("pki"));
      assert.ok(leaf.verify(ca.publicKey));
      assert.is(leaf.subject, "CN=core1.example.net");
      assert.equal(leaf.subjectAltName, "DNS:core1.example.net, IP Address:2001:DB8:0:0:0:0:0:1");
      assert.is(signed.not_after, Date.parse(leaf.validTo));
      assert.is(signed.serial.replaceAll(":", "").toUpperCase(), leaf.serialNumber);
      assert.is(new X509Certificate(signed.ca_chain[0] ?? "").fingerprint256, ca.fingerprint256);
      const other = { common_name: "core1.example.org", ttl_s: 60 };
      assert.is(await code(certificates.signCsr("pki", "host", csr, other)), "VAULT_REFUSED");
      const two = { common_name: "a.example.net", alt_names: ["a.example.net,b.example.net"], ttl_s: 60 };
      assert.is(await code(certificates.signCsr("pki", "host", csr, two)), "INVALID");
      assert.is(await code(certificates.signCsr("pki", "../../sys", csr, other)), "INVALID");
    });

    test("ssh: signs a host key that ssh-keygen reads", async () => {
      const directory = mkdtempSync(join(tmpdir(), "muster-ssh-"));
      try {
        await root.write("ssh/config/ca", { generate_signing_key: true, key_type: "ed25519" });
        await root.write("ssh/roles/host", {
          key_type: "ca",
          allow_host_certificates: true,
          allowed_domains: "*",
          allow_bare_domains: true,
          allow_subdomains: true,
          max_ttl: "720h",
        });
        const key = join(directory, "key");
        execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key]);
        const ca = sshCa(root);
        const public_key = readFileSync(`${key}.pub`, "utf8").trim();
        const line = await ca.signHostKey("ssh", "host", public_key, ["core1.example.net", "core1"], 3_600);
        writeFileSync(`${key}-cert.pub`, `${line}\n`);
        const shown = String(execFileSync("ssh-keygen", ["-L", "-f", `${key}-cert.pub`]));
        assert.match(shown, /host certificate/);
        assert.match(shown, /core1\.example\.net\n\s+core1\n|core1\n\s+core1\.example\.net\n/);
        const ca_line = await sshCa(anonymous).caPublicKey("ssh");
        writeFileSync(join(directory, "ca.pub"), `${ca_line}\n`);
        const print =
          String(execFileSync("ssh-keygen", ["-l", "-f", join(directory, "ca.pub")])).split(" ")[1] ?? "?";
        assert.ok(shown.includes(print), "signed by the CA");
        assert.is(await code(ca.signHostKey("ssh", "host", public_key, [], 60)), "INVALID");
        assert.is(await code(ca.signHostKey("ssh", "host", public_key, ["a,b"], 60)), "INVALID");
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  },
  { limit_ms: 60_000 },
);
