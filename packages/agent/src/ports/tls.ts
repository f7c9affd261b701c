/** The certificates that a TLS server shows. Nothing is said to it and nothing is trusted: they are looked at. */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { FleetError } from "@muster/protocol/errors";

export type Presented = { readonly leaf: X509Certificate; readonly chain: readonly X509Certificate[] };

const CHAIN = 10;

/**
 * @param at host and port; IPv6 without brackets
 * Errors: UNREACHABLE with the reason when no certificate was shown in time; CANCELLED.
 */
export async function presented(
  at: { readonly host: string; readonly port: number },
  timeout_ms: number,
  signal: AbortSignal,
): Promise<Presented> {
  // Not loaded on a host that watches no address.
  const { connect } = await import("node:tls");
  const where = `${at.host}:${at.port}`;
  return await new Promise((resolve, reject) => {
    const socket = connect({
      ...at,
      ...(isIP(at.host.replace(/%.*/, "")) === 0 ? { servername: at.host } : {}),
      rejectUnauthorized: false,
    });
    const fail = (why: string) => {
      socket.destroy();
      reject(new FleetError("FAILED", `${where}: ${why}`));
    };
    const timer = setTimeout(() => fail(`no certificate within ${timeout_ms / 1_000} s`), timeout_ms);
    const stop = () => {
      socket.destroy();
      reject(new FleetError("CANCELLED", where));
    };
    signal.addEventListener("abort", stop, { once: true });
    socket.on("close", () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    });
    socket.on("error", (error) => fail(error.message));
    socket.on("secureConnect", () => {
      const shown = socket.getPeerCertificate(true);
      if (shown?.raw === undefined) return fail("it shows no certificate");
      const found: X509Certificate[] = [];
      for (let each = shown; each?.raw !== undefined && found.length < CHAIN; each = each.issuerCertificate) {
        found.push(new X509Certificate(each.raw));
        if (each.issuerCertificate === each) break;
      }
      socket.destroy();
      const [leaf, ...chain] = found;
      if (leaf === undefined) return fail("it shows no certificate");
      resolve({ leaf, chain });
    });
    if (signal.aborted) stop();
  });
}
