/**
 * WireGuard as the kernel (or wireguard-go) tells it through `wg show all dump`, and as the files of wg-quick declare it. Netlink is not to be had in Node, so it
 * is a process: one for all interfaces. The dump holds private and preshared keys: they are read past, and no error carries the text.
 * Source: wg(8), wg-quick(8).
 */
import { readdirSync, readFileSync } from "node:fs";
import { FleetError } from "@muster/protocol/errors";
import type { Files } from "./files.ts";
import type { Run } from "./run.ts";

export type PeerFacts = {
  readonly public_key: string;
  readonly endpoint: string | null;
  readonly allowed_ips: readonly string[];
  readonly handshake_at: number | null;
  readonly rx_bytes: number;
  readonly tx_bytes: number;
  readonly keepalive_s: number | null;
};
export type TunnelFacts = {
  readonly public_key: string | null;
  readonly listen_port: number | null;
  readonly peers: readonly PeerFacts[];
};
/** A file of wg-quick: what should be there. */
export type TunnelFile = {
  readonly name: string;
  /** wg-quick starts it at boot. */
  readonly enabled: boolean;
  readonly peers: readonly { readonly public_key: string; readonly endpoint: string | null }[];
};

export type Wireguard = {
  /** Names of the interfaces that are there, up or not. Without a process. */
  interfaces(): Promise<ReadonlyMap<string, { readonly up: boolean }>>;
  files(): Promise<readonly TunnelFile[]>;
  /** Errors: COMMAND_FAILED when wg is not there or refuses, without what it printed; CANCELLED. */
  dump(signal: AbortSignal): Promise<ReadonlyMap<string, TunnelFacts>>;
};

const DIRECTORY = "/etc/wireguard";
const SOCKETS = "/run/wireguard";
const FILE_BYTES = 1024 * 1024;
const TUNNELS = 200;
const LIMIT_MS = 10_000;

/** @param sys where the kernel shows its interfaces */
export function createWireguard(files: Files, run: Run, sys = "/sys/class/net"): Wireguard {
  const kept = new Map<string, { readonly stamp: string; readonly peers: TunnelFile["peers"] }>();
  return {
    async interfaces() {
      const sockets = await files.list(SOCKETS);
      const userspace = new Set(sockets.flatMap((name) => /^(.+)\.sock$/.exec(name)?.[1] ?? []));
      const found = readdirSync(sys).filter(
        (name) => userspace.has(name) || text(`${sys}/${name}/uevent`).includes("DEVTYPE=wireguard"),
      );
      return new Map(
        found.map((name) => [name, { up: (Number.parseInt(text(`${sys}/${name}/flags`), 16) & 1) === 1 }]),
      );
    },
    async files() {
      const names = (await files.list(DIRECTORY)).flatMap(
        (name) => /^([\w.=+-]{1,15})\.conf$/.exec(name)?.[1] ?? [],
      );
      return Promise.all(
        names.slice(0, TUNNELS).map(async (name) => {
          const path = `${DIRECTORY}/${name}.conf`;
          const wants = `/etc/systemd/system/multi-user.target.wants/wg-quick@${name}.service`;
          const [facts, enabled] = await Promise.all([files.facts(path), files.facts(wants)]);
          const stamp = `${facts?.changed_ms} ${facts?.size_bytes}`;
          const held = kept.get(name);
          const peers =
            held?.stamp === stamp
              ? held.peers
              : peersOf((await files.read(path, FILE_BYTES, "follow"))?.toString("utf8") ?? "");
          kept.set(name, { stamp, peers });
          return { name, enabled: enabled !== null, peers };
        }),
      );
    },
    async dump(signal) {
      let result: Awaited<ReturnType<Run>>;
      try {
        result = await run("wg", ["show", "all", "dump"], { timeout_ms: LIMIT_MS }, signal);
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        // Its cause holds what was printed until then.
        throw new FleetError(error.code, error.detail || error.message);
      }
      const words = result.stderr.trim().slice(0, 500);
      if (result.code !== 0)
        throw new FleetError("COMMAND_FAILED", `wg show: ${words || `code ${result.code}`}`);
      // Of an interface that it may not ask it complains and goes on.
      return readDump(result.stdout);
    },
  };
}

/** Of the kernel, which waits for no disk: at once is cheaper. "" where it went between two reads. */
function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
const some = (field: string | undefined) =>
  field === undefined || field === "" || field === "(none)" ? null : field;

/** `wg show all dump`: an interface in 5 fields, its peers in 9, parted by tabs. */
export function readDump(dump: string): Map<string, TunnelFacts> {
  const found = new Map<
    string,
    { public_key: string | null; listen_port: number | null; peers: PeerFacts[] }
  >();
  for (const line of dump.split("\n")) {
    const fields = line.split("\t");
    const [name = ""] = fields;
    if (fields.length === 5) {
      const [, , public_key, port] = fields;
      found.set(name, { public_key: some(public_key), listen_port: Number(port) || null, peers: [] });
    } else if (fields.length === 9) {
      const [, public_key = "", , endpoint, allowed, handshake_s, rx, tx, keepalive] = fields;
      found.get(name)?.peers.push({
        public_key,
        endpoint: some(endpoint),
        allowed_ips: some(allowed)?.split(",") ?? [],
        handshake_at: Number(handshake_s) > 0 ? Number(handshake_s) * 1_000 : null,
        rx_bytes: Number(rx),
        tx_bytes: Number(tx),
        keepalive_s: Number(keepalive) || null,
      });
    }
  }
  return found;
}

/** Public keys and endpoints of the [Peer] parts of a file of wg-quick; nothing else of it is kept. */
export function peersOf(config: string): TunnelFile["peers"] {
  const peers: { public_key: string; endpoint: string | null }[] = [];
  for (const part of config.split(/^\s*\[/m).slice(1)) {
    if (!/^peer\]/i.test(part)) continue;
    const field = (name: string) =>
      new RegExp(`^\\s*${name}\\s*=\\s*([^\\s#]+)`, "im").exec(part)?.[1] ?? null;
    const public_key = field("PublicKey");
    if (public_key !== null) peers.push({ public_key, endpoint: field("Endpoint") });
  }
  return peers;
}
