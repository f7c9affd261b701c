/** Host keys and certificates against OpenSSH's own program. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeSshKey, readSshCertificate, readSshPrivateKey } from "@muster/agent/sshkey";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
import { suite } from "../../kit/suite.ts";

suite("sshkey", (test) => {
  let place: Awaited<ReturnType<typeof temporaryDirectory>>;
  const keygen = (...args: string[]) => execFileSync("ssh-keygen", args, { cwd: place.path }).toString();
  test.before(async () => {
    place = await temporaryDirectory("sshkey");
  });
  test.after(() => place.release());

  test("reads what ssh-keygen made", () => {
    keygen("-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", "made");
    const read = readSshPrivateKey(readFileSync(join(place.path, "made"), "utf8"));
    const line = readFileSync(join(place.path, "made.pub"), "utf8").split(" ").slice(0, 2).join(" ");
    assert.is(read.public_key, line);
  });

  test("makes what ssh-keygen reads", () => {
    const made = makeSshKey("made by muster-agent");
    writeFileSync(join(place.path, "ours"), made.private_text, { mode: 0o600 });
    assert.is(keygen("-y", "-f", "ours").trim().split(" ").slice(0, 2).join(" "), made.public_key);
    assert.is(readSshPrivateKey(made.private_text).public_key, made.public_key);
  });

  test("an encrypted key, another type and a cut file are refused without quoting them", () => {
    keygen("-q", "-t", "ed25519", "-N", "secret", "-f", "locked");
    keygen("-q", "-t", "ecdsa", "-N", "", "-f", "other");
    const locked = readFileSync(join(place.path, "locked"), "utf8");
    assert.throws(() => readSshPrivateKey(locked), /encrypted/);
    assert.throws(
      () => readSshPrivateKey(readFileSync(join(place.path, "other"), "utf8")),
      /must be ssh-ed25519/,
    );
    const cut = `-----BEGIN OPENSSH PRIVATE KEY-----\n${makeSshKey("").private_text.split("\n")[1]}\n-----END OPENSSH PRIVATE KEY-----`;
    assert.throws(() => readSshPrivateKey(cut), /ends too early/);
    assert.throws(() => readSshPrivateKey("hello"), /not a private key/);
  });

  test("reads a host certificate", () => {
    keygen("-q", "-t", "ed25519", "-N", "", "-f", "ca");
    keygen("-q", "-t", "ed25519", "-N", "", "-f", "host");
    keygen(
      "-q",
      "-s",
      "ca",
      "-h",
      "-I",
      "core1",
      "-n",
      "core1,core1.example",
      "-z",
      "42",
      "-V",
      "-1m:+1d",
      "host.pub",
    );
    const facts = readSshCertificate(readFileSync(join(place.path, "host-cert.pub"), "utf8"));
    assert.is(facts.serial, 42n);
    assert.ok(facts.host);
    assert.equal(facts.principals, ["core1", "core1.example"]);
    assert.is(
      facts.public_key,
      readFileSync(join(place.path, "host.pub"), "utf8").split(" ").slice(0, 2).join(" "),
    );
    assert.ok(Math.abs(facts.not_after_ms - Date.now() - 86_400_000) < 120_000);
  });
});
