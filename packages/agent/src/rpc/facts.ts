/** RPC `facts`: what the server is. Read anew at each call. */
import { readFile } from "node:fs/promises";
import { arch, cpus, hostname, networkInterfaces, release, totalmem, uptime } from "node:os";
import type { Call } from "@muster/ports/dispatch";
import type { RpcReply, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { bootOf } from "../boot.ts";
import { REBOOT_REQUIRED } from "../ports/packages.ts";
import type { RpcDoor } from "./door.ts";

export const facts =
  (door: RpcDoor) =>
  async ({ brief }: RpcRequest<"facts">, call: Call): Promise<RpcReply<"facts">> => {
    const { ports, ledger } = door;
    const { in_force } = ledger.state;
    const content = in_force === null ? null : (await ledger.manifest(in_force)).content;
    return {
      hostname: hostname(),
      os: door.os,
      kernel: release(),
      arch: arch(),
      virtual: brief === true ? null : await virtual(),
      cpu: cpus()[0]?.model ?? "",
      cores: cpus().length,
      memory_bytes: totalmem(),
      boot: await bootOf(),
      boot_at: Math.round(ports.now() - uptime() * 1_000),
      reboot_due: (await ports.files.facts(REBOOT_REQUIRED)) !== null,
      addresses: Object.entries(networkInterfaces()).flatMap(([name, list]) =>
        (list ?? []).filter(({ internal }) => !internal).map(({ address }) => ({ interface: name, address })),
      ),
      bird: await known(() => ports.routing.version(call.signal)),
      agent_version: door.agent_version,
      groups: content?.groups ?? [],
      labels: content?.labels ?? {},
    };
  };

/** What kind of virtual machine this is. The library knows them all; it is dear (it starts shells), so it is loaded when somebody asks. */
async function virtual(): Promise<string | null> {
  const { system } = await import("systeminformation");
  const found = await system();
  return found.virtual ? (found.virtualHost ?? "unknown") : null;
}

/** A fact that the host cannot tell is null, and the rest is told. */
async function known<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return null;
  }
}

/** The name of the operating system, from os-release(5). */
export async function operatingSystem(): Promise<string> {
  try {
    const text = await readFile("/etc/os-release", "utf8");
    return /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(text)?.[1] ?? "Linux";
  } catch {
    // A system without the file is still one.
    return "Linux";
  }
}
