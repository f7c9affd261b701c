/**
 * Who is this broker? Before anything is sent: a plain TCP connection, the broker's INFO read, TLS without trusting anybody, and the root of
 * the chain that it shows. Its anchor must be the one that came with the join or fleet string; the real connections are pinned to it.
 */
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createConnection, isIP, type Socket } from "node:net";
import { connect as connectTls, type DetailedPeerCertificate, type TLSSocket } from "node:tls";
import { FleetError } from "@muster/protocol/errors";
import { anchorOf, sameAnchor } from "@muster/protocol/trust";

const LIMIT_MS = 8_000;
/** A broker that speaks first does so at once; one that waits this long wants TLS first. */
const INFO_WAIT_MS = 1_500;

export type CheckedBroker = { readonly root_pem: string; readonly handshake_first: boolean };

/**
 * Errors: BUS_UNREACHABLE when nobody answers or the answer is no broker's; WRONG_ANCHOR when the root is another, or is not shown at all
 * (the broker's certificate file must hold the chain up to its CA).
 */
export async function checkBroker(
  server: { host: string; port: number },
  anchor: string,
  signal: AbortSignal,
): Promise<CheckedBroker> {
  const address = `${server.host}:${server.port}`;
  const limited = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]);
  const socket = createConnection({ host: server.host, port: server.port });
  let secure: TLSSocket | null = null;
  try {
    await once(socket, "connect", { signal: limited });
    const handshake_first = !(await speaksFirst(socket, limited));
    secure = connectTls({
      socket,
      rejectUnauthorized: false,
      ...(isIP(server.host) === 0 ? { servername: server.host } : {}),
    });
    await once(secure, "secureConnect", { signal: limited });
    const root = rootOf(secure.getPeerCertificate(true));
    if (root === null) {
      throw new FleetError(
        "WRONG_ANCHOR",
        `${address} does not show its CA: its certificate file must hold the whole chain`,
      );
    }
    const shown = anchorOf(root);
    if (!sameAnchor(shown, anchor))
      throw new FleetError("WRONG_ANCHOR", `${address} shows ${shown}, expected ${anchor}`);
    return { root_pem: new X509Certificate(root).toString(), handshake_first };
  } catch (cause) {
    if (cause instanceof FleetError) throw cause;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const why = limited.aborted ? "no answer in time" : code || (cause instanceof Error ? cause.message : "");
    throw new FleetError("BUS_UNREACHABLE", `${address}: ${why}`, { cause });
  } finally {
    secure?.destroy();
    socket.destroy();
  }
}

async function speaksFirst(socket: Socket, signal: AbortSignal): Promise<boolean> {
  const quiet = AbortSignal.timeout(INFO_WAIT_MS);
  let text = "";
  try {
    while (!text.includes("\r\n")) {
      const [chunk]: Buffer[] = await once(socket, "data", { signal: AbortSignal.any([signal, quiet]) });
      text += chunk?.toString("latin1") ?? "";
      if (text.length > 65_536) throw new FleetError("BUS_UNREACHABLE", "what answers there is no broker");
    }
  } catch (error) {
    if (quiet.aborted && !signal.aborted && text === "") return false;
    throw error;
  } finally {
    socket.pause();
  }
  if (!text.startsWith("INFO ")) throw new FleetError("BUS_UNREACHABLE", "what answers there is no broker");
  return true;
}

/** The self-issued end of the chain as it was shown; null when it ends before. */
function rootOf(leaf: DetailedPeerCertificate): Buffer | null {
  let current: DetailedPeerCertificate | undefined = leaf;
  for (let depth = 0; depth < 8 && current?.raw !== undefined; depth++) {
    const certificate = new X509Certificate(current.raw);
    if (certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey))
      return current.raw;
    if (current.issuerCertificate === current) return null;
    current = current.issuerCertificate;
  }
  return null;
}
