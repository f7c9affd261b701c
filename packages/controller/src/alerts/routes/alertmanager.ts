/**
 * An existing Alertmanager, by its API v2: every minute all that fires, with an end some minutes ahead, so that it ends there by itself when nobody watches any more.
 * It groups, silences and repeats by its own rules. Source: prometheus/alertmanager, api/v2/openapi.yaml, POST /alerts.
 */
import { FLEET_WIDE } from "@muster/protocol/alert";
import { ask, bearer } from "../../outside.ts";
import { ALERTMANAGER_EVERY_MS } from "../route-state.ts";
import type { Send } from "./index.ts";

const ENDS_MS = 5 * ALERTMANAGER_EVERY_MS;

export const alertmanager: Send<"alertmanager"> = async (message, route, { secret, signal }) => {
  const [base, token] = await Promise.all([
    secret(route.url),
    route.token === undefined ? null : secret(route.token),
  ]);
  const { fleet, at } = message;
  const body = message.alerts.map(({ host, about, severity, since, resolved_at, what, next }) => ({
    // Labels are what it knows an alert by: nothing in them changes while it lasts.
    labels: { alertname: nameOf(about), fleet, severity, about, ...(host === FLEET_WIDE ? {} : { host }) },
    annotations: { summary: what, command: next },
    startsAt: new Date(since).toISOString(),
    endsAt: new Date(resolved_at ?? at + ENDS_MS).toISOString(),
  }));
  const headers = { "content-type": "application/json", ...bearer(token) };
  const url = `${base.replace(/\/+$/, "")}/api/v2/alerts`;
  await ask(
    { method: "POST", url, what: "the Alertmanager", headers, body: JSON.stringify(body), ca: route.ca },
    signal,
  );
};

/** `MusterSession` of `session/upstream`. */
const nameOf = (about: string): string => {
  const [kind = ""] = about.split("/");
  return `Muster${kind.charAt(0).toUpperCase()}${kind.slice(1).replaceAll(/[^A-Za-z0-9_]/g, "_")}`;
};
