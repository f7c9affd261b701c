/** The TLS certificate that a Vault server shows, looked at without asking Vault anything. Source: nodejs.org/api/tls. */
import { isIP } from "node:net";
import { connect } from "node:tls";
import { FleetError } from "@muster/protocol/errors";

const TIME_LIMIT_MS = 5_000;

/** `not_after`: milliseconds since 1970. `protocol`: such as `TLSv1.3`. */
export type ServerTls = { readonly not_after: number; readonly protocol: string };

/**
 * Errors: VAULT_UNREACHABLE for no connection and for a certificate that is not of this CA or not for this address.
 * @param address `https://host:port`
 */
export function serverTls(address: string, ca_pem: string, signal: AbortSignal): Promise<ServerTls> {
  const url = new URL(address);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port === "" ? 443 : url.port);
  const named = isIP(host) === 0 ? { servername: host } : {};
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, ca: ca_pem, ...named });
    const fail = (detail: string): void => {
      socket.destroy();
      reject(new FleetError("VAULT_UNREACHABLE", `${url.host}: ${detail}`));
    };
    const stop = (): void => fail("stopped on request");
    socket.setTimeout(TIME_LIMIT_MS, () => fail(`no TLS within ${TIME_LIMIT_MS} ms`));
    signal.addEventListener("abort", stop, { once: true });
    socket.once("close", () => signal.removeEventListener("abort", stop));
    socket.once("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.name));
    socket.once("secureConnect", () => {
      const certificate = socket.getPeerX509Certificate();
      if (certificate === undefined) return fail("it shows no certificate");
      resolve({ not_after: Date.parse(certificate.validTo), protocol: socket.getProtocol() ?? "" });
      socket.destroy();
    });
  });
}
