/** FRR's neighbours in the inner protocols: OSPF of both versions by their JSON, Babel by its text, since babeld has no other. Tried on FRR 8.4. */
import { FleetError } from "@muster/protocol/errors";
import type { InnerNeighbor } from "@muster/protocol/telemetry/routing";
import { z } from "zod";
import { objectOf } from "./json.ts";

const Ospf = z.looseObject({
  nbrState: z.string(),
  ifaceAddress: z.string(),
  /** `va:10.99.0.1`: with our own address on it. */
  ifaceName: z.string(),
  routerDeadIntervalTimerDueMsec: z.int().optional().catch(undefined),
});
const OspfVrf = z.looseObject({ neighbors: z.record(z.string(), z.array(Ospf)).default({}) });
const Ospf6 = z.looseObject({
  neighborId: z.string(),
  interfaceName: z.string(),
  state: z.string(),
  ifState: z.string(),
  deadTime: z.string().optional().catch(undefined),
});
const Ospf6Detail = z.looseObject({ linkLocalAddress: z.string() });

/** `show ip ospf vrf all neighbor json` of ospfd. @throws FRR_REPLY */
export function ospfNeighbors(text: string): InnerNeighbor[] {
  return Object.entries(objectOf(text)).flatMap(([vrf, given]) =>
    Object.entries(read(OspfVrf, given, `VRF ${vrf}`).neighbors).flatMap(([id, links]) =>
      links.map((link): InnerNeighbor => {
        const dead_ms = link.routerDeadIntervalTimerDueMsec;
        return {
          ...{ protocol: vrf === "default" ? "ospfd" : `ospfd ${vrf}`, kind: "ospf", id },
          address: link.ifaceAddress,
          interface: link.ifaceName.replace(/:[\d.]+$/, ""),
          state: link.nbrState,
          ...{ metric: null, routes: null },
          // -1: it does not run.
          expires_s: dead_ms === undefined || dead_ms < 0 ? null : dead_ms / 1_000,
        };
      }),
    ),
  );
}

/**
 * Of the VRF that is none: in the others' answers FRR does not say which it is.
 * @param short `show ipv6 ospf6 neighbor json` of ospf6d; empty where it is not configured
 * @param detail the same with `detail`: the addresses stand there alone
 * @throws FRR_REPLY
 */
export function ospf6Neighbors(short: string, detail: string): InnerNeighbor[] {
  if (short.trim() === "") return [];
  const { neighbors = [] } = objectOf(short);
  const details = objectOf(detail);
  return read(z.array(Ospf6), neighbors, "neighbors").map((one): InnerNeighbor => {
    const found = Ospf6Detail.safeParse(details[`${one.neighborId}%${one.interfaceName}`]);
    const state = one.state === "Twoway" ? "2-Way" : one.state;
    return {
      ...{ protocol: "ospf6d", kind: "ospf", id: one.neighborId, interface: one.interfaceName },
      // One that came or went between the two answers has none.
      address: found.success ? found.data.linkLocalAddress : one.neighborId,
      state: `${state}/${one.ifState}`,
      ...{ metric: null, routes: null },
      expires_s: secondsIn(one.deadTime),
    };
  });
}

const BABEL_LINE = /^Neighbour (\S+) dev (\S+) reach [0-9a-f]+ rxcost (\d+) txcost (\d+)\b/;
/** Babel's word for a link that cannot be used. */
const UNUSABLE = 65_535;

/** `show babel neighbor` of babeld. @throws FRR_REPLY */
export function babelNeighbors(text: string): InnerNeighbor[] {
  return text.split("\n").flatMap((line): InnerNeighbor[] => {
    if (line.trim() === "") return [];
    const match = BABEL_LINE.exec(line);
    if (match === null) throw new FleetError("FRR_REPLY", "a line that names no neighbour");
    const [, address = "", found = "", rxcost, txcost] = match;
    const metric = Number(rxcost) >= UNUSABLE ? UNUSABLE : Math.min(UNUSABLE, Number(txcost));
    return [
      {
        ...{ protocol: "babeld", kind: "babel", address, interface: found, id: null, state: null },
        ...{ metric, routes: null, expires_s: null },
      },
    ];
  });
}

function read<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const found = schema.safeParse(value);
  if (found.success) return found.data;
  throw new FleetError("FRR_REPLY", `its ${what} cannot be read`);
}

/** `00:00:03` */
function secondsIn(text: string | undefined): number | null {
  const match = /^(\d+):(\d+):(\d+)$/.exec(text ?? "");
  return match === null ? null : Number(match[1]) * 3_600 + Number(match[2]) * 60 + Number(match[3]);
}
