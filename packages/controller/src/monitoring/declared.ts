/** What the folder says of the monitoring around, as an operator signed it: from the document of the alert rules, checked whenever it is read. */
import type { Verifier } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { type Monitoring, NO_MONITORING } from "@muster/protocol/monitoring";
import { rulesOf } from "../alerts/rules.ts";
import type { AlertStore } from "../alerts/store.ts";

export type DeclaredMonitoring = () => Promise<Monitoring>;

export type DeclaredPorts = {
  readonly store: Pick<AlertStore, "rules">;
  readonly fleet: string;
  verifier(): Verifier;
};

/** Errors: those of the bus; INVALID for a document that does not hold: it says nothing, which is not the same as that there is nothing. */
export const declaredMonitoring =
  ({ store, fleet, verifier }: DeclaredPorts): DeclaredMonitoring =>
  async () => {
    const { given, monitoring } = rulesOf((await store.rules())?.document ?? null, fleet, verifier());
    if (given?.version === 0) throw new FleetError("INVALID", given.error);
    return monitoring ?? NO_MONITORING;
  };
