/** Rules with a condition of their own: expressions of `ctl query` over what each host told last, and before. Of a host of which that is not known nothing rises and nothing falls. Pure. */
import { type NotKnown, queryOf } from "@muster/protocol/alert";
import type { AlertRule } from "@muster/protocol/alerting";
import { conditionFault, fitting, kindsIn, parseCondition } from "@muster/protocol/condition";
import { FleetError } from "@muster/protocol/errors";
import { telemetryShapes } from "@muster/protocol/expression/shapes";
import type { Known } from "@muster/protocol/expression/values";
import type { Finding } from "./findings.ts";

/** Of one rule on one host. */
const THINGS = 50;
/** Rules, and hosts of each, of which it is told that they are not known. */
const RULES = 20;
const TOLD = 8;

/** `silent`: that it is not heard is told already. `blind`: kinds that it told before, and does not now. */
export type KnownHost = Known & {
  readonly name: string;
  readonly silent?: boolean;
  readonly blind?: ReadonlySet<string>;
};
export type Conditions = {
  readonly findings: readonly Finding[];
  /** Of whom and by which rule nothing can be said now (`unsureOf`). */
  readonly unsure: ReadonlySet<string>;
  /** What of that a person should hear, by rule. */
  readonly not_known: readonly NotKnown[];
};

const METRIC = "metric/";

export const unsureOf = (host: string, condition: string) => `${host} ${condition}`;

/** The name of the condition that an alert is of, whichever rule caught it; null of any other alert. */
export const conditionOf = (about: string): string | null =>
  about.startsWith(METRIC) ? (about.slice(METRIC.length).split("/", 1)[0] ?? null) : null;

export function conditionFindings(rules: readonly AlertRule[], hosts: readonly KnownHost[]): Conditions {
  const findings: Finding[] = [];
  const unsure = new Set<string>();
  const not_known: NotKnown[] = [];
  for (const { name: rule, when, hosts: chosen } of rules) {
    if (when === undefined) continue;
    const node = parseCondition(when);
    const only = chosen === null ? null : new Set(chosen);
    const judged = only === null ? hosts : hosts.filter(({ name }) => only.has(name));
    const open: KnownHost[] = [];
    for (const known of judged) {
      const { fits, unsure: is_open } = fitting(node, known);
      if (is_open) {
        unsure.add(unsureOf(known.name, rule));
        open.push(known);
      }
      for (const { of, what } of fits.slice(0, THINGS))
        findings.push({
          ...{ host: known.name, tint: "amber" },
          about: `${METRIC}${rule}${of === "" ? "" : `/${of}`}`,
          what: `${rule}${of === "" ? "" : ` (${of})`}: ${what}`,
          next: queryOf(when),
        });
    }
    const told = toldOf(open, judged, kindsIn(node), only !== null);
    if (told.length > 0)
      not_known.push({ rule, when, hosts: told.slice(0, TOLD).map(({ name }) => name), count: told.length });
  }
  return { findings, unsure, not_known: not_known.slice(0, RULES) };
}

/**
 * Of whom it should be told that nothing is known: of hosts that speak. Who never told of such things has none of them, and is told of only where the rule chose
 * it by name, or where nobody tells of them, so that the rule can never fire.
 */
function toldOf(
  open: readonly KnownHost[],
  judged: readonly KnownHost[],
  kinds: readonly string[],
  chosen: boolean,
): KnownHost[] {
  const speaking = open.filter(({ silent }) => silent !== true);
  const tells = ({ values, blind }: KnownHost) =>
    kinds.every((kind) => values[kind] !== undefined || blind?.has(kind) === true);
  return chosen || !judged.some(tells) ? speaking : speaking.filter(tells);
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
