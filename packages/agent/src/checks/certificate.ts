/** Whom a check believes over TLS: the system's CAs and the fleet's own; and how long a certificate is still good. */
import { readFile } from "node:fs/promises";
import { createSecureContext, rootCertificates, type SecureContext, type TLSSocket } from "node:tls";
import { durationMs } from "@muster/protocol/resources/amount";
import { timeText } from "@muster/protocol/time";

const SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt";
/** To make one reads some 140 certificates: 10 ms. New CAs of the system are seen with the next. */
const KEPT_MS = 6 * 3_600_000;
let kept: { readonly fleet_ca: string; readonly until_ms: number; readonly context: SecureContext } | null =
  null;

export async function trustedBy(fleet_ca: string): Promise<SecureContext> {
  if (kept === null || kept.fleet_ca !== fleet_ca || kept.until_ms < performance.now()) {
    // Without the package ca-certificates there are those that Node brings.
    const system = await readFile(SYSTEM_CAS, "utf8").catch(() => rootCertificates.join("\n"));
    const context = createSecureContext({ ca: [system, fleet_ca].filter((each) => each !== "") });
    kept = { fleet_ca, context, until_ms: performance.now() + KEPT_MS };
  }
  return kept.context;
}

/** Null when it is good for that long still, else what is wrong. */
export function endsTooSoon(socket: TLSSocket, valid_for: string | undefined, now_ms: number): string | null {
  if (valid_for === undefined) return null;
  const ends_ms = Date.parse(socket.getPeerCertificate().valid_to);
  if (Number.isNaN(ends_ms)) return "it shows no certificate";
  const asked_ms = valid_for.endsWith("d")
    ? Number(valid_for.slice(0, -1)) * 86_400_000
    : durationMs(valid_for);
  if (ends_ms - now_ms >= asked_ms) return null;
  return ends_ms <= now_ms
    ? `its certificate ended ${timeText(ends_ms)}`
    : `its certificate ends ${timeText(ends_ms)}, sooner than in ${valid_for}`;
}
