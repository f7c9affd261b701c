/** What is known of one host, wherever it came from: a controller's record and last samples, the host itself, or only the folder. Pure. */
import type { HostBrief } from "@muster/protocol/brief";
import type { MissingHost } from "@muster/protocol/declared";
import type { HostView } from "@muster/protocol/record";
import type { RpcReply } from "@muster/protocol/rpc/index";
import type { BgpSample } from "@muster/protocol/telemetry/bgp";
import type { ChecksSample } from "@muster/protocol/telemetry/checks";
import { type Convergence, watched } from "@muster/protocol/telemetry/convergence";
import type { KindFaults } from "@muster/protocol/telemetry/fault";
import type { Health } from "@muster/protocol/telemetry/health";
import { type Drains, judgedWith } from "./drained.ts";

export type Known = {
  readonly name: string;
  /** Null for a host of the folder that is not enrolled. */
  readonly id: string | null;
  readonly groups: readonly string[];
  /** Variables to select by; empty where they are not known. */
  readonly labels: Readonly<Record<string, string>>;
  readonly enrolled: boolean;
  /** Of one that never joined, where controllers told of it: when an apply told them of it first. */
  readonly declared_since?: number;
  readonly heard_at: number | null;
  readonly silent: boolean;
  /** By how much its clock is ahead of ours: the instants in its samples are by its own. */
  readonly clock_skew_ms: number;
  readonly convergence: Convergence | null;
  readonly bgp: BgpSample | null;
  readonly health: Health | null;
  /** The sample of health before, by which rates are told; absent or null where there is none. */
  readonly health_before?: Health | null;
  readonly checks: ChecksSample | null;
  /** What is wrong by the other kinds of telemetry; one for each that the host has something of. */
  readonly faults: readonly KindFaults[];
  /** Where they were counted elsewhere: `bgp` is not known then. */
  readonly counted?: { readonly up: number; readonly expected: number } | null;
  readonly certificates: readonly {
    readonly name: string;
    readonly not_before?: number | undefined;
    readonly not_after: number;
  }[];
  readonly agent_version: string | null;
  /** Two machines have its key: what was seen; null = not, or not known. */
  readonly quarantined: string | null;
  /** The newest generation signed for it, 0 while there is none; null where that could not be read. */
  readonly signed_generation: number | null;
};

/** With its sessions judged by who else is drained. */
export function seenWith(known: Known, drains: Drains): Known {
  if (known.bgp === null || drains.size === 0) return known;
  const sessions = judgedWith(drains, known.name, known.bgp.sessions);
  return sessions === known.bgp.sessions
    ? known
    : { ...known, bgp: { ...known.bgp, sessions: [...sessions] } };
}

/** Whether something newer is signed for it than it has taken. */
export const isBehind = (known: Known, convergence: Convergence) =>
  known.signed_generation !== null && known.signed_generation > (convergence.generation ?? 0);

/** A host as its record and last samples say. */
export function knownOf(
  view: HostView,
  groups: readonly string[] | null,
  signed_generation: number | null,
): Known {
  const { record, convergence } = view;
  const own = convergence?.certificates ?? [];
  const issued = [
    { name: "bus", not_after: record.certificates.user_jwt },
    { name: "service", not_after: record.certificates.service },
    { name: "ssh", not_after: record.certificates.ssh },
  ];
  return {
    name: record.name,
    id: record.id,
    groups: groups ?? record.groups,
    labels: record.labels ?? {},
    enrolled: true,
    heard_at: view.heard_at,
    silent: view.silent,
    clock_skew_ms: view.clock_skew_ms ?? 0,
    convergence,
    bgp: view.bgp,
    health: view.health,
    checks: view.checks ?? null,
    faults: view.faults ?? [],
    certificates: own.length > 0 ? own : issued,
    agent_version: convergence?.agent_version ?? record.agent_version,
    quarantined: record.quarantined?.why ?? null,
    signed_generation,
  };
}

/** A host of which there is nothing to say. */
export function knownOfBrief(
  brief: HostBrief,
  groups: readonly string[] | null,
  signed_generation: number | null,
): Known {
  const { since, generation, agent_version, certificates, clock_skew_ms } = brief;
  return {
    ...notEnrolled(brief.name, groups ?? brief.groups),
    id: brief.id,
    enrolled: true,
    heard_at: brief.heard_at,
    clock_skew_ms,
    convergence: {
      ...watched(brief.heard_at, agent_version),
      ...{ state: "converged", since, generation, certificates },
    },
    counted: brief.sessions,
    certificates,
    agent_version,
    signed_generation,
  };
}

/** A host of the folder that no machine has joined as. */
export function notEnrolled(name: string, groups: readonly string[]): Known {
  return {
    name,
    id: null,
    groups,
    labels: {},
    enrolled: false,
    heard_at: null,
    silent: false,
    clock_skew_ms: 0,
    convergence: null,
    bgp: null,
    health: null,
    checks: null,
    faults: [],
    certificates: [],
    agent_version: null,
    quarantined: null,
    signed_generation: null,
  };
}

/** As `notEnrolled`, as controllers know it. */
export const knownOfMissing = ({ name, groups, since }: MissingHost): Known => ({
  ...notEnrolled(name, groups),
  declared_since: since,
});

/** A host as it says itself, asked just now; null for one that did not answer. */
export function knownByItself(
  host: { name: string; id: string; groups: readonly string[] },
  reply: RpcReply<"status"> | null,
  now_ms: number,
  signed_generation: number | null,
): Known {
  return {
    ...notEnrolled(host.name, host.groups.length > 0 ? host.groups : (reply?.groups ?? [])),
    id: host.id,
    enrolled: true,
    heard_at: reply === null ? null : now_ms,
    silent: reply === null,
    clock_skew_ms: reply === null ? 0 : reply.convergence.at - now_ms,
    convergence: reply?.convergence ?? null,
    bgp: reply?.bgp ?? null,
    checks: reply?.checks ?? null,
    certificates: reply?.convergence.certificates ?? [],
    agent_version: reply?.convergence.agent_version ?? null,
    signed_generation,
  };
}
