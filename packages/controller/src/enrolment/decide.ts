/**
 * Who is let in, under what name, and why not: the whole rule of enrolment over what was found out. Pure; proofs of keys are in proofs.ts.
 *
 * - A join string admits the machine of its name (or, with groups only, of the name that the machine claims), once.
 * - One that names the key which it replaces (`ctl host replace`) admits another machine under a name that is taken.
 * - A bound key without a join string is the way back after a loss: the same name, a limited number of times.
 * - Everybody else waits for a person, whose answer counts for exactly the keys that were shown.
 */
import type { Claim, HostRecord, JoinClaims } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { checkNetwork } from "./network.ts";
import type { Waiting } from "./waiting.ts";

export const RECOVERIES = 10;

export type Evidence = {
  readonly fleet: { readonly name: string; readonly anchor: string };
  readonly claim: Pick<Claim, "id" | "name">;
  /** The proved join string and who signed it. */
  readonly join: { readonly claims: JoinClaims; readonly by: string } | null;
  /** The key that has used the join string. */
  readonly spent_by: string | null;
  /** Address as the broker saw it. */
  readonly from: string | null;
  /** The record of the name that would be given. */
  readonly record: HostRecord | null;
  /** The name under which this key is enrolled. */
  readonly enrolled_as: string | null;
  readonly waiting: Waiting | null;
};

export type Decision =
  | {
      readonly verdict: "admit";
      readonly name: string;
      readonly groups: readonly string[];
      readonly by: string;
      readonly recoveries: number;
      readonly how: "joined" | "approved" | "recovered";
    }
  | { readonly verdict: "wait" };

/** The name that a machine would get, before anything else is known of it. */
export function nameFor(
  claim: Pick<Claim, "name">,
  join: Evidence["join"],
  enrolled_as: string | null,
  waiting: Waiting | null,
): string {
  if (join !== null) return join.claims.name ?? claim.name;
  return enrolled_as ?? waiting?.approved?.name ?? claim.name;
}

/** Errors: JOIN_FORGED (another fleet's), JOIN_USED, JOIN_NETWORK, BAD_NAME, NAME_TAKEN, REJECTED, NOT_ALLOWED. */
export function decide(evidence: Evidence): Decision {
  const { claim, join, record, enrolled_as, waiting } = evidence;
  const name = nameFor(claim, join, enrolled_as, waiting);
  if (join !== null) checkJoin(evidence, join.claims);
  if (enrolled_as !== null && enrolled_as !== name)
    throw new FleetError("NAME_TAKEN", `this machine's key is enrolled as ${enrolled_as} already`);
  if (record?.state === "renamed")
    throw new FleetError(
      "NAME_TAKEN",
      `${name} is what ${record.renamed?.to ?? "another host"} was called: ctl host clear ${name} frees it`,
    );
  if (record !== null && record.id !== claim.id && join?.claims.replaces === record.id) {
    const groups = join.claims.groups.length > 0 ? join.claims.groups : record.groups;
    return { verdict: "admit", name, groups, by: join.by, recoveries: 0, how: "joined" };
  }
  if (record !== null && record.id !== claim.id)
    throw new FleetError("NAME_TAKEN", `${name} is enrolled with another key: ctl host replace ${name}`);
  if (record !== null) return recover(evidence, record);
  if (join !== null)
    return { verdict: "admit", name, groups: join.claims.groups, by: join.by, recoveries: 0, how: "joined" };
  if (waiting?.rejected === true) throw new FleetError("REJECTED", waiting.view.fingerprint);
  if (waiting?.approved != null) {
    const { groups, by } = waiting.approved;
    return { verdict: "admit", name, groups, by, recoveries: 0, how: "approved" };
  }
  return { verdict: "wait" };
}

function checkJoin(evidence: Evidence, claims: JoinClaims): void {
  const { fleet, claim, spent_by, from } = evidence;
  if (claims.fleet !== fleet.name || claims.anchor.toUpperCase() !== fleet.anchor)
    throw new FleetError("JOIN_FORGED", `it is for fleet ${claims.fleet}`);
  if (spent_by !== null && spent_by !== claim.id) throw new FleetError("JOIN_USED", "by another machine");
  checkNetwork(claims.networks, from);
  if (claims.name === undefined && claims.groups.length === 0)
    throw new FleetError("BAD_NAME", "the join string has neither a name nor groups");
}

function recover({ join, spent_by }: Evidence, record: HostRecord): Decision {
  if (record.state !== "enrolled") throw new FleetError("NOT_ALLOWED", `${record.name} is retired`);
  // A join string that was not used yet is a person's new word, and the count begins again.
  const recoveries = join !== null && spent_by === null ? 0 : record.recoveries + 1;
  if (recoveries > RECOVERIES)
    throw new FleetError(
      "NOT_ALLOWED",
      `${record.name} came back ${RECOVERIES} times: ctl host replace ${record.name}`,
    );
  return {
    verdict: "admit",
    name: record.name,
    groups: join === null ? record.groups : join.claims.groups,
    by: join === null ? record.enrolled_by : join.by,
    recoveries,
    how: "recovered",
  };
}
