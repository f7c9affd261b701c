/** Over TCP and TLS: whether a connection is taken, and whether the certificate that is shown is good for its name and for long enough. */
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { endsTooSoon, trustedBy } from "./certificate.ts";
import { bad, good, hostPort, type MakeWay, wordsOf } from "./way.ts";

export const tcp: MakeWay = (check) => async (signal) => {
  const began_ms = performance.now();
  return opened(connect({ ...hostPort(check.tcp ?? ""), signal }), "connect", (socket) => {
    socket.destroy();
    return good(began_ms);
  }).catch((error: unknown) => bad(wordsOf(error)));
};

export const tls: MakeWay = (check, door) => async (signal) => {
  const { host, port } = hostPort(check.tls ?? "");
  const verify = check.verify ?? true;
  const secureContext = verify ? await trustedBy(door.fleetCa()) : undefined;
  const began_ms = performance.now();
  const socket = connectTls({
    ...{ host, port, rejectUnauthorized: verify },
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(secureContext === undefined ? {} : { secureContext }),
  });
  const stop = () => socket.destroy(new Error("stopped"));
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await opened(socket, "secureConnect", () => {
      const late = endsTooSoon(socket, check.valid_for, door.ports.now());
      return late === null ? good(began_ms) : bad(late);
    });
  } catch (error) {
    return bad(wordsOf(error));
  } finally {
    signal.removeEventListener("abort", stop);
    socket.destroy();
  }
};

/** What `take` makes of it once it is open. Errors: the system's. */
export function opened<S extends Socket, T>(socket: S, event: string, take: (socket: S) => T): Promise<T> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve(take(socket)));
    // What comes after it was closed is nobody's.
    socket.on("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed")));
  });
}
