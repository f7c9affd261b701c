/** Over HTTP and HTTPS: status, words in the answer, and how long the certificate is good. One request, one connection; redirections are not followed. */
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import type { TLSSocket } from "node:tls";
import { endsTooSoon, trustedBy } from "./certificate.ts";
import { type Answer, bad, good, type MakeWay, wordsOf } from "./way.ts";

const BODY_BYTES = 256 * 1024;
const HEADERS = { "user-agent": "muster-agent", accept: "*/*" };

export const http: MakeWay = (check, door) => async (signal) => {
  const url = new URL(check.http ?? "");
  const secure = url.protocol === "https:";
  const verify = check.verify ?? true;
  const tls = !secure
    ? {}
    : verify
      ? { secureContext: await trustedBy(door.fleetCa()) }
      : { rejectUnauthorized: false };
  const began_ms = performance.now();
  return await get(url, { ...tls, signal }, async (response): Promise<Answer> => {
    const code = response.statusCode ?? 0;
    const wanted = check.status === undefined ? code >= 200 && code < 400 : code === check.status;
    if (!wanted) {
      const more = check.status === undefined ? "" : `, ${check.status} asked for`;
      return bad(`answers ${code} ${response.statusMessage ?? ""}`.trimEnd() + more);
    }
    if (secure) {
      const late = endsTooSoon(response.socket as TLSSocket, check.valid_for, door.ports.now());
      if (late !== null) return bad(late);
    }
    if (check.contains === undefined) return good(began_ms);
    const text = await bodyOf(response, BODY_BYTES);
    return text.includes(check.contains)
      ? good(began_ms)
      : bad(`answers ${code}, without "${check.contains.slice(0, 80)}" in ${text.length} characters`);
  }).catch((error: unknown) => bad(wordsOf(error)));
};

/** The answer to one GET, taken by `take`; the connection is closed then. Errors: the system's, and those of `take`. */
export async function get<T>(
  url: URL,
  options: RequestOptions & { signal: AbortSignal },
  take: (response: IncomingMessage) => Promise<T>,
): Promise<T> {
  const { request } = url.protocol === "https:" ? await import("node:https") : await import("node:http");
  let asked: ClientRequest | undefined;
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      asked = request(url, { ...options, agent: false, headers: HEADERS }, resolve);
      asked.on("error", reject);
      asked.end();
    });
    return await take(response);
  } finally {
    asked?.destroy();
  }
}

/** Up to so many bytes of it as text. */
export async function bodyOf(response: IncomingMessage, limit_bytes: number): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    pieces.push(piece);
    size += piece.length;
    if (size >= limit_bytes) break;
  }
  return Buffer.concat(pieces).subarray(0, limit_bytes).toString("utf8");
}
