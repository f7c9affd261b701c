/** What is unwise about a broker's addresses: inside a prefix that the fleet itself announces, or a name that nobody resolves. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { listText } from "../output/words.ts";
import { announcedNetworks } from "./folder.ts";
import { hostOf, networkOf } from "./networks.ts";

/** A sentence each. An address inside a prefix that the fleet itself announces goes away with a routing mistake, and the way to mend it too. */
export async function addressWarnings(cwd: string, addresses: readonly string[]): Promise<string[]> {
  const announced = await announcedNetworks(cwd);
  const rows = await Promise.all(
    addresses.map(async (address) => {
      const host = hostOf(address);
      const found =
        isIP(host) !== 0 ? [{ address: host }] : await lookup(host, { all: true }).catch(() => []);
      const network = found.map((one) => networkOf(one.address, announced)).find((one) => one !== null);
      return { host, network, resolves: found.length > 0 };
    }),
  );
  const unknown = rows.filter((row) => !row.resolves).map((row) => row.host);
  const safe = rows.filter((row) => row.network === undefined).map((row) => row.host);
  const rest =
    safe.length > 0
      ? `${listText(safe)} does not; all are tried`
      : "give --address one that lies outside, too";
  return [
    ...rows
      .filter((row) => row.network !== undefined)
      .map((row) => `${row.host} lies in ${row.network}: a routing mistake cuts agents off. ${rest}`),
    ...(unknown.length === 0
      ? []
      : [
          `${listText(unknown)} is not known to the name service here: set its address there, or servers use the other --address`,
        ]),
  ];
}
