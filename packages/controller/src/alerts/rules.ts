/** The rules and routes that hold: those that an operator signed, checked whenever they are read, before those that Muster brings. */

import type { AlertRoute, AlertRule } from "@muster/protocol/alerting";
import {
  ALERTING_BYTES,
  type Alerting,
  type OpenedAlerting,
  openAlerting,
  openStoredAlerting,
  SHIPPED_RULES,
} from "@muster/protocol/alerting";
import { loadEnvelope, type StoredEnvelope, type Verifier } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { limitsOf, type NodePolicy } from "@muster/protocol/trust";
import { checkConditions } from "./conditions.ts";
import type { AlertStore } from "./store.ts";

export type Rules = {
  readonly rules: readonly AlertRule[];
  readonly routes: ReadonlyMap<string, AlertRoute>;
  readonly heartbeat: Alerting["heartbeat"];
  readonly monitoring: Alerting["monitoring"];
  /** Null while nobody gave any. `error`: why they cannot be used, none of them (version 0) or only those that it names. */
  readonly given: { readonly version: number; readonly by: string; readonly error: string } | null;
};

/** What holds where nobody gave any. */
export const shipped = (given: Rules["given"] = null): Rules => ({
  rules: SHIPPED_RULES,
  routes: new Map(),
  heartbeat: null,
  monitoring: undefined,
  given,
});

/** Of a stored document. One that does not hold is told, and what Muster brings goes on; a rule that cannot be read is told, and all else goes on. */
export function rulesOf(document: StoredEnvelope | null, fleet: string, verifier: Verifier): Rules {
  if (document === null) return shipped();
  try {
    const { alerting, principal, faults } = ofFleet(
      openStoredAlerting(loadEnvelope(document), verifier),
      fleet,
    );
    const error = faults.join("; ").slice(0, 500);
    return {
      rules: [...alerting.rules, ...SHIPPED_RULES],
      routes: new Map(Object.entries(alerting.routes)),
      heartbeat: alerting.heartbeat,
      monitoring: alerting.monitoring,
      given: { version: alerting.version, by: principal.name, error },
    };
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return shipped({ version: 0, by: "", error: error.message.slice(0, 500) });
  }
}

function ofFleet<O extends OpenedAlerting>(opened: O, fleet: string): O {
  if (opened.alerting.fleet !== fleet)
    throw new FleetError("WRONG_TARGET", `alert rules of ${opened.alerting.fleet}`);
  return opened;
}

export type RulesPorts = {
  readonly store: AlertStore;
  readonly fleet: string;
  readonly verifier: Verifier;
  readonly policy: NodePolicy;
};

/**
 * Takes the next version. Errors: those of the signature; NOT_ALLOWED for a person with limits, who would speak for hosts that are not his; CONFLICT when it
 * is not the next; INVALID for a metric that there is not; TOO_LARGE.
 */
export async function takeRules(
  document: StoredEnvelope,
  { store, fleet, verifier, policy }: RulesPorts,
): Promise<{ version: number; by: string }> {
  if (document.body.length > (ALERTING_BYTES * 4) / 3)
    throw new FleetError("TOO_LARGE", `alert rules take at most ${ALERTING_BYTES} bytes`);
  const { alerting, principal } = ofFleet(openAlerting(loadEnvelope(document), verifier), fleet);
  const [limited] = limitsOf(policy, principal);
  if (limited !== undefined)
    throw new FleetError("NOT_ALLOWED", `${limited.who} is limited, and alert rules are for the whole fleet`);
  checkConditions(alerting.rules);
  const held = await store.rules();
  // Where nothing of what is held can be read it is 0, and one begins anew.
  const before = held === null ? 0 : (rulesOf(held.document, fleet, verifier).given?.version ?? 0);
  if (alerting.version !== before + 1)
    throw new FleetError("CONFLICT", `alert rules ${before} hold, and these are ${alerting.version}`);
  await store.putRules(document, held?.revision ?? null);
  return { version: alerting.version, by: principal.name };
}
