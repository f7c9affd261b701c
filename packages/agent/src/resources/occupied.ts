/**
 * What only one resource at a time can have: a published port, a fixed address, a subnet, the name of a bridge, a path. What is no longer declared
 * and has what another one wants must go before that one is made. Pure.
 */
import { BlockList, isIPv6 } from "node:net";
import type { Resource } from "@muster/protocol";
import { portOf } from "./container-create.ts";

/** What of `there` stands in the way of `wanted`, in words; null when both can be. */
export function occupied(there: Resource, wanted: Resource): string | null {
  if (there.kind === "container" && wanted.kind === "container") {
    const ports = wanted.spec.ports.map(claimOf);
    const port = there.spec.ports.map(claimOf).find((held) => ports.some((claim) => samePort(held, claim)));
    if (port !== undefined) return `port ${port.host}`;
    const addresses = new Set(addressesOf(wanted.spec.networks));
    const address = addressesOf(there.spec.networks).find((each) => addresses.has(each));
    return address === undefined ? null : `address ${address.split(" ")[1]}`;
  }
  if (there.kind === "network" && wanted.kind === "network") {
    if (there.spec.interface !== undefined && there.spec.interface === wanted.spec.interface)
      return `interface ${there.spec.interface}`;
    const subnet = there.spec.subnets.find((held) => wanted.spec.subnets.some((each) => overlap(held, each)));
    return subnet === undefined ? null : `subnet ${subnet}`;
  }
  const path = pathsOf(there).find((held) => pathsOf(wanted).includes(held));
  return path === undefined ? null : path;
}

type Claim = { readonly ip: string; readonly host: string; readonly protocol: string };

function claimOf(text: string): Claim {
  const { ip, host, inner } = portOf(text);
  return { ip, host, protocol: inner.endsWith("/udp") ? "udp" : "tcp" };
}

const WILDCARDS = ["", "0.0.0.0", "::"];
const samePort = (one: Claim, other: Claim) =>
  one.host === other.host &&
  one.protocol === other.protocol &&
  (one.ip === other.ip || WILDCARDS.includes(one.ip) || WILDCARDS.includes(other.ip));

/** `network address` of each that is fixed. */
const addressesOf = (
  networks: Readonly<
    Record<string, { readonly ipv4_address?: string | undefined; readonly ipv6_address?: string | undefined }>
  >,
): string[] =>
  Object.entries(networks).flatMap(([name, { ipv4_address, ipv6_address }]) =>
    [ipv4_address, ipv6_address?.toLowerCase()].flatMap((each) =>
      each === undefined ? [] : [`${name} ${each}`],
    ),
  );

/** Subnets overlap just when one holds the other's first address. */
function overlap(one: string, other: string): boolean {
  return holds(one, other) || holds(other, one);
}

function holds(subnet: string, other: string): boolean {
  const [address = "", length = ""] = subnet.split("/");
  const [first = ""] = other.split("/");
  const family = isIPv6(address) ? "ipv6" : "ipv4";
  if (isIPv6(first) !== (family === "ipv6")) return false;
  const list = new BlockList();
  list.addSubnet(address, Number(length), family);
  return list.check(first, family);
}

function pathsOf({ kind, name }: Resource): string[] {
  if (kind === "file" || kind === "directory") return [name];
  if (kind !== "timer") return [];
  return [`/etc/systemd/system/${name}.timer`, `/etc/systemd/system/${name}.service`];
}
