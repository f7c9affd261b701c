/**
 * A private real nats-server on loopback, with TLS by default and whatever configuration the test needs.
 */
import { writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import type { Ca } from "@muster/ports/csr";
import { binary } from "./binaries.ts";
import { type Child, freePort, startChild, temporaryDirectory } from "./child.ts";
import { loopbackTls } from "./tls.ts";

export type NatsOptions = {
  /** More lines of configuration: accounts, operator, resolver … Paths must be quoted. */
  readonly config?: string | ((directory: string) => string);
  /** With a JetStream store in the temporary directory (default). */
  readonly jetstream?: boolean;
  readonly tls?: boolean;
  readonly handshake_first?: boolean;
  /** `127.0.0.1` (default) or `::1`. */
  readonly host?: string;
  /** Signs the server's certificate; one is made when none is given. */
  readonly ca?: Ca;
  /** What the certificate is for, when not everything on loopback. */
  readonly names?: { dns_names?: readonly string[]; ip_addresses?: readonly string[] };
};

export interface NatsServer {
  readonly host: string;
  readonly port: number;
  /** `host:port`, with brackets around IPv6. */
  readonly address: string;
  readonly ca_pem: string | undefined;
  readonly directory: string;
  /** Of the process that runs now. Errors: it is halted. */
  pid(): number;
  /** The whole configuration file; a change takes effect with `restart`, or with `signal("SIGHUP")`. */
  readonly config_file: string;
  output(): string;
  signal(name: NodeJS.Signals): void;
  /** Stops it and waits until it stands still; `signal("SIGCONT")` lets it go on. */
  freeze(): Promise<void>;
  /** Stops the process and keeps the place: `start` brings it back with the same port and store. */
  halt(name?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  restart(): Promise<void>;
  /** Stops it and removes its directory. */
  stop(): Promise<void>;
}

export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const path = await binary("nats-server");
  const { path: directory, release } = await temporaryDirectory("nats");
  const host = options.host ?? "127.0.0.1";
  const port = await freePort(host);
  const tls = options.tls === false ? undefined : await loopbackTls(directory, options.ca, options.names);
  const config_file = join(directory, "nats.conf");
  const extra = typeof options.config === "function" ? options.config(directory) : (options.config ?? "");
  const lines = [
    `listen: "${host.includes(":") ? `[${host}]` : host}:${port}"`,
    `server_name: "test"`,
    options.jetstream === false
      ? ""
      : `jetstream { store_dir: "${join(directory, "store")}", sync_interval: always }`,
    tls === undefined
      ? ""
      : `tls { cert_file: "${tls.certificate_file}", key_file: "${tls.key_file}", handshake_first: ${options.handshake_first === true}, timeout: 30 }`,
    extra,
  ];
  await writeFile(config_file, `${lines.join("\n")}\n`, { mode: 0o600 });

  let child: Child | undefined;
  const start = async (): Promise<void> => {
    const started = startChild(path, ["-c", config_file]);
    child = started;
    await started.until(
      async () => started.output().includes("Server is ready") && (await accepts(host, port)),
    );
  };
  const halt = async (name?: NodeJS.Signals): Promise<void> => {
    await child?.stop(name);
    child = undefined;
  };
  await start();
  return {
    host,
    port,
    address: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
    ca_pem: tls?.ca.certificate_pem,
    directory,
    pid() {
      if (child === undefined) throw new Error("nats-server is halted");
      return child.pid;
    },
    config_file,
    output: () => child?.output() ?? "",
    signal: (name) => child?.signal(name),
    freeze: async () => child?.freeze(),
    halt,
    start,
    async restart() {
      await halt();
      await start();
    },
    async stop() {
      await halt();
      await release();
    },
  };
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
