/**
 * The on-node policy of the trust bundle: what a controller alone may order, and to which groups, kinds and methods a person or a rank is limited. Judged here, on
 * the host, after the signature and its rank were found good. Pure.
 */
import type { Manifest, ManifestContent, NodePolicy, Principal, Resource } from "@muster/protocol";
import { canonicalize } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { refOf, splitRef } from "@muster/protocol/resources/index";
import { RPC } from "@muster/protocol/rpc/index";
import { DEFAULT_SWITCHES } from "@muster/protocol/switch";
import { type Limits, limitsOf } from "@muster/protocol/trust";

/** Errors: NOT_ALLOWED with what the policy says. */
export function judgeCall(
  policy: NodePolicy,
  principal: Pick<Principal, "rank" | "name" | "guest">,
  method: string,
  groups: readonly string[],
): void {
  if (principal.rank === "controller") {
    if (policy.controller_may.some((each) => each === method)) return;
    throw new FleetError(
      "NOT_ALLOWED",
      `this host's policy lets a controller alone order ${policy.controller_may.join(", ")}, not ${method}`,
    );
  }
  const invited = principal.guest?.groups ?? null;
  if (invited !== null && !invited.some((group) => groups.includes(group)))
    throw new FleetError("NOT_ALLOWED", `${principal.name} was invited to ${invited.join(", ")}`);
  for (const { who, limits } of limitsOf(policy, principal)) {
    // A stream was judged when it was opened.
    const verbs = method === "next" || isReading(method) ? undefined : limits.verbs;
    if (verbs !== undefined && !verbs.includes(method))
      throw new FleetError("NOT_ALLOWED", `${who} is limited to ${verbs.join(", ") || "reading"}`);
    if (limits.groups !== undefined && !limits.groups.some((group) => groups.includes(group)))
      throw new FleetError("NOT_ALLOWED", `${who} is limited to the groups ${limits.groups.join(", ")}`);
  }
}

/** What a viewer may call. */
function isReading(method: string): boolean {
  const row = Object.entries(RPC).find(([name]) => name === method)?.[1];
  return row?.authority === "none" || row?.authority === "viewer";
}

/**
 * Whether a person may sign this, held against the content that stands on this host, null while there is none. Only what differs from it counts,
 * what is taken away too; the groups are those that stand, since a signer writes his own into what he signs.
 * Errors: NOT_ALLOWED.
 */
export function judgeManifest(
  policy: NodePolicy,
  signed: {
    readonly principal: Pick<Principal, "name" | "rank">;
    readonly manifest: Pick<Manifest, "content" | "intent">;
  },
  standing: ManifestContent | null,
): void {
  for (const { who, limits } of limitsOf(policy, signed.principal))
    judgeChange(limits, who, signed.manifest, standing);
}

function judgeChange(
  { groups, kinds, verbs }: Limits,
  who: string,
  { content, intent }: Pick<Manifest, "content" | "intent">,
  standing: ManifestContent | null,
): void {
  const refuse = (why: string): never => {
    throw new FleetError("NOT_ALLOWED", `${who} is limited to ${why}`);
  };
  if (verbs !== undefined && !verbs.includes("apply")) refuse(`${verbs.join(", ") || "reading"}, not apply`);
  if (groups !== undefined) {
    const words = `the groups ${groups.join(", ")}`;
    if (standing === null)
      refuse(`${words}; which ones this host is in has yet to be signed by somebody else`);
    else if (!groups.some((group) => standing.groups.includes(group))) refuse(words);
  }
  if (groups === undefined && kinds === undefined) return;
  const before = standing ?? { groups: content.groups, switches: DEFAULT_SWITCHES };
  // By these others are limited, and others get rights.
  for (const each of ["groups", "switches"] as const)
    if (sorted(content[each]) !== sorted(before[each]))
      refuse(`what is declared on a host, and this changes its ${each}`);
  if (kinds === undefined) return;
  const changed = [...changedRefs(standing?.resources ?? [], content.resources), ...intent.overwrite];
  const beyond = changed.find((ref) => !kinds.includes(splitRef(ref).kind));
  if (beyond !== undefined) refuse(`the kinds ${kinds.join(", ")}: ${beyond}`);
}

const sorted = (list: readonly unknown[]) => list.map(canonicalize).sort().join(" ");

/** What is new, other than it was, or gone. */
function changedRefs(before: readonly Resource[], after: readonly Resource[]): string[] {
  const held = new Map(before.map((resource) => [refOf(resource), canonicalize(resource)]));
  const come = after.filter((resource) => held.get(refOf(resource)) !== canonicalize(resource)).map(refOf);
  const kept = new Set(after.map(refOf));
  return [...come, ...[...held.keys()].filter((ref) => !kept.has(ref))];
}
