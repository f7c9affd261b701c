/**
 * One agent a host: a second one on the same state would apply against the first. The agent listens on a socket in its state directory for as long as it
 * lives; the kernel lets go of it however the process dies, and the file that then stays behind answers nobody and is taken over.
 */
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { dirname } from "node:path";
import { FleetError } from "@muster/protocol/errors";

const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : "");

/**
 * Holds the socket until the signal aborts. Two that start in the same moment after a crash may miss each other: systemd starts one.
 * Errors: CONFLICT when another agent holds it; FAILED on the disk's.
 */
export async function holdAlone(path: string, signal: AbortSignal): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    if (await listens(path, signal)) return;
    if (await answers(path))
      throw new FleetError(
        "CONFLICT",
        `another muster-agent runs on this host and holds ${path}: systemctl status muster-agent`,
      );
    await rm(path, { force: true });
    if (await listens(path, signal)) return;
    throw new FleetError("CONFLICT", `another muster-agent started at the same time and holds ${path}`);
  } catch (cause) {
    if (cause instanceof FleetError) throw cause;
    throw new FleetError("FAILED", `${path}: ${codeOf(cause)}`, { cause });
  }
}

/** False when there is a file already. */
async function listens(path: string, signal: AbortSignal): Promise<boolean> {
  const server = createServer((socket) => socket.destroy());
  server.listen(path);
  try {
    await once(server, "listening");
  } catch (error) {
    if (codeOf(error) === "EADDRINUSE") return false;
    throw error;
  }
  server.unref();
  signal.addEventListener("abort", () => server.close(), { once: true });
  return true;
}

/** Whether an agent holds the socket. Errors: the system's, other than that nobody listens. */
export async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
    return true;
  } catch (error) {
    if (codeOf(error) === "ECONNREFUSED" || codeOf(error) === "ENOENT") return false;
    throw error;
  } finally {
    socket.destroy();
  }
}
