/**
 * The web page over HTTPS. It is the same for everybody and holds nothing of the fleet but its name and its brokers' addresses: what is shown comes over the
 * bus, to whoever has a ticket. No cookie, no form, nothing but GET.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import type { Issuer } from "../certificates/issuer.ts";
import type { ControllerConfig } from "../config.ts";
import { listening } from "../listening.ts";
import { pause, untilDone } from "../retry.ts";
import { type PageTls, pageTls } from "./certificate.ts";
import { pageBrokers, pageFile, pageHeaders } from "./files.ts";

type Dashboard = NonNullable<ControllerConfig["dashboard"]>;

export type DashboardPorts = {
  readonly fleet: string;
  /** This controller's name. */
  readonly name: string;
  readonly issuer: Issuer;
  readonly log: Log;
  readonly now: () => number;
  /** Hears the port. */
  readonly on_listening?: (port: number) => void;
};

const CONNECTIONS = 256;
const PATIENCE_MS = 10_000;
const LOOK_MS = 60_000;

/** Serves until the signal aborts. A port that is taken must not keep hosts from being admitted: it is logged, and there is no page. */
export async function serveDashboard(
  config: Dashboard,
  ports: DashboardPorts,
  signal: AbortSignal,
): Promise<void> {
  try {
    await serve(config, ports, signal);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    if (error.code !== "CANCELLED") ports.log.error({ err: error }, "no web page");
  }
}

async function serve(config: Dashboard, ports: DashboardPorts, signal: AbortSignal): Promise<void> {
  const { log, now, issuer } = ports;
  const tellFailure = (error: FleetError) => log.warn({ err: error }, "the web page's certificate");
  const tellUnnamed = (error: FleetError) =>
    log.warn(
      { err: error },
      "the web page's names are not signed: ctl init once more, browsers warn till then",
    );
  const newTls = () =>
    untilDone(() => pageTls(config, ports.name, issuer, now(), tellUnnamed), tellFailure, signal);
  let tls = await newTls();
  const server = serverOf(config, tls, ports);
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) return stop();
  const port = await listening(server, config.listen, "the web page");
  log.info({ port, addresses: config.addresses }, "serves the web page");
  ports.on_listening?.(port);
  while (!signal.aborted) {
    await pause(LOOK_MS, signal);
    if (signal.aborted || now() < tls.renew_at) continue;
    tls = await newTls();
    takeUp(server, tls);
  }
}

function serverOf(config: Dashboard, tls: PageTls, { fleet, log }: DashboardPorts): Server {
  const limits = { requestTimeout: PATIENCE_MS, headersTimeout: PATIENCE_MS, minVersion: "TLSv1.2" as const };
  const brokers = pageBrokers(config.brokers);
  const about = JSON.stringify({ fleet, brokers });
  const headers = pageHeaders(brokers);
  const server = createServer(limits, (request, response) => {
    answer(request, response, config.files, headers, about).catch((error) => {
      log.error({ err: error, path: request.url }, "a file of the web page");
      if (!response.headersSent) response.writeHead(500, headers);
      response.end();
    });
  });
  server.maxConnections = CONNECTIONS;
  takeUp(server, tls);
  return server;
}

/** Errors: CONFIG for a certificate or key that is none. */
function takeUp(server: Server, { cert, key }: PageTls): void {
  try {
    server.setSecureContext({ cert, key });
  } catch (cause) {
    throw new FleetError("CONFIG", "the web page's certificate and key cannot be used", { cause });
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  directory: string,
  headers: Readonly<Record<string, string>>,
  about: string,
): Promise<void> {
  request.resume();
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { ...headers, allow: "GET, HEAD" }).end();
    return;
  }
  if (path === "/fleet.json") {
    const type = "application/json; charset=utf-8";
    response.writeHead(200, { ...headers, "content-type": type, "cache-control": "no-store" }).end(about);
    return;
  }
  const gzip = /\bgzip\b/.test(String(request.headers["accept-encoding"] ?? ""));
  const file = await pageFile(directory, path, gzip);
  if (file === null) {
    response.writeHead(404, headers).end("there is no such file\n");
    return;
  }
  const known = { ...headers, etag: file.etag, "cache-control": "no-cache", vary: "accept-encoding" };
  if (request.headers["if-none-match"] === file.etag) {
    response.writeHead(304, known).end();
    return;
  }
  const encoding = file.gzipped ? { "content-encoding": "gzip" } : {};
  response.writeHead(200, { ...known, ...encoding, "content-type": file.type }).end(file.body);
}
