/** Keys, requests and the small CA, judged by node:crypto and OpenSSL's own TLS, not by the library that made them. */

import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { issue, type KeyPems, makeCa, makeCsr, makeKey, readCsr } from "@muster/ports/csr";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const HOUR_MS = 3_600_000;

suite("csr port", (test) => {
  test("keys are PKCS#8 and fit their public half", () => {
    for (const type of ["ed25519", "p256"] as const) {
      const pair = makeKey(type);
      assert.match(pair.private_pem, /^-----BEGIN PRIVATE KEY-----/);
      const derived = createPublicKey(createPrivateKey(pair.private_pem)).export({
        type: "spki",
        format: "pem",
      });
      assert.is(derived, pair.public_pem);
    }
  });

  test("requests carry name and addresses and are signed by the key", async () => {
    for (const type of ["ed25519", "p256"] as const) {
      const csr = await makeCsr(makeKey(type).private_pem, {
        common_name: "core1",
        dns_names: ["core1.example.net"],
        ip_addresses: ["192.0.2.1", "2001:db8::1"],
      });
      const text = execFileSync("openssl", ["req", "-noout", "-text", "-verify"], {
        input: csr,
        stdio: ["pipe", "pipe", "ignore"],
      });
      assert.match(String(text), /CN ?= ?core1/);
      assert.match(
        String(text),
        /DNS:core1\.example\.net, IP Address:192\.0\.2\.1, IP Address:2001:DB8:0:0:0:0:0:1/i,
      );
    }
  });

  test("a request is read as OpenSSL reads it, whatever form it has", async () => {
    const [p256, ed25519] = [makeKey("p256"), makeKey("ed25519")];
    const read = async (key: KeyPems, csr: string) => {
      const { public_key, subject, extensions } = await readCsr(csr);
      assert.is(public_key.export({ type: "spki", format: "pem" }), key.public_pem);
      return [subject, ...extensions];
    };
    const long = "a".repeat(63);
    for (const common_name of ["ixp1", long])
      assert.equal(await read(p256, await makeCsr(p256.private_pem, { common_name })), [`CN=${common_name}`]);
    const named = { common_name: "ixp1", dns_names: ["core1.example.net"] };
    assert.equal(await read(p256, await makeCsr(p256.private_pem, named)), ["CN=ixp1", "2.5.29.17"]);
    assert.equal(await read(ed25519, await makeCsr(ed25519.private_pem, { common_name: "ixp1" })), [
      "CN=ixp1",
    ]);
    const directory = mkdtempSync(join(tmpdir(), "muster-csr-"));
    try {
      const file = join(directory, "key.pem");
      writeFileSync(file, p256.private_pem, { mode: 0o600 });
      const byOpenssl = (...args: string[]) =>
        execFileSync("openssl", ["req", "-new", "-key", file, "-sha256", ...args]).toString();
      assert.equal(await read(p256, byOpenssl("-subj", "/CN=ixp1", "-utf8")), ["CN=ixp1"]);
      assert.equal(await read(p256, byOpenssl("-subj", "/O=evil/CN=ixp1")), ["O=evil, CN=ixp1"]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("of a request nothing that is signed can be another, nor its signature", async () => {
    const csr = await makeCsr(makeKey("p256").private_pem, { common_name: "ixp1" });
    const [head = "", tail = ""] = ["BEGIN", "END"].map((word) => `-----${word} CERTIFICATE REQUEST-----`);
    const der = Buffer.from(csr.slice(head.length, csr.indexOf(tail)), "base64");
    await readCsr(`${head}\n${der.toString("base64")}\n${tail}\n`);
    const taken: string[] = [];
    // Its algorithm is named outside of what is signed: another word for the same signature.
    const algorithm = der.lastIndexOf(Buffer.from("300a06082a8648ce3d040302", "hex"));
    for (let at = 0; at < der.length; at += 2) {
      if (at >= algorithm && at < algorithm + 12) continue;
      const other = Buffer.from(der);
      other[at] = (other[at] ?? 0) ^ (1 << (at % 8));
      try {
        await readCsr(`${head}\n${other.toString("base64")}\n${tail}\n`);
        taken.push(`byte ${at}`);
      } catch (error) {
        assert.ok(
          error instanceof FleetError && ["INVALID", "BAD_PROOF"].includes(error.code),
          String(error),
        );
      }
    }
    assert.equal(taken, []);
  });

  test("a server certificate has its names, its uses and its issuer", async () => {
    const ca = await makeCa({ common_name: "broker CA", not_after: Date.now() + 24 * HOUR_MS });
    const root = new X509Certificate(ca.certificate_pem);
    assert.is(root.ca, true);
    const server = await issue(ca, {
      common_name: "nats.example.net",
      dns_names: ["nats.example.net"],
      ip_addresses: ["192.0.2.1", "2001:db8::1"],
      not_after: Date.now() + HOUR_MS,
    });
    const leaf = new X509Certificate(server.certificate_pem);
    assert.is(leaf.ca, false);
    assert.ok(leaf.verify(root.publicKey));
    assert.ok(leaf.checkIssued(root));
    assert.ok(leaf.checkPrivateKey(createPrivateKey(server.private_pem)));
    assert.is(leaf.checkHost("nats.example.net"), "nats.example.net");
    assert.ok(leaf.checkIP("2001:db8::1"));
    assert.equal(leaf.keyUsage, ["1.3.6.1.5.5.7.3.1"]);
    assert.ok(leaf.serialNumber.length <= 40 && !leaf.serialNumber.startsWith("-"));
    assert.is(Math.abs(server.not_after - Date.now() - HOUR_MS) < 2_000, true);
    const text = String(execFileSync("openssl", ["x509", "-noout", "-text"], { input: ca.certificate_pem }));
    assert.match(text, /CA:TRUE, pathlen:0/);
    assert.match(text, /Certificate Sign, CRL Sign/);
    const leaf_text = String(
      execFileSync("openssl", ["x509", "-noout", "-text"], { input: server.certificate_pem }),
    );
    assert.match(leaf_text, /X509v3 Key Usage: critical\s+Digital Signature\n/);
  });

  test("bad names and bad keys are refused, the key unseen", async () => {
    const { private_pem } = makeKey("ed25519");
    const cases: [string, Promise<unknown>][] = [
      ["newline", makeCsr(private_pem, { common_name: "a\nb" })],
      ["long", makeCsr(private_pem, { common_name: "a".repeat(65) })],
      ["dns", makeCsr(private_pem, { common_name: "a", dns_names: ["a b"] })],
      ["address as name", makeCsr(private_pem, { common_name: "a", dns_names: ["192.0.2.1"] })],
      ["address", makeCsr(private_pem, { common_name: "a", ip_addresses: ["fe80::1%eth0"] })],
      ["key", makeCsr("CANARY", { common_name: "a" })],
    ];
    for (const [what, work] of cases) {
      const error = await work.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      assert.instance(error, FleetError, what);
      assert.is((error as FleetError).code, "INVALID");
      assert.not.match(String((error as FleetError).stack), /CANARY/);
    }
  });
});
