/** Rules with a condition of their own: over the metrics that `/metrics` shows, by the same names. A host that says nothing of a metric neither fits nor fails. Pure. */
import type { AlertRule } from "@muster/protocol/alerting";
import { holds, parseCondition, type Series } from "@muster/protocol/condition";
import { FleetError } from "@muster/protocol/errors";
import { COLLECTED_METRICS } from "../metrics/collected.ts";
import { HOST_METRICS } from "../metrics/host.ts";
import type { Heard, HostMetric } from "../metrics/metric.ts";
import type { Finding } from "./findings.ts";

/** Of one rule on one host. */
const SERIES = 50;

const METRICS: ReadonlyMap<string, HostMetric> = new Map(
  [...HOST_METRICS, ...COLLECTED_METRICS].map((metric) => [metric.name, metric]),
);

export function conditionFindings(rules: readonly AlertRule[], hosts: readonly Heard[]): Finding[] {
  return rules.flatMap((rule) => {
    const condition = rule.when === undefined ? null : parseCondition(rule.when);
    if (condition === null) return [];
    const { left, by, op, limit } = condition;
    const chosen = rule.hosts === null ? null : new Set(rule.hosts);
    return hosts
      .filter(({ record }) => chosen?.has(record.name) ?? true)
      .flatMap((heard) => {
        const under = by === null ? null : valuesOf(by, heard);
        const found: Finding[] = [];
        for (const [words, value] of valuesOf(left, heard)) {
          // Of the same labels, or one number for all.
          const divisor = under === null ? 1 : (under.get(words) ?? under.get(""));
          if (divisor === undefined || divisor === 0 || !holds(condition, value / divisor)) continue;
          const whose = words === "" ? "" : ` (${words})`;
          found.push({
            host: heard.record.name,
            tint: "amber",
            about: `metric/${rule.name}${words === "" ? "" : `/${words}`}`,
            what: `${rule.name}${whose}: ${left.metric}${by === null ? "" : ` / ${by.metric}`} is ${Number((value / divisor).toPrecision(4))}, told when ${op} ${limit}`,
            next: `ctl status ${heard.record.name}`,
          });
          if (found.length >= SERIES) break;
        }
        return found;
      });
  });
}

/** By the values of the labels, in their order. */
function valuesOf({ metric, labels }: Series, heard: Heard): Map<string, number> {
  const known = METRICS.get(metric);
  const values = new Map<string, number>();
  for (const [words, value] of known?.of(heard) ?? []) {
    const fits = Object.entries(labels).every(([name, wanted]) => {
      const at = known?.labels.indexOf(name) ?? -1;
      return at >= 0 && words[at] === wanted;
    });
    if (fits && value !== null) values.set(words.join(" "), value);
  }
  return values;
}

/** Errors: INVALID for a metric or label that there is not, and for one that only grows. */
export function checkConditions(rules: readonly AlertRule[]): void {
  for (const { name, when } of rules) {
    const condition = when === undefined ? null : parseCondition(when);
    for (const series of condition === null
      ? []
      : [condition.left, ...(condition.by === null ? [] : [condition.by])]) {
      const metric = METRICS.get(series.metric);
      if (metric === undefined)
        throw new FleetError(
          "INVALID",
          `rule ${name}: no metric ${series.metric}: docs/reference/metrics.md`,
        );
      if (metric.type === "counter")
        throw new FleetError("INVALID", `rule ${name}: ${series.metric} only grows, and rules know no rates`);
      const strange = Object.keys(series.labels).find((label) => !metric.labels.includes(label));
      if (strange !== undefined)
        throw new FleetError(
          "INVALID",
          `rule ${name}: ${series.metric} has no label ${strange}; it has ${metric.labels.join(", ") || "none"}`,
        );
    }
  }
}
