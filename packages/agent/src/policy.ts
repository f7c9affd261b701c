/**
 * The on-node policy of the trust bundle: what a controller alone may order, and to which groups and kinds a person is limited. Judged here, on
 * the host, after the signature and its rank were found good. Pure.
 */
import type { NodePolicy, Principal } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { splitRef } from "@muster/protocol/resources/index";
import { RPC } from "@muster/protocol/rpc/index";

/** Errors: NOT_ALLOWED with what the policy says. */
export function judgeCall(
  policy: NodePolicy,
  principal: Pick<Principal, "rank" | "name">,
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
  const limits = policy.operators[principal.name];
  // A stream was judged when it was opened.
  const verbs = method === "next" || isReading(method) ? undefined : limits?.verbs;
  if (verbs !== undefined && !verbs.includes(method))
    throw new FleetError("NOT_ALLOWED", `${principal.name} is limited to ${verbs.join(", ") || "reading"}`);
  if (limits?.groups !== undefined && !limits.groups.some((group) => groups.includes(group))) {
    throw new FleetError(
      "NOT_ALLOWED",
      `${principal.name} is limited to the groups ${limits.groups.join(", ")}`,
    );
  }
}

/** What a viewer may call. */
function isReading(method: string): boolean {
  const row = Object.entries(RPC).find(([name]) => name === method)?.[1];
  return row?.authority === "none" || row?.authority === "viewer";
}

/** Whether a person may change these resources. Errors: NOT_ALLOWED. */
export function judgeManifest(
  policy: NodePolicy,
  by: string,
  groups: readonly string[],
  refs: readonly string[],
): void {
  const limits = policy.operators[by];
  if (limits === undefined) return;
  if (limits.groups !== undefined && !limits.groups.some((group) => groups.includes(group))) {
    throw new FleetError("NOT_ALLOWED", `${by} is limited to the groups ${limits.groups.join(", ")}`);
  }
  const { kinds } = limits;
  if (kinds === undefined) return;
  const beyond = refs.find((ref) => !kinds.includes(splitRef(ref).kind));
  if (beyond !== undefined)
    throw new FleetError("NOT_ALLOWED", `${by} is limited to the kinds ${kinds.join(", ")}: ${beyond}`);
}
