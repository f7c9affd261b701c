/** What only shows when all resources of a host are there: a container's networks and volumes, its fixed addresses, its public ports. Pure. */
import { BlockList, isIPv6 } from "node:net";
import { type Container, withoutPublicNetwork } from "@muster/protocol/resources/container";
import type { Resource } from "@muster/protocol/resources/index";
import type { Network } from "@muster/protocol/resources/network";
import { type Place, suggest } from "./problem.ts";
import type { Declared } from "./resources.ts";
import type { Entry, YamlNode } from "./yaml.ts";

export type ContainerFault = {
  readonly what: string;
  readonly at: Place;
  readonly message: string;
  readonly hint?: string;
};

/** @param whole false when something of the host could not be rendered: what is missing then has a fault of its own */
export function containerFaults(
  resources: readonly Resource[],
  declared: readonly Declared[],
  whole: boolean,
): ContainerFault[] {
  const named = (kind: string) =>
    new Map(resources.filter((each) => each.kind === kind).map((each) => [each.name, each.spec] as const));
  const networks = named("network") as ReadonlyMap<string, Network>;
  const volumes = named("volume");
  const faults: ContainerFault[] = [];
  for (const [name, spec] of named("container") as ReadonlyMap<string, Container>) {
    const what = `container/${name}`;
    const place = (...path: string[]) => placeAt(declared, what, path);
    for (const [network, attachment] of Object.entries(spec.networks)) {
      const known = networks.get(network);
      if (known === undefined) {
        if (whole)
          faults.push(missing("network", network, networks.keys(), what, place("networks", network)));
        continue;
      }
      for (const key of ["ipv4_address", "ipv6_address"] as const) {
        const address = attachment[key];
        if (address === undefined || contains(known.subnets, address)) continue;
        const message = `${address} is in no subnet of ${network} (${known.subnets.join(", ")})`;
        faults.push({ what, at: place("networks", network, key), message });
      }
    }
    for (const mount of spec.volumes) {
      const source = mount.split(":")[0] ?? "";
      if (whole && !source.startsWith("/") && !volumes.has(source))
        faults.push(missing("volume", source, volumes.keys(), what, place("volumes")));
    }
  }
  const open = [...networks].filter(([, spec]) => spec.public).map(([name]) => name);
  for (const { name, networks: on } of whole ? withoutPublicNetwork(resources) : []) {
    const what = `container/${name}`;
    const where =
      on.length === 0 ? "it has no network" : `${on.join(", ")} ${on.length === 1 ? "is" : "are"} not`;
    faults.push({
      what,
      at: placeAt(declared, what, ["ports"]),
      message: `ports are published only on a network with \`public: true\`, and ${where}`,
      hint:
        open.length > 0 ? `networks: { ${open[0]}: {} }` : "network: { dmz: { subnets: […], public: true } }",
    });
  }
  return faults;
}

const missing = (
  kind: string,
  name: string,
  known: Iterable<string>,
  what: string,
  at: Place,
): ContainerFault => ({
  what,
  at,
  message: `this host has no ${kind} \`${name}\`${suggest(name, known)}`,
  hint: kind === "network" ? `network: { ${name}: { subnets: […] } }` : `volume: { ${name}: {} }`,
});

function contains(subnets: readonly string[], address: string): boolean {
  const family = (text: string) => (isIPv6(text) ? "ipv6" : "ipv4");
  const list = new BlockList();
  for (const subnet of subnets) {
    const [prefix = "", length = ""] = subnet.split("/");
    list.addSubnet(prefix, Number(length), family(prefix));
  }
  return list.check(address, family(address));
}

/** Where a field stands, or the nearest thing around it. */
function placeAt(declared: readonly Declared[], what: string, path: readonly string[]): Place {
  const found = declared.find((each) => `${each.kind}/${each.name}` === what);
  if (found === undefined) throw new TypeError(`${what} was rendered and is not declared`);
  let at = found.at;
  let node: YamlNode = found.fields;
  for (const part of path) {
    const entry: Entry | undefined = node.t === "map" ? node.entries.get(part) : undefined;
    if (entry === undefined) break;
    ({ at, value: node } = entry);
  }
  return at;
}
