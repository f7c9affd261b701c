/** Rules with a condition of their own: expressions of `ctl query` over what each host told last, and before. Of a host of which that is not known nothing rises and nothing falls. Pure. */
import type { AlertRule } from "@muster/protocol/alerting";
import { conditionFault, fitting, parseCondition } from "@muster/protocol/condition";
import { FleetError } from "@muster/protocol/errors";
import { telemetryShapes } from "@muster/protocol/expression/shapes";
import type { Known } from "@muster/protocol/expression/values";
import type { Finding } from "./findings.ts";

/** Of one rule on one host. */
const THINGS = 50;

export type KnownHost = Known & { readonly name: string };
export type Conditions = {
  readonly findings: readonly Finding[];
  /** Of whom and by which rule nothing can be said now (`unsureOf`). */
  readonly unsure: ReadonlySet<string>;
};

const METRIC = "metric/";

export const unsureOf = (host: string, condition: string) => `${host} ${condition}`;

/** The name of the condition that an alert is of, whichever rule caught it; null of any other alert. */
export const conditionOf = (about: string): string | null =>
  about.startsWith(METRIC) ? (about.slice(METRIC.length).split("/", 1)[0] ?? null) : null;

export function conditionFindings(rules: readonly AlertRule[], hosts: readonly KnownHost[]): Conditions {
  const findings: Finding[] = [];
  const unsure = new Set<string>();
  for (const { name: rule, when, hosts: chosen } of rules) {
    if (when === undefined) continue;
    const node = parseCondition(when);
    const only = chosen === null ? null : new Set(chosen);
    for (const known of hosts) {
      if (only?.has(known.name) === false) continue;
      const { fits, unsure: not_known } = fitting(node, known);
      if (not_known) unsure.add(unsureOf(known.name, rule));
      for (const { of, what } of fits.slice(0, THINGS))
        findings.push({
          ...{ host: known.name, tint: "amber" },
          about: `${METRIC}${rule}${of === "" ? "" : `/${of}`}`,
          what: `${rule}${of === "" ? "" : ` (${of})`}: ${what}`,
          next: `ctl query '${when}'`,
        });
    }
  }
  return { findings, unsure };
}

/** Errors: INVALID for what no host tells, or is not kept over time. */
export function checkConditions(rules: readonly AlertRule[]): void {
  const own = rules.filter(({ when }) => when !== undefined);
  if (own.length === 0) return;
  const shapes = telemetryShapes();
  for (const { name, when } of own) {
    const fault = conditionFault(when ?? "", shapes);
    if (fault !== null) throw new FleetError("INVALID", `rule ${name}: ${fault}`);
  }
}
