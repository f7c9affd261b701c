/**
 * `GET /metrics` for Prometheus over plain HTTP, where the configuration says so: a loopback address, or one that only the monitoring reaches; and `GET /sd`, what the fleet runs, for
 * its discovery by HTTP (prometheus.io/docs/prometheus/latest/http_sd). The metrics are made once for all who ask while they are made and two seconds after, so that what they cost does
 * not grow with their number.
 */
import { createServer, type ServerResponse } from "node:http";
import { FleetError } from "@muster/protocol/errors";
import type { TargetGroup } from "@muster/protocol/monitoring";
import { listening } from "../listening.ts";
import { CONTENT_TYPE } from "./exposition.ts";

const KEPT_MS = 2_000;
const CONNECTIONS = 64;
const PATIENCE_MS = 10_000;

export type Pages = {
  /** The text of /metrics in pieces. */
  metrics(): Promise<readonly Buffer[]>;
  /** All, or those of one job. Errors: what is declared cannot be read now. */
  targets(job: string | undefined): Promise<readonly TargetGroup[]>;
};

/** Listens until the signal aborts; gives the port. `listen` is host:port or [v6]:port, port 0 = any. Errors: CONFIG when it cannot listen there. */
export async function serveMetrics(listen: string, pages: Pages, signal: AbortSignal): Promise<number> {
  let kept: Promise<readonly Buffer[]> | null = null;
  const make = async () => {
    try {
      return await pages.metrics();
    } finally {
      setTimeout(() => (kept = null), KEPT_MS).unref();
    }
  };
  const metrics = async (response: ServerResponse) => {
    kept ??= make();
    const pieces = await kept;
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    response.writeHead(200, { "content-type": CONTENT_TYPE, "content-length": length });
    for (const piece of pieces) response.write(piece);
    response.end();
  };
  const limits = { requestTimeout: PATIENCE_MS, headersTimeout: PATIENCE_MS };
  const server = createServer(limits, (request, response) => {
    request.resume();
    const [path, query] = (request.url ?? "").split("?");
    if (path !== "/metrics" && path !== "/sd") response.writeHead(404).end("there are /metrics and /sd\n");
    else if (request.method !== "GET" && request.method !== "HEAD")
      response.writeHead(405, { allow: "GET, HEAD" }).end();
    else if (path === "/metrics") void metrics(response);
    else void discovery(new URLSearchParams(query).get("job") ?? undefined, response, pages);
  });
  server.maxConnections = CONNECTIONS;
  const port = await listening(server, listen, "metrics");
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  return port;
}

/** Prometheus keeps the targets that it has when the answer is not 200; an empty list takes them away. */
async function discovery(job: string | undefined, response: ServerResponse, pages: Pages): Promise<void> {
  try {
    const groups = JSON.stringify(await pages.targets(job));
    response.writeHead(200, { "content-type": "application/json" }).end(groups);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    response.writeHead(503).end(`${error.message}\n`);
  }
}
