/** A webhook: the alerts as JSON by POST, in the words of `ctl alerts --json`. `id` and `Idempotency-Key` are the same when a message comes twice. */

import { ask, bearer } from "../../outside.ts";
import { subjectOf, textOf } from "../message.ts";
import type { Send } from "./index.ts";

export const webhook: Send<"webhook"> = async (message, route, { secret, signal }) => {
  const [url, token] = await Promise.all([
    secret(route.url),
    route.token === undefined ? null : secret(route.token),
  ]);
  const { id, fleet, at, left_out } = message;
  const alerts = message.alerts.map(({ told: _told, ...alert }) => alert);
  const body = { v: 1, id, fleet, at, subject: subjectOf(message), text: textOf(message), alerts, left_out };
  const headers = { "content-type": "application/json", "idempotency-key": id, ...bearer(token) };
  await ask(
    { method: "POST", url, what: "the webhook", headers, body: JSON.stringify(body), ca: route.ca },
    signal,
  );
};
