/**
 * Where the browser comes back to after a log-in at the identity provider: a listener on this machine alone, for one log-in. Whatever does not carry the
 * state of that log-in is turned away and changes nothing: any page in the person's browser could call it. Source: RFC 8252, section 7.3 and 8.10.
 */
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { FleetError } from "@muster/protocol/errors";
import { callbackAddress } from "../fleet/vault-logins.ts";

/** Vault forgets a log-in that was begun after that time. */
export const WAIT_MS = 300_000;
const REQUEST_BYTES = 16 * 1024;

export type Callback = {
  /** What the provider is told to send the browser to. */
  readonly address: string;
  /** The code for the log-in of that state. Errors: VAULT_DENIED when the provider says no, TIMEOUT, CANCELLED. */
  code(state: string, signal: AbortSignal): Promise<string>;
  close(): void;
};

/** Errors: FAILED when each of the ports is taken. */
export async function openCallback(ports: readonly number[]): Promise<Callback> {
  for (const port of ports) {
    const servers = await listen(port);
    if (servers !== null) return callbackAt(port, servers);
  }
  throw new FleetError(
    "FAILED",
    `ports ${ports.join(", ")} of this machine are taken: free one, or say --paste`,
  );
}

/** `localhost` is either: the browser chooses. null when one of them is taken. */
async function listen(port: number): Promise<readonly Server[] | null> {
  const servers: Server[] = [];
  for (const host of ["127.0.0.1", "::1"]) {
    const server = createServer({ maxHeaderSize: REQUEST_BYTES, requestTimeout: 10_000 });
    try {
      server.listen(port, host);
      await once(server, "listening");
      servers.push(server);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      // A machine without IPv6.
      if (host === "::1" && (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT")) continue;
      for (const open of servers) open.close();
      if (code === "EADDRINUSE" || code === "EACCES") return null;
      throw new FleetError("FAILED", `port ${port} of this machine: ${code}`, { cause: error });
    }
  }
  return servers;
}

function callbackAt(port: number, servers: readonly Server[]): Callback {
  const address = callbackAddress(port);
  const close = () => {
    for (const server of servers) {
      server.close();
      server.closeIdleConnections();
    }
  };
  return {
    address,
    close,
    code: (state, signal) =>
      new Promise((resolve, reject) => {
        const end = (how: () => void) => {
          clearTimeout(late);
          signal.removeEventListener("abort", cancelled);
          how();
        };
        const cancelled = () => end(() => reject(new FleetError("CANCELLED", "the log-in")));
        const late = setTimeout(
          () =>
            end(() =>
              reject(new FleetError("TIMEOUT", "nobody came back from the identity provider in 5 min")),
            ),
          WAIT_MS,
        );
        signal.addEventListener("abort", cancelled, { once: true });
        if (signal.aborted) return cancelled();
        for (const server of servers)
          server.on("request", (request, response: ServerResponse) => {
            let code: string;
            try {
              code = readAnswer(new URL(request.url ?? "/", address), address, state);
            } catch (error) {
              if (!(error instanceof FleetError)) throw error;
              answer(response, 400, error.message);
              // Of a log-in that is not this one nothing is believed, not even that it failed.
              if (error.code !== "INVALID") end(() => reject(error));
              return;
            }
            answer(response, 200, "Thank you: go back to the terminal. This window can be closed.");
            end(() => resolve(code));
          });
      }),
  };
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    connection: "close",
  });
  response.end(`${text}\n`);
}

/**
 * The code in the address that the browser was sent to. Errors: INVALID for an address of another log-in or none, VAULT_DENIED when the provider
 * says no.
 */
export function readAnswer(came: URL, address: string, state: string): string {
  const told = (name: string) => came.searchParams.get(name) ?? "";
  if (came.pathname !== new URL(address).pathname || told("state") !== state)
    throw new FleetError("INVALID", "that is not the address of this log-in");
  if (told("error") !== "") {
    const words = `${told("error")} ${told("error_description")}`.replace(/\p{Cc}/gu, " ").trim();
    throw new FleetError("VAULT_DENIED", `the identity provider said no: ${words.slice(0, 300)}`);
  }
  if (told("code") === "") throw new FleetError("INVALID", "that address holds no code");
  return told("code");
}
