/** Hosts and rules as the tests of conditions have them. */
import { conditionFindings, type KnownHost } from "@muster/controller/alerts/conditions";
import type { AlertRule } from "@muster/protocol/alerting";
import type { Point } from "@muster/protocol/history";

export const MIN = 60_000;
export const host = (name: string, values: object): KnownHost => ({
  name,
  values: values as KnownHost["values"],
});
export const rule = (when: string, hosts: string[] | null = null): AlertRule => ({
  ...{ name: "mine", about: ["metric/mine", "metric/mine/*"], when, hosts, severity: "page" },
  ...{ for_ms: 0, rise: 1, fall: 1 },
});
export const found = (when: string, hosts: KnownHost[], only: string[] | null = null) =>
  conditionFindings([rule(when, only)], hosts).findings.map(({ host: whose, about, what }) => [
    whose,
    about,
    what,
  ]);
/** Points a minute apart, or `every_ms`. */
export const points = (name: string, values: (number | null)[], every_ms = MIN): Point[] =>
  values.map((value, index) => ({ at: index * every_ms, numbers: { [name]: value } }));
