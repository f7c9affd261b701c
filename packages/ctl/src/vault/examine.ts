/** Everything that `ctl vault check` looks at. Reads only, and as much at once as can be. */
import { X509Certificate } from "node:crypto";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import { caOf, type Difference, type Overview, overview } from "../fleet/vault-pieces.ts";
import { vaultPlan } from "../fleet/vault-plan.ts";
import { APPROLES, PKI_CAS, type PkiMount } from "../fleet/vault-roles.ts";
import { auditConfiguration, differencesOf } from "../fleet/vault-setup.ts";
import { withNext } from "../output/error.ts";
import type { VaultAccess } from "./access.ts";
import { differenceFinding, type Finding } from "./finding.ts";
import { endsFinding, product, raftFindings, serverFindings } from "./servers.ts";

export type Examined = {
  readonly findings: readonly Finding[];
  /** What `ctl vault bootstrap` would write. */
  readonly differences: readonly Difference[];
  /** Why the inside could not be looked at; the servers were. */
  readonly unseen: FleetError | null;
};

export type Wanted = {
  readonly networks: readonly string[] | undefined;
  readonly audit_file: string;
  /** The line that makes right what is pending. */
  readonly bootstrap: string;
};

/** Errors: VAULT_DENIED for a token that may not look. */
export async function examine(
  access: VaultAccess,
  wanted: Wanted,
  now_ms: number,
  signal: AbortSignal,
): Promise<Examined> {
  const { vault, addresses, ca_pem } = access;
  const nodes = await vault.nodes();
  const outside = serverFindings(nodes, ca_pem, now_ms, signal);
  const is_open = nodes.some(
    ({ health }) => !(health instanceof FleetError) && health.initialized && !health.sealed,
  );
  const is_bao = nodes.some(({ health }) => !(health instanceof FleetError) && product(health) === "OpenBao");
  const inside = is_open ? await looked(access, wanted, is_bao, now_ms) : notOpen(addresses);
  const raft = inside instanceof FleetError ? [] : await raftFindings(vault, addresses.length);
  const found = inside instanceof FleetError ? { findings: [], differences: [] } : inside;
  return {
    findings: [...(await outside), ...raft, ...found.findings],
    differences: found.differences,
    unseen: inside instanceof FleetError ? inside : null,
  };
}

const notOpen = (addresses: readonly string[]) =>
  new FleetError(
    "VAULT_SEALED",
    `none of ${addresses.join(", ")} is open: mounts and roles were not looked at`,
  );

type Inside = { readonly findings: readonly Finding[]; readonly differences: readonly Difference[] };

async function looked(
  access: VaultAccess,
  wanted: Wanted,
  is_bao: boolean,
  now_ms: number,
): Promise<Inside | FleetError> {
  const { fleet, vault } = access;
  const plan = vaultPlan(fleet, wanted.audit_file);
  try {
    const seen = await overview(vault);
    const [found, cas, networks] = await Promise.all([
      differencesOf(vault, fleet, plan, { networks: wanted.networks }),
      caFindings(access, seen, now_ms),
      networkFindings(access, wanted),
    ]);
    // OpenBao takes audit devices from its configuration, where bootstrap does not reach.
    const differences = found.filter(({ kind }) => kind !== "audit" || !is_bao);
    const unheard = found.length > differences.length ? [NO_AUDIT] : [];
    const pending = differences.map((difference) => differenceFinding(difference, wanted.bootstrap));
    return { findings: [...unheard, ...pending, ...auditFindings(seen), ...cas, ...networks], differences };
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    if (error.code === "VAULT_DENIED")
      throw withNext(error, "ctl vault policies check prints what the token needs");
    // Vault answers nothing that it cannot write down, and does not say why.
    if (error.code === "VAULT_REFUSED" && /audit|internal error/i.test(error.detail))
      return withNext(
        new FleetError("VAULT_REFUSED", `${error.detail}: can it write its audit log?`),
        "on the active server: df, and journalctl -u vault",
      );
    if (error.retryable) return error;
    throw error;
  }
}

const NO_AUDIT: Finding = {
  level: "red",
  where: "audit log",
  what: "is missing",
  why: "without it nobody can tell who did what",
  next: `in the configuration of each server: ${auditConfiguration}`,
};

function auditFindings(seen: Overview): Finding[] {
  const devices = Object.entries(seen.audit);
  return devices
    .filter(([, device]) => device.options.log_raw === "true")
    .map(([path]) => ({
      level: "red",
      where: `audit ${path}`,
      what: "writes secrets as they are (log_raw)",
      why: "who reads that file has every token and password that was used",
      next: `vault audit disable ${path}, and enable it without log_raw`,
    }));
}

async function caFindings(
  { vault, ca_pem }: VaultAccess,
  seen: Overview,
  now_ms: number,
): Promise<Finding[]> {
  const own = splitPem(ca_pem).flatMap((pem) =>
    endsFinding(
      "CA of Vault's TLS",
      Date.parse(new X509Certificate(pem).validTo),
      now_ms,
      "new certificates: docs/runbook/vault.md",
    ),
  );
  const found = await Promise.all(
    (Object.keys(PKI_CAS) as PkiMount[]).map(async (mount) => {
      const pem = await caOf(vault, mount, seen);
      if (pem === null) return [];
      const next = "a new CA beside the old one: docs/runbook/vault.md";
      return endsFinding(`CA of ${mount}`, Date.parse(new X509Certificate(pem).validTo), now_ms, next);
    }),
  );
  return [...own, ...found.flat()];
}

const splitPem = (text: string) =>
  text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];

const Bound = z.object({ secret_id_bound_cidrs: z.array(z.string()).nullish() });

/** A stolen file of the controller is worth less where it works from one network only. */
async function networkFindings({ vault }: VaultAccess, wanted: Wanted): Promise<Finding[]> {
  const path = `auth/approle/role/${APPROLES.controller}`;
  const role = await vault.read(path, Bound).catch((error: unknown) => {
    if (error instanceof FleetError && error.code === "VAULT_NOT_FOUND") return null;
    throw error;
  });
  if (role === null || (role.secret_id_bound_cidrs ?? []).length > 0 || wanted.networks !== undefined)
    return [];
  return [
    {
      level: "amber",
      where: path,
      what: "works from everywhere",
      why: "who copies the controller's secret can use it elsewhere",
      next: `${wanted.bootstrap} --controller-cidr 198.51.100.1/32`,
    },
  ];
}
