/** The way to a BGP neighbour as this host sees it: route, interface, echo, and whether its port takes a connection. */
import { createConnection } from "node:net";
import type { PathProbe } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { isUp } from "../collectors/proc.ts";
import type { Ports } from "../ports/index.ts";

const COMMAND_MS = 4_000;
const CONNECT_MS = 3_000;

/** `address` may carry `%interface`. Nothing is sent but one echo request and one TCP handshake. */
export async function probePath(
  address: string,
  port: number,
  ports: Ports,
  signal: AbortSignal,
): Promise<Omit<PathProbe, "last_change_here_at">> {
  const [plain = "", scope] = address.split("%");
  const name = scope ?? (await routeTo(plain, ports, signal));
  const [reply_ms, port_179] = await Promise.all([echo(address, ports, signal), connects(address, port)]);
  return { interface: name, interface_up: name === null ? null : isUp(name), reply_ms, port_179 };
}

async function routeTo(address: string, ports: Ports, signal: AbortSignal): Promise<string | null> {
  const result = await words("ip", ["-o", "route", "get", address], ports, signal);
  return / dev (\S+)/.exec(result)?.[1] ?? null;
}

async function echo(address: string, ports: Ports, signal: AbortSignal): Promise<number | null> {
  const text = await words("ping", ["-n", "-c", "1", "-W", "2", address], ports, signal);
  const found = /time[=<]([\d.]+) ms/.exec(text)?.[1];
  return found === undefined ? null : Number(found);
}

/** What a program prints; nothing when the host does not have it. */
async function words(file: string, args: string[], ports: Ports, signal: AbortSignal): Promise<string> {
  try {
    return (await ports.run(file, args, { timeout_ms: COMMAND_MS }, signal)).stdout;
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return "";
  }
}

function connects(host: string, port: number): Promise<PathProbe["port_179"]> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    const end = (word: PathProbe["port_179"]) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(word);
    };
    const timer = setTimeout(() => end("silent"), CONNECT_MS);
    socket.once("connect", () => end("open"));
    socket.once("error", (error) => {
      const code = "code" in error ? error.code : "";
      end(
        code === "ECONNREFUSED" || code === "ECONNRESET"
          ? "refused"
          : code === "ETIMEDOUT"
            ? "silent"
            : "unreachable",
      );
    });
  });
}
