/**
 * Where a broker may be: what the signed trust bundle says, and beside it what a person wrote into the fleet file, in need. An address is no
 * authority: whoever answers there has to show a CA that this host holds.
 */
import type { Log } from "@muster/ports/log";
import type { TrustBundle } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { readFleetString } from "@muster/protocol/join";
import { anchorOf, sameAnchor } from "@muster/protocol/trust";
import { readText } from "./config.ts";

export type BrokersDoor = {
  readonly root_ca_file: string;
  /** Where a person may have written more addresses, as a fleet string. */
  readonly fleet_file: string;
  readonly log: Pick<Log, "warn">;
};

/** The addresses to try now. A fleet file that is of no use is told, and holds up nothing. */
export function brokersOf(bundle: Pick<TrustBundle, "brokers" | "broker_ca">, door: BrokersDoor): string[] {
  try {
    const fleet = readText(door.fleet_file);
    const root = readText(door.root_ca_file);
    const held = [...bundle.broker_ca, ...(root === null ? [] : [root])];
    return fleet === null ? [...bundle.brokers] : withWritten(bundle.brokers, held, fleet);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    door.log.warn({ code: error.code }, `${door.fleet_file} is not used: ${error.message}`);
    return [...bundle.brokers];
  }
}

/** Pure. Errors: INVALID for a text that is no fleet string, WRONG_ANCHOR for one of another fleet than that of the CAs. */
export function withWritten(
  signed: readonly string[],
  broker_cas: readonly string[],
  fleet: string,
): string[] {
  const { addresses, anchor } = readFleetString(fleet);
  const held = broker_cas.map(anchorOf);
  if (!held.some((own) => sameAnchor(own, anchor)))
    throw new FleetError("WRONG_ANCHOR", `it names ${anchor}, this host holds ${held.join(", ")}`);
  return [...new Set([...signed, ...addresses.map(withPort)])];
}

/** As the bundle writes them, so that none is tried twice. */
const withPort = (address: string) => (/^(\[[^\]]+\]|[^:]+)$/.test(address) ? `${address}:4222` : address);
