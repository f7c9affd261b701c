/** Addresses and networks as an operator writes them. Pure. */
import { BlockList, isIP } from "node:net";
import { FleetError } from "@muster/protocol/errors";

/** The CIDR range as it was given, once it has been found to be one. USAGE otherwise. */
export function checkedNetwork(text: string): string {
  const [address = "", length = "", ...rest] = text.split("/");
  const family = isIP(address);
  const bits = Number(length);
  const good =
    family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(length) && bits <= (family === 6 ? 128 : 32);
  if (!good)
    throw new FleetError("USAGE", `${text}: must be a network such as 192.0.2.0/24 or 2001:db8::/32`);
  return text;
}

/** The first of the networks that holds the address, or null. Both in their usual text form. */
export function networkOf(address: string, networks: readonly string[]): string | null {
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  for (const network of networks) {
    const [base = "", length = ""] = network.split("/");
    if ((isIP(base) === 6 ? "ipv6" : "ipv4") !== family || isIP(base) === 0) continue;
    const list = new BlockList();
    list.addSubnet(base, Number(length), family);
    if (list.check(address, family)) return network;
  }
  return null;
}

/** `host:port` and `[v6]:port` taken apart; a bare IPv6 address needs no brackets. Port 4222 when none is given. */
export function hostOf(address: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(address)?.[1];
  if (bracketed !== undefined) return bracketed;
  return isIP(address) !== 0 ? address : address.replace(/:\d+$/, "");
}

/** An address as brokers' lists write it: IPv6 in brackets, with its port. */
export function brokerAddress(address: string): string {
  if (isIP(address) === 6) return `[${address}]:4222`;
  return /^\[[^\]]+\]$|^[^:]+$/.test(address) ? `${address}:4222` : address;
}
