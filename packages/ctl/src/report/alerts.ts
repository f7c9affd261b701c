/** Alerts, silences and routes as a person reads them. Pure. */
import {
  type AlertSummary,
  type AlertView,
  FLEET_WIDE,
  type NotKnown,
  type Silence,
} from "@muster/protocol/alert";
import { notKnownText, routesText, toldText } from "@muster/view/alerts";
import type { Colour } from "../output/colour.ts";
import { countText, durationText, listText, timeText } from "../output/words.ts";

const hostText = (host: string) => (host === FLEET_WIDE ? "fleet" : host);

/** One line an alert, with who was told and the next command; those of which nobody is told say why. */
export function alertLines(alerts: readonly AlertView[], now_ms: number, colour: Colour): string[] {
  return alerts.map((alert) => {
    const { host, severity, since, what, next, silenced } = alert;
    const paint = silenced !== null ? colour.dim : severity === "page" ? colour.red : colour.amber;
    const age = durationText(now_ms - since);
    return `${paint(hostText(host))}  ${severity} for ${age}: ${what.replaceAll("\n", " ")}   (${toldText(alert, now_ms)})      ${next}`;
  });
}

/** A line for each rule that can say nothing of hosts that speak. */
export const notKnownLines = (not_known: readonly NotKnown[], colour: Colour): string[] =>
  not_known.map(notKnownText).map(({ what, next }) => `${colour.amber("not known")}  ${what}      ${next}`);

export function silenceLines(silences: readonly Silence[], now_ms: number): string[] {
  return silences.map(({ id, selector, about, by, why, until }) => {
    const what = about.includes("*") ? "" : ` about ${listText(about)}`;
    return `${id}  ${selector}${what}  by ${by}, ${durationText(until - now_ms)} left (until ${timeText(until)}): ${why}`;
  });
}

/** `routes  noc (email) ok 03:12 UTC, chat (matrix) never used`. */
export const routesLine = (summary: AlertSummary, now_ms: number): string =>
  `routes  ${routesText(summary, now_ms)}`;

/** What is left out of a long list. */
export const leftOutText = (count: number) => `and ${countText(count, "more alert")}: ctl alerts HOST`;

export const silencesLeftOutText = (count: number) =>
  `and ${countText(count, "older silence")}: ctl alerts HOST shows those of a host`;
