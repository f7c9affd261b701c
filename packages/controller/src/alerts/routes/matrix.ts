/**
 * Matrix: a message in a room, by the client-server API. The transaction id is the message's own, so that one which is sent twice stands there once.
 * Source: spec.matrix.org, client-server API v1.1 and later, PUT /rooms/{roomId}/send/{eventType}/{txnId}.
 */

import { ask, bearer } from "../../outside.ts";
import { subjectOf, textOf } from "../message.ts";
import type { Send } from "./index.ts";

/** An event is refused above 65,536 bytes, what the server adds included (client-server API, "Size limits"); letters of several bytes count as such. */
const BODY_BYTES = 30_000;

const clipped = (text: string): string =>
  Buffer.byteLength(text) <= BODY_BYTES
    ? text
    : // A letter that was cut through decodes as U+FFFD.
      `${Buffer.from(text)
        .subarray(0, BODY_BYTES)
        .toString()
        .replace(/\uFFFD$/u, "")}…`;

export const matrix: Send<"matrix"> = async (message, route, { secret, signal }) => {
  const token = await secret(route.token);
  const base = route.homeserver.replace(/\/+$/, "");
  const room = encodeURIComponent(route.room);
  const url = `${base}/_matrix/client/v3/rooms/${room}/send/m.room.message/${encodeURIComponent(message.id)}`;
  // An m.notice is what programs say: no other program answers it. One that fires shall ring, and a notice does not everywhere.
  const msgtype = message.alerts.some(({ state }) => state === "firing") ? "m.text" : "m.notice";
  const body = JSON.stringify({
    msgtype,
    body: clipped(`${subjectOf(message)}\n${textOf(message)}`),
  });
  const headers = { "content-type": "application/json", ...bearer(token) };
  await ask({ method: "PUT", url, what: "the Matrix server", headers, body, ca: route.ca }, signal);
};
