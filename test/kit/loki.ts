/**
 * What speaks Loki's push API as Loki does (pkg/loghttp/push and validation of grafana/loki): JSON, plain or in gzip; a tenant where it wants one; entries that are no entries, have no
 * labels or are too old are refused with its words, as is who does not log in.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { z } from "zod";

const Push = z.strictObject({
  streams: z.array(
    z.strictObject({
      stream: z
        .record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/), z.string())
        .refine((labels) => Object.keys(labels).length > 0, "at least one label pair is required per stream")
        .refine((labels) => Object.keys(labels).length <= 15, "has more than 15 label names"),
      values: z.array(z.tuple([z.string().regex(/^\d{19}$/), z.string()])).min(1),
    }),
  ),
});
/** reject_old_samples_max_age. */
const OLD_MS = 7 * 86_400_000;

export type Stored = { readonly labels: Record<string, string>; readonly ns: string; readonly text: string };
export type LokiReceiver = {
  readonly url: string;
  readonly stored: Stored[];
  readonly asked: { readonly path: string; readonly headers: IncomingMessage["headers"] }[];
  /** Instead of taking it; null = it works. */
  fails: { readonly status: number; readonly body: string } | null;
  stop(): Promise<void>;
};

/** At an address of this machine; default: loopback. */
export async function lokiReceiver(
  wanted: { tenant?: string; authorization?: string; host?: string } = {},
): Promise<LokiReceiver> {
  const { host = "127.0.0.1" } = wanted;
  const known = new Set<string>();
  const judge = (request: IncomingMessage, sent: Buffer): { status: number; body: string } => {
    receiver.asked.push({ path: request.url ?? "", headers: request.headers });
    if (receiver.fails !== null) return receiver.fails;
    if (request.url !== "/loki/api/v1/push" || request.method !== "POST")
      return { status: 404, body: "404 page not found" };
    const { headers } = request;
    if (wanted.authorization !== undefined && headers.authorization !== wanted.authorization)
      return { status: 401, body: "no credentials provided" };
    if (wanted.tenant !== undefined && headers["x-scope-orgid"] !== wanted.tenant)
      return { status: 401, body: "no org id" };
    if (headers["content-type"] !== "application/json") return { status: 400, body: "snappy: corrupt input" };
    const text = (headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent).toString();
    const push = Push.safeParse(JSON.parse(text));
    if (!push.success) return { status: 400, body: `error at least: ${push.error.issues[0]?.message}` };
    for (const { stream, values } of push.data.streams)
      for (const [ns, line] of values) {
        if (Number(ns) / 1e6 < Date.now() - OLD_MS)
          return { status: 400, body: `entry for stream '${JSON.stringify(stream)}' has timestamp too old` };
        // The same words at the same time in one stream are one entry for it.
        const key = JSON.stringify([stream, ns, line]);
        if (!known.has(key)) receiver.stored.push({ labels: stream, ns, text: line });
        known.add(key);
      }
    return { status: 204, body: "" };
  };
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { status, body } = judge(request, Buffer.concat(parts));
      response.writeHead(status).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const receiver: LokiReceiver = {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    ...{ stored: [], asked: [], fails: null },
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return receiver;
}
