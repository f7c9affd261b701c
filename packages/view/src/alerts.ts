/** Alerts in words: who was told, how the routes stand, and what is wrong with the alerting itself. Pure. */
import {
  type AlertSummary,
  type AlertView,
  FLEET_WIDE,
  type NotKnown,
  queryOf,
} from "@muster/protocol/alert";
import { clockText } from "./trouble.ts";
import { countText, durationText, listText, numberText, timeText } from "./words.ts";

/** A leader that looked longer ago than this looks no more. */
const LOOKED_MS = 120_000;

/** `told noc 03:12 UTC`, why nobody is told, or that nobody was. */
export function toldText({ silenced, told }: Pick<AlertView, "silenced" | "told">, now_ms: number): string {
  const heard = Object.entries(told)
    .filter(([, { state }]) => state === "firing")
    .map(([route, { at }]) => `${route} ${clockText(at, now_ms)}`);
  return silenced ?? (heard.length > 0 ? `told ${listText(heard)}` : "nobody told");
}

/** The hosts that a silence names. */
export const silencedHosts = (hosts: readonly string[]): string =>
  listText(hosts.map((host) => (host === FLEET_WIDE ? "the fleet" : host)));

export type AlertTrouble = { readonly tint: "red" | "amber"; readonly what: string; readonly next: string };

/** None of the rules holds, or all but those that the error names. */
const rulesFaultText = ({ version, error }: NonNullable<AlertSummary["rules"]>) =>
  version === 0
    ? `the rules of alerts.yml cannot be used, those that Muster brings hold: ${error}`
    : `passed over in alerts.yml, the other rules hold: ${error}`;

/** What is wrong with the alerting itself: nobody looks, rules that cannot be used, routes that fail. */
export function alertingTroubles(summary: AlertSummary, now_ms: number): AlertTrouble[] {
  const age_ms = now_ms - summary.at;
  return [
    ...(age_ms > LOOKED_MS
      ? [
          {
            tint: "red",
            what: `no controller has looked for ${durationText(age_ms)}: nobody is told anything`,
            next: "on its server: journalctl -u muster-controller",
          } as const,
        ]
      : []),
    ...(summary.rules !== null && summary.rules.error !== ""
      ? [
          {
            tint: "red",
            what: rulesFaultText(summary.rules),
            next: "ctl apply",
          } as const,
        ]
      : []),
    ...summary.routes.flatMap(({ name, to, failing_since, error, ok_at }) =>
      failing_since === null
        ? []
        : [
            {
              tint: "red",
              what: `${name === to ? `the ${name}` : `route ${name} (${to})`} FAILS since ${clockText(failing_since, now_ms)}: ${error.replaceAll("\n", " ")}; ${ok_at === null ? "it never worked" : `it last worked ${timeText(ok_at)}`}`,
              next: "ctl alerts",
            } as const,
          ],
    ),
  ];
}

/** `3 firing, 1 silenced, 1 rule not known`; null when there is nothing to say. */
export function alertCounts({ firing, silenced, not_known }: AlertSummary): string | null {
  if (firing + silenced + not_known.length === 0) return null;
  return [
    ...(firing > 0 ? [`${firing} firing`] : []),
    ...(silenced > 0 ? [`${silenced} silenced`] : []),
    ...(not_known.length > 0 ? [`${countText(not_known.length, "rule")} not known`] : []),
  ].join(", ");
}

/** `rule slow of ixp1 and 2 more: what it asks for is not told, or not for the whole time; until then it neither begins an alert nor ends one`, with what to type. */
export const notKnownText = ({ rule, when, hosts, count }: NotKnown): { what: string; next: string } => ({
  what: `rule ${rule} of ${listText(hosts)}${count > hosts.length ? ` and ${numberText(count - hosts.length)} more` : ""}: what it asks for is not told, or not for the whole time; until then it neither begins an alert nor ends one`,
  next: queryOf(when),
});

/** `noc (email) ok 03:12 UTC, chat (matrix) not used yet; rules 3 by alice`. */
export function routesText({ routes, rules }: AlertSummary, now_ms: number): string {
  const from = rules === null ? "rules that Muster brings" : `rules ${rules.version} by ${rules.by}`;
  if (routes.length === 0) return `none: nobody is told (alerts.yml); ${from}`;
  const each = routes.map(({ name, to, ok_at, failing_since }) => {
    const how =
      failing_since !== null ? "FAILS" : ok_at === null ? "not used yet" : `ok ${clockText(ok_at, now_ms)}`;
    return `${name === to ? name : `${name} (${to})`} ${how}`;
  });
  return `${listText(each)}; ${from}`;
}
