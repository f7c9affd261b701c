/** What is on its way on one route, as it is stored before it is sent: a controller that takes over sends the very same again, under the same id. */
import { Alert, FLEET_WIDE } from "@muster/protocol/alert";
import type { AlertRoute } from "@muster/protocol/alerting";
import { Instant } from "@muster/protocol/names";
import { z } from "zod";

/** What one message holds; more are counted. */
const ALERTS_A_MESSAGE = 200;

export const Batch = z.object({
  id: z.string(),
  at: Instant,
  /** Those that the route did not know, or is told again. */
  alerts: z.array(Alert),
  /** All that it was about, for what is written down when it got through. */
  items: z.array(z.object({ host: z.string(), about: z.string(), state: z.enum(["firing", "resolved"]) })),
  left_out: z.int(),
});
export type Batch = z.infer<typeof Batch>;

export const RouteState = z.object({
  batch: Batch.nullable(),
  ok_at: Instant.nullable(),
  failing_since: Instant.nullable(),
  error: z.string(),
});
export type RouteState = z.infer<typeof RouteState>;

export const freshRoute = (): RouteState => ({ batch: null, ok_at: null, failing_since: null, error: "" });

/** An Alertmanager groups, waits and repeats by itself, and forgets what it does not hear of. */
export const ALERTMANAGER_EVERY_MS = 60_000;

/** Whether the route wants to hear of it. */
const wants = (route: AlertRoute, { host, severity }: Alert) =>
  (route.severity === "ticket" || severity === "page") &&
  (route.hosts === null || host === FLEET_WIDE || route.hosts.includes(host));

/**
 * What the route has to be told now; null = nothing, or not yet: what is new waits for more of its kind.
 * `quiet` says why nobody is told of an alert that fires. What lies ahead of `now_ms` is of a clock that was set back since, and waits for nothing.
 */
export function batchFor(
  name: string,
  route: AlertRoute,
  alerts: Iterable<Alert>,
  quiet: (alert: Alert) => string | null,
  now_ms: number,
  id: string,
): Batch | null {
  const own = route.to === "alertmanager";
  const repeat_ms = own ? ALERTMANAGER_EVERY_MS : route.repeat_ms;
  const waited = (at: number) => (at > now_ms ? now_ms : at + (own ? 0 : route.wait_ms));
  const due: Alert[] = [];
  let soonest = Number.POSITIVE_INFINITY;
  for (const alert of alerts) {
    const told = alert.told[name];
    if (alert.resolved_at !== null) {
      if (told?.state !== "firing") continue;
      soonest = Math.min(soonest, waited(alert.resolved_at));
    } else {
      if (!wants(route, alert) || quiet(alert) !== null) continue;
      if (told?.state !== "firing") soonest = Math.min(soonest, waited(alert.fired_at));
      else if (now_ms >= told.at && now_ms - told.at < repeat_ms) continue;
      else soonest = Math.min(soonest, now_ms);
    }
    due.push(alert);
  }
  if (soonest > now_ms) return null;
  due.sort(worstFirst);
  return {
    ...{ id, at: now_ms },
    alerts: structuredClone(due.slice(0, ALERTS_A_MESSAGE)),
    items: due.map(({ host, about, state }) => ({ host, about, state })),
    left_out: Math.max(0, due.length - ALERTS_A_MESSAGE),
  };
}

/** What fires before what is over, pages before tickets, the oldest first. */
export const worstFirst = (one: Alert, other: Alert): number =>
  Number(one.state === "resolved") - Number(other.state === "resolved") ||
  Number(one.severity === "ticket") - Number(other.severity === "ticket") ||
  one.fired_at - other.fired_at;
