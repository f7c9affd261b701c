/** Alerts, silences and routes as a person reads them. Pure. */
import { type AlertSummary, type AlertView, FLEET_WIDE, type Silence } from "@muster/protocol/alert";
import { clockText } from "@muster/view/trouble";
import type { Colour } from "../output/colour.ts";
import { countText, durationText, listText, timeText } from "../output/words.ts";

/** A leader that looked longer ago than this looks no more. */
const LOOKED_MS = 120_000;

const hostText = (host: string) => (host === FLEET_WIDE ? "fleet" : host);

/** One line an alert, with who was told and the next command; those of which nobody is told say why. */
export function alertLines(alerts: readonly AlertView[], now_ms: number, colour: Colour): string[] {
  return alerts.map((alert) => {
    const { host, severity, since, what, next, silenced, told } = alert;
    const paint = silenced !== null ? colour.dim : severity === "page" ? colour.red : colour.amber;
    const heard = Object.entries(told)
      .filter(([, { state }]) => state === "firing")
      .map(([route, { at }]) => `${route} ${clockText(at, now_ms)}`);
    const who = silenced ?? (heard.length > 0 ? `told ${listText(heard)}` : "nobody told");
    const age = durationText(now_ms - since);
    return `${paint(hostText(host))}  ${severity} for ${age}: ${what.replaceAll("\n", " ")}   (${who})      ${next}`;
  });
}

export function silenceLines(silences: readonly Silence[], now_ms: number): string[] {
  return silences.map(({ id, selector, about, by, why, until }) => {
    const what = about.includes("*") ? "" : ` about ${listText(about)}`;
    return `${id}  ${selector}${what}  by ${by}, ${durationText(until - now_ms)} left (until ${timeText(until)}): ${why}`;
  });
}

export type AlertTrouble = { readonly tint: "red" | "amber"; readonly what: string; readonly next: string };

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
            what: `the rules of alerts.yml cannot be used: ${summary.rules.error}`,
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

/** `3 firing, 1 silenced`; null when there is nothing to say. */
export function alertCounts({ firing, silenced }: AlertSummary): string | null {
  if (firing + silenced === 0) return null;
  return [
    ...(firing > 0 ? [`${firing} firing`] : []),
    ...(silenced > 0 ? [`${silenced} silenced`] : []),
  ].join(", ");
}

/** `routes  noc (email) ok 03:12 UTC, chat (matrix) never used`. */
export function routesLine({ routes, rules }: AlertSummary, now_ms: number): string {
  const from = rules === null ? "rules that Muster brings" : `rules ${rules.version} by ${rules.by}`;
  if (routes.length === 0) return `routes  none: nobody is told (alerts.yml); ${from}`;
  const each = routes.map(({ name, to, ok_at, failing_since }) => {
    const how =
      failing_since !== null ? "FAILS" : ok_at === null ? "not used yet" : `ok ${clockText(ok_at, now_ms)}`;
    return `${name === to ? name : `${name} (${to})`} ${how}`;
  });
  return `routes  ${listText(each)}; ${from}`;
}

/** What is left out of a long list. */
export const leftOutText = (count: number) => `and ${countText(count, "more alert")}: ctl alerts HOST`;
