/**
 * Messages of RFC 5424 to a syslog server: over UDP (RFC 5426), over TLS (RFC 5425), or over a unix stream socket, the latter two with the length before each
 * message. Facility 13 (log audit); what was refused or failed is a warning, the rest information. UDP and syslog itself acknowledge nothing: what the
 * system took counts as handed over, and a datagram that is lost on its way is lost. What is too large for one, as no record of ours is, goes without its content: it
 * would be refused each time, and hold up all that comes after it.
 */
import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { createConnection, isIP, isIPv6, type Socket } from "node:net";
import { hostname } from "node:os";
import { connect } from "node:tls";
import type { StoredMessage } from "@muster/ports/bus";
import { AuditRecord } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { lineOf, type Sink } from "./sink.ts";

export type SyslogTarget =
  | {
      readonly transport: "udp" | "tls";
      readonly host: string;
      readonly port: number;
      readonly ca?: string | undefined;
    }
  | { readonly transport: "unix"; readonly path: string };

const FACILITY = 13;
const CONNECT_MS = 5_000;
/** The most that fits into one over IPv6, with some room. */
const DATAGRAM_BYTES = 65_000;

/** Errors of `give`: FAILED with the system's words. */
export function syslog(target: SyslogTarget): Sink {
  if (target.transport === "udp") return overUdp(target);
  let socket: Socket | null = null;
  const opened = async (): Promise<Socket> => {
    if (socket !== null && !socket.destroyed && socket.writable) return socket;
    socket = await connected(target);
    return socket;
  };
  return {
    name: "syslog",
    close: () => socket?.end(),
    give: (records) =>
      told(target, async () => {
        const out = await opened();
        const messages = records.map((record) => Buffer.from(messageOf(record)));
        const bytes = Buffer.concat(messages.flatMap((each) => [Buffer.from(`${each.length} `), each]));
        await new Promise<void>((resolve, reject) => {
          out.write(bytes, (error) => (error ? reject(error) : resolve()));
        });
      }),
  };
}

function overUdp(target: { readonly host: string; readonly port: number }): Sink {
  return {
    name: "syslog",
    close: () => undefined,
    give: (records) =>
      told({ transport: "udp", ...target }, async () => {
        const socket = createSocket(isIPv6(target.host) ? "udp6" : "udp4");
        try {
          for (const record of records)
            await new Promise<void>((resolve, reject) => {
              socket.send(datagramOf(record), target.port, target.host, (error) =>
                error ? reject(error) : resolve(),
              );
            });
        } finally {
          socket.close();
        }
      }),
  };
}

async function connected(target: Exclude<SyslogTarget, { transport: "udp" }>): Promise<Socket> {
  const ca = "ca" in target && target.ca !== undefined ? { ca: await readFile(target.ca) } : {};
  return new Promise((resolve, reject) => {
    const socket =
      target.transport === "unix"
        ? createConnection(target.path)
        : connect({
            host: target.host,
            port: target.port,
            ...(isIP(target.host) !== 0 ? {} : { servername: target.host }),
            ...ca,
          });
    const late = setTimeout(
      () => socket.destroy(new Error(`not connected after ${CONNECT_MS} ms`)),
      CONNECT_MS,
    );
    socket.once(target.transport === "unix" ? "connect" : "secureConnect", () => {
      clearTimeout(late);
      socket.unref();
      resolve(socket);
    });
    // A server that closes later is found out at the next write.
    socket.on("error", (error) => {
      clearTimeout(late);
      socket.destroy();
      reject(error);
    });
    socket.on("end", () => socket.destroy());
    socket.resume();
  });
}

/** `<110>1 2026-11-25T19:00:00.000Z core1 muster - command - {…}` */
export function messageOf(message: StoredMessage): string {
  const parsed = AuditRecord.safeParse(jsonOf(message.body));
  const record = parsed.success ? parsed.data : null;
  const bad = record === null || record.result === "refused" || record.result === "failed";
  const priority = FACILITY * 8 + (bad ? 4 : 6);
  const at = new Date(record?.at ?? message.stored_at).toISOString();
  const host = record?.host ?? hostname();
  return `<${priority}>1 ${at} ${host} muster - ${record?.kind ?? "none"} - ${lineOf(message)}`;
}

function datagramOf(message: StoredMessage): string {
  const whole = messageOf(message);
  if (Buffer.byteLength(whole) <= DATAGRAM_BYTES) return whole;
  const body = Buffer.from(
    `${message.body.length} bytes, too large for UDP: ctl audit, or stream AUDIT, has them`,
  );
  return messageOf({ ...message, body });
}

function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString());
  } catch {
    return null;
  }
}

async function told(target: SyslogTarget, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof FleetError) throw cause;
    const where = target.transport === "unix" ? target.path : `${target.host}:${target.port}`;
    throw new FleetError(
      "FAILED",
      `syslog at ${where}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}
