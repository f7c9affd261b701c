/** From where a machine speaks: the broker's word (`Nats-Request-Info`, set by the server on shared imports), held against CIDR ranges. */
import { BlockList, isIP } from "node:net";
import { FleetError } from "@muster/protocol/errors";

export const REQUEST_INFO_HEADER = "Nats-Request-Info";

/** The address in the server's header, or null without one. */
export function requestAddress(headers: Readonly<Record<string, string>>): string | null {
  const text = headers[REQUEST_INFO_HEADER];
  if (text === undefined) return null;
  try {
    const info: unknown = JSON.parse(text);
    if (typeof info !== "object" || info === null || !("host" in info)) return null;
    return typeof info.host === "string" && isIP(info.host) !== 0 ? info.host : null;
  } catch {
    // Not the server's form: as good as no header.
    return null;
  }
}

/** Errors: JOIN_NETWORK when `address` is in none of the ranges, INVALID for what is no range. No ranges: anywhere. */
export function checkNetwork(networks: readonly string[], address: string | null): void {
  if (networks.length === 0) return;
  const list = new BlockList();
  for (const network of networks) addRange(list, network);
  const family = address === null ? 0 : isIP(address);
  if (address === null || family === 0 || !list.check(address, family === 6 ? "ipv6" : "ipv4"))
    throw new FleetError(
      "JOIN_NETWORK",
      `it comes from ${address ?? "an unknown address"}, the string is for ${networks.join(", ")}`,
    );
}

function addRange(list: BlockList, network: string): void {
  const [address = "", length, ...rest] = network.split("/");
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const bits = length === undefined ? most : Number(length);
  if (family === 0 || rest.length > 0 || length === "" || !Number.isInteger(bits) || bits < 0 || bits > most)
    throw new FleetError("INVALID", `"${network}" is not an address or CIDR range`);
  list.addSubnet(address, bits, family === 6 ? "ipv6" : "ipv4");
}
