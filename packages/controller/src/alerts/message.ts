/** One message to one route: what it holds, and how it reads as text. The words are those of `ctl status`, with the next command to type. Pure. */
import { FLEET_WIDE } from "@muster/protocol/alert";
import { timeText } from "@muster/protocol/time";
import { countText, listText } from "@muster/view/words";
import type { Batch } from "./route-state.ts";

export type AlertMessage = Pick<Batch, "id" | "at" | "alerts" | "left_out"> & { readonly fleet: string };

type Told = Batch["alerts"][number];

const whose = ({ host }: Pick<Told, "host">) => (host === FLEET_WIDE ? "the fleet" : host);

/** `[as64500] 2 firing: ixp1 session/upstream, core1 silent; 1 over`. */
export function subjectOf({ fleet, alerts, left_out }: AlertMessage): string {
  const firing = alerts.filter(({ state }) => state === "firing");
  const over = alerts.length - firing.length;
  const named = (list: readonly Told[]) =>
    listText(
      list.map((alert) => `${whose(alert)} ${alert.about}`),
      3,
    );
  const parts = [
    ...(firing.length > 0 ? [`${firing.length} firing: ${named(firing)}`] : []),
    ...(over > 0 ? [firing.length > 0 ? `${over} over` : `${over} over: ${named(alerts)}`] : []),
    ...(left_out > 0 ? [countText(left_out, "more alert")] : []),
  ];
  return `[${fleet}] ${parts.join("; ")}`.replaceAll(/\s+/g, " ").slice(0, 300);
}

/** What is wrong first, grouped by host, then what is over. */
export function textOf(message: AlertMessage): string {
  const { alerts, left_out } = message;
  const lines: string[] = [];
  for (const state of ["firing", "resolved"] as const) {
    const group = alerts.filter((alert) => alert.state === state);
    if (group.length === 0) continue;
    lines.push(state === "firing" ? "FIRING" : "OVER");
    for (const host of new Set(group.map(whose)))
      for (const alert of group.filter((each) => whose(each) === host)) lines.push(...linesOf(host, alert));
    lines.push("");
  }
  if (left_out > 0) lines.push(`and ${countText(left_out, "more alert")}: ctl alerts`, "");
  return lines.join("\n").trimEnd();
}

function linesOf(host: string, alert: Told): string[] {
  const what = alert.what.replaceAll("\n", " ");
  if (alert.resolved_at !== null)
    return [`${host}  ${alert.about}: over since ${timeText(alert.resolved_at)}, was: ${what}`];
  return [`${host}  ${alert.severity} since ${timeText(alert.since)}: ${what}`, `    ${alert.next}`];
}
