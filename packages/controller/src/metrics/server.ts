/**
 * `GET /metrics` for Prometheus over plain HTTP, where the configuration says so: a loopback address, or one that only the monitoring reaches. The
 * text is made once for all who ask within two seconds, so that what it costs does not grow with their number.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { listening } from "../listening.ts";
import { CONTENT_TYPE, expose, type Family } from "./exposition.ts";

const KEPT_MS = 2_000;
const CONNECTIONS = 64;
const PATIENCE_MS = 10_000;

/** Listens until the signal aborts; gives the port. `listen` is host:port or [v6]:port, port 0 = any. Errors: CONFIG when it cannot listen there. */
export async function serveMetrics(
  listen: string,
  families: () => readonly Family[],
  signal: AbortSignal,
): Promise<number> {
  let kept = { until: 0, text: "" };
  const page = () => {
    if (kept.until < performance.now())
      kept = { text: expose(families()), until: performance.now() + KEPT_MS };
    return kept.text;
  };
  const limits = { requestTimeout: PATIENCE_MS, headersTimeout: PATIENCE_MS };
  const server = createServer(limits, (request, response) => answer(request, response, page));
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

function answer(request: IncomingMessage, response: ServerResponse, page: () => string): void {
  request.resume();
  const path = (request.url ?? "").split("?", 1)[0];
  if (path !== "/metrics") response.writeHead(404).end("there is /metrics\n");
  else if (request.method !== "GET" && request.method !== "HEAD")
    response.writeHead(405, { allow: "GET, HEAD" }).end();
  else response.writeHead(200, { "content-type": CONTENT_TYPE }).end(page());
}
