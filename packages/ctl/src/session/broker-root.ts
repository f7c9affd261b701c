/**
 * Whom a broker's TLS comes from, seen before anything is believed or sent: TCP, the server's INFO line, then TLS. The root of the chain that it
 * shows is compared with the anchor by the caller; the real connection is made afterwards under that root.
 * Source: docs.nats.io/reference/nats-protocol, "INFO" and "TLS".
 */
import type { X509Certificate } from "node:crypto";
import { createConnection, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { FleetError } from "@muster/protocol/errors";

const TIME_LIMIT_MS = 5_000;
const INFO_LIMIT_BYTES = 64 * 1024;
const CHAIN_LIMIT = 8;

/**
 * The last certificate of the chain that the broker shows, PEM.
 * Errors: BUS_UNREACHABLE for no connection, no NATS server, no TLS; CANCELLED.
 */
export async function brokerRoot(
  server: { host: string; port: number },
  signal: AbortSignal,
): Promise<string> {
  const where = `${server.host}:${server.port}`;
  if (signal.aborted) throw new FleetError("CANCELLED", where);
  const socket = createConnection({ ...server, autoSelectFamily: true });
  let timer: NodeJS.Timeout | undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new FleetError("BUS_UNREACHABLE", `${where}: no answer in 5 s`)),
      TIME_LIMIT_MS,
    );
    signal.addEventListener("abort", () => reject(new FleetError("CANCELLED", where)), { once: true });
  });
  try {
    return await Promise.race([stopped, rootBehind(socket, where)]);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

async function rootBehind(socket: Socket, where: string): Promise<string> {
  await infoLine(socket, where);
  // Nothing is believed of this connection: its root is only read, and it is closed again.
  const tls = connectTls({ socket, rejectUnauthorized: false });
  try {
    await new Promise<void>((resolve, reject) => {
      tls.once("secureConnect", () => resolve());
      tls.once("error", reject);
      tls.once("close", () => reject(new Error("closed")));
    });
    let certificate: X509Certificate | undefined = tls.getPeerX509Certificate();
    for (let depth = 0; depth < CHAIN_LIMIT && certificate !== undefined; depth++) {
      const issuer: X509Certificate | undefined = certificate.issuerCertificate;
      if (issuer === undefined || issuer.fingerprint256 === certificate.fingerprint256) break;
      certificate = issuer;
    }
    if (certificate === undefined) throw new Error("no certificate");
    return certificate.toString();
  } catch (cause) {
    throw new FleetError("BUS_UNREACHABLE", `${where}: no TLS there`, { cause });
  } finally {
    tls.destroy();
  }
}

function infoLine(socket: Socket, where: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = "";
    const fail = (detail: string, cause?: unknown) =>
      reject(new FleetError("BUS_UNREACHABLE", `${where}: ${detail}`, { cause }));
    const listen = (chunk: Buffer): void => {
      text += chunk.toString("latin1");
      if (!text.includes("\n")) {
        if (text.length > INFO_LIMIT_BYTES) fail("that is no NATS server");
        return;
      }
      socket.removeListener("data", listen);
      socket.pause();
      if (/^INFO \{.*"tls_(required|available)":true/.test(text)) resolve();
      else fail(text.startsWith("INFO ") ? "the broker offers no TLS" : "that is no NATS server");
    };
    socket.on("data", listen);
    socket.once("error", (cause: NodeJS.ErrnoException) => fail(cause.code ?? "no connection", cause));
    socket.once("close", () => fail("the connection was closed"));
  });
}
