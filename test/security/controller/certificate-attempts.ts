/**
 * What is open to the controller at Vault, bent: names, ranks, uses and lives that are not a controller's to give. Vault either refuses or gives a paper
 * without what was smuggled in; the latter is told as NOT_ALLOWED here, so that the table says one thing.
 */

import "reflect-metadata";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { openVault } from "@muster/ports/vault";
import { CertificateReader } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { HOST_VAULT } from "@muster/protocol/host-vault";
import * as x509 from "@peculiar/x509";
import { z } from "zod";
import { type Issued, LIFE_MS } from "../../../packages/controller/src/certificates/issuer.ts";
import { type Smuggled, smugglingCsr } from "../smuggling.ts";
import type { Attempt } from "./attempts.ts";
import { PAGE_NAME } from "./ground.ts";
import type { HostileController } from "./hostile.ts";

const Signed = z.object({ certificate: z.string() });
const SignedKey = z.object({ signed_key: z.string() });
const REFUSED: Attempt["refused"] = ["VAULT_DENIED", "VAULT_REFUSED", "NOT_ALLOWED"];
const SLACK_MS = 600_000;
const SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDNzXbEk1Pqt5AyEd4kx8pKmVx0xnkHpgLOyGqHbRcA";

/** Whether what came back holds what was smuggled in. */
type Judge = (leaf: X509Certificate) => boolean;

export function certificateAttempts(
  { vault, issuer, config, vault_ca }: HostileController,
  issuers: { operators: string; controllers: string },
): Attempt[] {
  const reader = new CertificateReader({
    operators: [issuers.operators],
    controllers: [issuers.controllers],
  });
  const sign = async (
    path: string,
    smuggled: Smuggled,
    body: Record<string, unknown>,
    harmful: Judge,
  ): Promise<void> => {
    const csr = await smugglingCsr(smuggled);
    const { certificate } = await vault.write(path, { csr, format: "pem", ...body }, Signed);
    if (!harmful(new X509Certificate(certificate)))
      throw new FleetError("NOT_ALLOWED", "signed without what was smuggled in");
  };
  /** What the fleet would take such a certificate for; null = for nobody's. */
  const rankOf = (leaf: X509Certificate): string | null => {
    try {
      return reader.read(leaf.raw.toString("base64"), Date.now()).principal.rank;
    } catch (error) {
      if (error instanceof FleetError) return null;
      throw error;
    }
  };
  const lives = (leaf: X509Certificate) => Date.parse(leaf.validTo) - Date.now();
  const names = (leaf: X509Certificate) => `${leaf.subject} ${leaf.subjectAltName}`;
  const extended = (leaf: X509Certificate) =>
    new x509.X509Certificate(leaf.raw)
      .getExtension(x509.ExtendedKeyUsageExtension)
      ?.usages.map(String)
      .some((usage) => usage === x509.ExtendedKeyUsage.codeSigning) === true;

  const host = "services/sign/host";
  const page = "services/sign/page";
  const own = "controllers/sign/controller";
  const ec: Smuggled = { key: makeKey("p256"), common_name: "core1" };
  const ed: Smuggled = { key: makeKey("ed25519"), common_name: "controller" };
  const rows: [string, string, Smuggled, Record<string, unknown>, Judge][] = [
    [
      host,
      "a host's certificate that is a CA",
      { ...ec, ca: true },
      { common_name: "core1" },
      (leaf) => leaf.ca,
    ],
    [
      host,
      "a host's certificate with a name from the request",
      { ...ec, dns_names: ["vault.evil"] },
      { common_name: "core1" },
      (leaf) => names(leaf).includes("evil"),
    ],
    [
      host,
      "a host's certificate with an address from the request",
      { ...ec, ip_addresses: ["192.0.2.1"] },
      { common_name: "core1" },
      (leaf) => names(leaf).includes("192.0.2.1"),
    ],
    [
      host,
      "a host's certificate for an address",
      ec,
      { common_name: "core1", ip_sans: "192.0.2.1" },
      () => true,
    ],
    [
      host,
      "a host's certificate for a URI",
      ec,
      { common_name: "core1", uri_sans: "spiffe://x" },
      () => true,
    ],
    [
      host,
      "a host's certificate with another kind of name",
      ec,
      { common_name: "core1", other_sans: "1.3.6.1.4.1.311.20.2.3;utf8:alice" },
      () => true,
    ],
    ...["*.lab", "localhost", "LocalHost", "alice@lab", "vault.example.net", "core1.lab"].map(
      (name): (typeof rows)[number] => [
        host,
        `a host's certificate for ${name}`,
        ec,
        { common_name: name },
        () => true,
      ],
    ),
    ...["localhost", "LOCALHOST", "vault.example.net", "alice@core1.lab", "localhost,core1.lab", "*.lab"].map(
      (name): (typeof rows)[number] => [
        host,
        `a host's certificate that is for ${name} too`,
        ec,
        { common_name: "core1", alt_names: name },
        () => true,
      ],
    ),
    [
      host,
      "a host's certificate with names as a list",
      ec,
      { common_name: "core1", alt_names: ["localhost", "core1.lab"] },
      () => true,
    ],
    [
      host,
      "a host's certificate whose name is under another key",
      ec,
      { common_name: "core1", Common_Name: "localhost" },
      (leaf) => names(leaf).includes("localhost"),
    ],
    [
      host,
      "a host's certificate for ten years",
      ec,
      { common_name: "core1", ttl: "87600h" },
      (leaf) => lives(leaf) > LIFE_MS.service + SLACK_MS,
    ],
    [
      host,
      "a host's certificate until a date far away",
      ec,
      { common_name: "core1", not_after: "2099-01-01T00:00:00Z" },
      (leaf) => lives(leaf) > LIFE_MS.service + SLACK_MS,
    ],
    [
      host,
      "a host's certificate that signs code",
      ec,
      { common_name: "core1", ext_key_usage: ["CodeSigning"] },
      extended,
    ],
    [
      host,
      "a host's certificate that says OU=operator and counts",
      { ...ec, units: ["operator"] },
      { common_name: "core1", ou: "operator" },
      (leaf) => rankOf(leaf) !== null,
    ],
    [
      host,
      "a host's certificate with a key that signs envelopes",
      { ...ed, units: ["admin"] },
      { common_name: "core1" },
      (leaf) => rankOf(leaf) !== null,
    ],
    ...["core1", "core2.as64500.example", "x.core1.as64500.example", "*.as64500.example", "localhost"].map(
      (name): (typeof rows)[number] => [
        page,
        `a web page's certificate for ${name}`,
        ec,
        { common_name: name },
        () => true,
      ],
    ),
    [
      page,
      "a web page's certificate that is for a host too",
      ec,
      { common_name: PAGE_NAME, alt_names: "core1" },
      () => true,
    ],
    [
      page,
      "a web page's certificate for an address",
      ec,
      { common_name: PAGE_NAME, ip_sans: "192.0.2.1" },
      () => true,
    ],
    [
      page,
      "a web page's certificate that is a CA, with a name from the request",
      { ...ec, ca: true, dns_names: ["vault.evil"] },
      { common_name: PAGE_NAME },
      (leaf) => leaf.ca || names(leaf).includes("evil"),
    ],
    ...["operator", "admin", "kit", "ci", "viewer"].map((rank): (typeof rows)[number] => [
      own,
      `a controller's certificate that says OU=${rank}`,
      { ...ed, units: [rank] },
      { common_name: "controller", ou: rank },
      (leaf) => rankOf(leaf) !== "controller",
    ]),
    [
      own,
      "a controller's certificate with OU=admin in its name",
      { ...ed, common_name: "controller\nOU=admin" },
      { common_name: "controller-\nOU=admin" },
      (leaf) => rankOf(leaf) !== "controller" && rankOf(leaf) !== null,
    ],
    ...["alice", "core1", "kit", "controller.evil", "*"].map((name): (typeof rows)[number] => [
      own,
      `a controller's certificate for ${name}`,
      ed,
      { common_name: name },
      () => true,
    ]),
    [
      own,
      "a controller's certificate with a second name",
      { ...ed, dns_names: ["alice"] },
      { common_name: "controller", alt_names: "alice" },
      () => true,
    ],
    [
      own,
      "a controller's certificate for ten years",
      ed,
      { common_name: "controller", ttl: "87600h" },
      (leaf) => lives(leaf) > LIFE_MS.controller + SLACK_MS,
    ],
    [
      own,
      "a controller's certificate that is a CA",
      { ...ed, ca: true },
      { common_name: "controller" },
      (leaf) => leaf.ca,
    ],
  ];

  const ssh = (
    what: string,
    body: Record<string, unknown>,
    harmful: (shown: string) => boolean,
  ): Attempt => ({
    promise: "P2",
    by: "Vault",
    what,
    refused: REFUSED,
    async act() {
      const given = { public_key: SSH_KEY, cert_type: "host", valid_principals: "core1", ...body };
      const { signed_key } = await vault.write("ssh-host/sign/host", given, SignedKey);
      if (!harmful(shownCertificate(signed_key)))
        throw new FleetError("NOT_ALLOWED", "signed without what was smuggled in");
    },
  });

  /** A paper of the controller's as a host's log-in at Vault. */
  const logIn = (
    what: string,
    type: "p256" | "ed25519",
    make: (csr: string) => Promise<Issued>,
  ): Attempt => ({
    promise: "P2",
    by: "Vault",
    what,
    refused: REFUSED,
    async act() {
      const key = makeKey(type);
      const { text } = await make(await makeCsr(key.private_pem, { common_name: "controller" }));
      const life = new AbortController();
      try {
        const client = { certificate_pem: text, key_pem: key.private_pem };
        const server = { addresses: config.vault.addresses, ca_pem: vault_ca, client };
        await openVault(server, life.signal).loginCert(HOST_VAULT.login_role);
      } finally {
        life.abort();
      }
    },
  });

  return [
    logIn("a log-in with a host's service certificate", "p256", (csr) =>
      issuer.serviceCertificate("core1", csr),
    ),
    logIn("a log-in with its own certificate", "ed25519", (csr) =>
      issuer.controllerCertificate("controller", csr),
    ),
    ...rows.map(
      ([path, what, smuggled, body, harmful]): Attempt => ({
        promise: "P2",
        by: "Vault",
        what,
        refused: REFUSED,
        act: () => sign(path, smuggled, body, harmful),
      }),
    ),
    ssh("an ssh certificate of a user", { cert_type: "user", valid_principals: "root" }, () => true),
    ssh("an ssh certificate without a type", { cert_type: "" }, (shown) => !/host certificate/.test(shown)),
    ssh("an ssh host certificate for a name in a key id of ours", { key_id: "alice" }, (shown) =>
      /"alice"/.test(shown),
    ),
    ssh("an ssh host certificate that opens a terminal", { extensions: { "permit-pty": "" } }, (shown) =>
      /permit-pty/.test(shown),
    ),
    ssh("an ssh host certificate for ten years", { ttl: "87600h" }, (shown) => {
      const until = /to (\S+)/.exec(shown)?.[1] ?? "";
      return Date.parse(`${until}Z`) - Date.now() > LIFE_MS.ssh + SLACK_MS;
    }),
    ssh("an ssh host certificate for every name", { valid_principals: "" }, (shown) =>
      /Principals: \(none\)/.test(shown),
    ),
    ...["*", "*.lab", "core1,*,core1.lab", "?ore1.lab", "localhost", "localhost,core1.lab", "github.com"].map(
      (valid_principals) =>
        ssh(`an ssh host certificate for ${valid_principals}`, { valid_principals }, () => true),
    ),
    ssh(
      "an ssh host certificate with a critical option",
      { valid_principals: "core1,core1.lab", critical_options: { "force-command": "x" } },
      () => true,
    ),
    ssh(
      "an ssh host certificate with none of its critical options",
      { valid_principals: "core1,core1.lab", critical_options: { none: "x" } },
      () => true,
    ),
  ];
}

function shownCertificate(line: string): string {
  const directory = mkdtempSync(join(tmpdir(), "muster-ssh-"));
  try {
    const file = join(directory, "key-cert.pub");
    writeFileSync(file, line);
    return execFileSync("ssh-keygen", ["-L", "-f", file], {
      env: { PATH: process.env.PATH, TZ: "UTC" },
    }).toString();
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}
