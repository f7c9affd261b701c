/**
 * `GET /metrics` for Prometheus over plain HTTP, where the configuration says so: a loopback address, or one that only the monitoring reaches; and `GET /sd`, what the fleet runs, for
 * its discovery by HTTP (prometheus.io/docs/prometheus/latest/http_sd). The metrics are made once for all who ask within two seconds, so that what they cost does not grow with their number.
 */
import { createServer, type ServerResponse } from "node:http";
import { FleetError } from "@muster/protocol/errors";
import type { TargetGroup } from "@muster/protocol/monitoring";
import { listening } from "../listening.ts";
import { CONTENT_TYPE, expose, type Family } from "./exposition.ts";

const KEPT_MS = 2_000;
const CONNECTIONS = 64;
const PATIENCE_MS = 10_000;

export type Pages = {
  families(): readonly Family[];
  /** All, or those of one job. Errors: what is declared cannot be read now. */
  targets(job: string | undefined): Promise<readonly TargetGroup[]>;
};

/** Listens until the signal aborts; gives the port. `listen` is host:port or [v6]:port, port 0 = any. Errors: CONFIG when it cannot listen there. */
export async function serveMetrics(listen: string, pages: Pages, signal: AbortSignal): Promise<number> {
  let kept = { until: 0, text: "" };
  const metrics = () => {
    if (kept.until < performance.now())
      kept = { text: expose(pages.families()), until: performance.now() + KEPT_MS };
    return kept.text;
  };
  const limits = { requestTimeout: PATIENCE_MS, headersTimeout: PATIENCE_MS };
  const server = createServer(limits, (request, response) => {
    request.resume();
    const [path, query] = (request.url ?? "").split("?");
    if (path !== "/metrics" && path !== "/sd") response.writeHead(404).end("there are /metrics and /sd\n");
    else if (request.method !== "GET" && request.method !== "HEAD")
      response.writeHead(405, { allow: "GET, HEAD" }).end();
    else if (path === "/metrics") response.writeHead(200, { "content-type": CONTENT_TYPE }).end(metrics());
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
