/** The servers of a Vault as `ctl vault check` judges them: reachable, open, of one cluster, with a certificate that lasts, of a mended version; and raft among them. */
import type { Vault, VaultHealth, VaultNode } from "@muster/ports/vault";
import { serverTls } from "@muster/ports/vault-tls";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import { countText, durationText, listText } from "../output/words.ts";
import type { Finding } from "./finding.ts";
import { faultsOf, type Product } from "./known-faults.ts";

const DAY_MS = 86_400_000;
const CLOCK_LIMIT_MS = 30_000;

/** red below a month, amber below half a year: a CA takes weeks to reach everybody. */
export function endsFinding(where: string, not_after: number, now_ms: number, next: string): Finding[] {
  const left_ms = not_after - now_ms;
  if (left_ms > 180 * DAY_MS) return [];
  return [
    {
      level: left_ms > 30 * DAY_MS ? "amber" : "red",
      where,
      what: left_ms > 0 ? `certificate ends in ${durationText(left_ms)}` : "certificate has ended",
      why: "what it certifies is believed by nobody after that",
      next,
    },
  ];
}

export const product = (health: VaultHealth): Product =>
  health.enterprise === undefined ? "OpenBao" : "Vault";

/** Every server, asked by the caller. */
export async function serverFindings(
  nodes: readonly VaultNode[],
  ca_pem: string,
  now_ms: number,
  signal: AbortSignal,
): Promise<Finding[]> {
  const up = nodes.filter((node) => !(node.health instanceof FleetError));
  const tls = await Promise.all(up.map(({ address }) => tlsFindings(address, ca_pem, now_ms, signal)));
  const findings = [...nodes.flatMap((node) => stateFindings(node, now_ms)), ...tls.flat()];
  const answers = nodes.flatMap(({ health }) => (health instanceof FleetError ? [] : [health]));
  const open = answers.filter((health) => health.initialized && !health.sealed);
  if (open.length > 0 && open.every((health) => health.standby)) {
    findings.push({
      level: "red",
      where: "servers",
      what: "none of them is active",
      why: "nothing is signed until they have agreed on one; that needs more than half of them",
      next: "open or start the others: vault operator unseal, systemctl start vault",
    });
  }
  if (new Set(open.map((health) => health.cluster_id)).size > 1) {
    findings.push({
      level: "red",
      where: "servers",
      what: `of different clusters: ${listText(open.map((health) => health.address))}`,
      why: "roles and keys of one are not in the other, and who is asked is chance",
      next: "give the addresses of one Vault only",
    });
  }
  const versions = [...new Set(answers.map((health) => health.version))];
  if (versions.length > 1) {
    findings.push({
      level: "amber",
      where: "servers",
      what: `run different versions: ${listText(versions)}`,
      why: "an upgrade that was begun is to be finished; an older one cannot take over from a newer",
      next: "go on with the upgrade: docs/runbook/vault.md",
    });
  }
  for (const health of answers.filter((one, at) => versions.indexOf(one.version) === at))
    findings.push(...faultFindings(health));
  return findings;
}

function faultFindings(health: VaultHealth): Finding[] {
  return faultsOf(product(health), health.version).map((fault) => ({
    level: fault.level,
    where: `${product(health)} ${health.version}`,
    what: `${fault.id}: ${fault.what}`,
    why: "it is public how",
    next: `upgrade to a version above ${fault.up_to}: docs/runbook/vault.md`,
  }));
}

function stateFindings({ address, health }: VaultNode, now_ms: number): Finding[] {
  const red = (what: string, why: string, next: string): Finding[] => [
    { level: "red", where: address, what, why, next },
  ];
  if (health instanceof FleetError)
    return red(
      health.detail,
      "one server less may fail now",
      `on it: systemctl status vault; journalctl -u vault`,
    );
  if (!health.initialized)
    return red(
      "is empty",
      "it belongs to no cluster yet",
      `on it: vault operator raft join https://ANOTHER:8200, or vault operator init for the first`,
    );
  if (health.sealed)
    return red(
      "is sealed",
      "it serves nobody and cannot take over",
      `vault operator unseal -address=${address}`,
    );
  const off_ms = Math.abs(health.server_time_utc * 1_000 - now_ms);
  if (health.server_time_utc === 0 || off_ms <= CLOCK_LIMIT_MS) return [];
  return [
    {
      level: "amber",
      where: address,
      what: `its clock and this one are ${durationText(off_ms)} apart`,
      why: "certificates begin and end by its clock",
      next: "timedatectl, on both",
    },
  ];
}

async function tlsFindings(
  address: string,
  ca_pem: string,
  now_ms: number,
  signal: AbortSignal,
): Promise<Finding[]> {
  try {
    const { not_after, protocol } = await serverTls(address, ca_pem, signal);
    const next = "new certificates: docs/runbook/vault.md, then systemctl reload vault";
    return endsFinding(address, not_after, now_ms, next).concat(
      protocol === "TLSv1.3"
        ? []
        : [
            {
              level: "amber",
              where: address,
              what: `offers ${protocol} at best`,
              why: "1.3 hides the certificate and has no weak ciphers left",
              next: 'tls_min_version = "tls13" in its listener',
            },
          ],
    );
  } catch (error) {
    if (!(error instanceof FleetError) || error.code !== "VAULT_UNREACHABLE") throw error;
    return [
      {
        level: "red",
        where: address,
        what: error.detail,
        why: "TLS is what proves Vault",
        next: "look at its certificate",
      },
    ];
  }
}

const Configuration = z.object({
  config: z.object({ servers: z.array(z.object({ node_id: z.string(), voter: z.boolean().default(true) })) }),
});
const Autopilot = z.object({
  healthy: z.boolean(),
  failure_tolerance: z.int(),
  servers: z.record(
    z.string(),
    z.object({
      healthy: z.boolean(),
      node_status: z.string().default(""),
      last_contact: z.string().default(""),
      status: z.string().default(""),
    }),
  ),
});

/** Raft as its leader sees it; nothing where storage is something else. `known`: how many servers the fleet knows. */
export async function raftFindings(vault: Vault, known: number): Promise<Finding[]> {
  const here = async <S extends z.ZodType>(path: string, schema: S) =>
    vault.read(path, schema).catch((error: unknown) => {
      if (error instanceof FleetError && (error.code === "VAULT_NOT_FOUND" || error.code === "VAULT_REFUSED"))
        return null;
      throw error;
    });
  const [configuration, state] = await Promise.all([
    here("sys/storage/raft/configuration", Configuration),
    here("sys/storage/raft/autopilot/state", Autopilot),
  ]);
  if (configuration === null) return [];
  const { servers } = configuration.config;
  const findings: Finding[] = [];
  if (servers.length > known) {
    findings.push({
      level: "amber",
      where: "raft",
      what: `has ${countText(servers.length, "server")}, and the fleet knows ${known}`,
      why: "who knows one address has nobody to ask when that server is gone",
      next: "name each with --vault: ctl init … --vault …",
    });
  }
  for (const [id, server] of Object.entries(state?.servers ?? {})) {
    if (server.healthy) continue;
    findings.push({
      level: "red",
      where: `raft ${id}`,
      what: `is ${server.node_status || "not well"}; last heard ${server.last_contact || "never"} ago`,
      why: "it does not count when the others have to agree",
      next: `start and open it; a machine that is gone for good: vault operator raft remove-peer ${id}`,
    });
  }
  for (const { node_id, voter } of servers) {
    if (voter) continue;
    findings.push({
      level: "amber",
      where: `raft ${node_id}`,
      what: "has no vote yet",
      why: "it counts from when it has caught up, after some ten seconds",
      next: "vault operator raft list-peers",
    });
  }
  if (state !== null && servers.length > 1 && state.failure_tolerance === 0) {
    findings.push({
      level: "amber",
      where: "raft",
      what: "can lose no server",
      why: "more than half have to be there, and just those are",
      next: "bring back what is missing, or add a third: docs/runbook/vault.md",
    });
  }
  return findings;
}
