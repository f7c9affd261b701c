/**
 * Kind `network`: a Docker bridge network. Docker can change nothing in one that is there, so a change makes it anew, and containers of Muster that
 * are on it are taken off for that moment and put back with their fixed addresses.
 */
import type { Step } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Network } from "@muster/protocol/resources/network";
import type { CreateNetwork } from "../ports/docker.ts";
import type { NetworkFacts } from "../ports/docker-facts.ts";
import type { Ports } from "../ports/index.ts";
import { PUBLIC_LABEL, RESOURCE_LABEL } from "./container-identity.ts";
import { NO_ENGINE } from "./container-plan.ts";
import type { Declared, ResourceKind } from "./kind.ts";
import { packageComes } from "./service.ts";

export type ObservedNetwork = {
  readonly engine: boolean;
  readonly network: NetworkFacts | null;
  /** Of those on it, the ones that Muster did not make. */
  readonly foreign: readonly string[];
};

const INTERFACE = "com.docker.network.bridge.name";
const MTU = "com.docker.network.driver.mtu";

export const network: ResourceKind<"network", ObservedNetwork> = {
  host_wide: true,
  in_docker: true,
  async observe({ name }, { docker }, signal) {
    if (!(await docker.present())) return { engine: false, network: null, foreign: [] };
    const found = await docker.network(name, signal);
    const all = await Promise.all(
      (found?.containers ?? []).map(async (each) => ({
        name: each,
        facts: await docker.container(each, signal),
      })),
    );
    const foreign = all.filter(({ facts }) => facts !== null && facts.labels[RESOURCE_LABEL] === undefined);
    return { engine: true, network: found, foreign: foreign.map((each) => each.name) };
  },
  plan(resource, { engine, network: now, foreign }, { coming }) {
    const { name, spec } = resource;
    const ref = `network/${name}`;
    const unsupported = (why: string) => ({ steps: [], notes: [], unsupported: why });
    if (!engine && !packageComes(coming)) return unsupported(NO_ENGINE);
    if (now === null) {
      const step: Step = {
        ref,
        action: "create",
        args: { ...argsOf(spec), makes: true },
        why: "it is not there",
        reversible: true,
      };
      return { steps: [step], notes: [] };
    }
    const differs = differences(spec, now);
    const ours = now.labels[RESOURCE_LABEL] === ref;
    // One that somebody else made serves as it is; only that ports are public there is ours to say.
    const counting = ours ? differs : differs.filter((each) => !each.startsWith("labels"));
    if (counting.length === 0) return { steps: [], notes: [] };
    if (!ours)
      return unsupported(
        `a network ${name} is there that Muster did not make, with other ${counting.join("; ")}: remove it or declare it so`,
      );
    if (foreign.length > 0)
      return unsupported(
        `${counting.join("; ")}: it has to be made anew, and ${foreign.join(", ")}, not of Muster, ${foreign.length === 1 ? "is" : "are"} on it: take ${foreign.length === 1 ? "it" : "them"} off first`,
      );
    const off =
      now.containers.length === 0
        ? {}
        : {
            effect: `${now.containers.join(", ")} ${now.containers.length === 1 ? "is" : "are"} off it for a moment`,
          };
    const step: Step = {
      ref,
      action: "recreate",
      args: { ...argsOf(spec), containers: [...now.containers] },
      why: counting.join("; "),
      ...off,
      reversible: true,
    };
    return { steps: [step], notes: [] };
  },
  removal({ name }, { engine, network: now, foreign }, { going }) {
    if (!engine) return { left: NO_ENGINE };
    if (now === null) return { steps: [] };
    if (now.labels[RESOURCE_LABEL] !== `network/${name}`)
      return { left: `the network ${name} was not made by Muster` };
    const staying = now.containers.filter(
      (each) => foreign.includes(each) || !going.has(`container/${each}`),
    );
    if (staying.length > 0)
      return {
        left: `${staying.join(", ")} still use${staying.length === 1 ? "s" : ""} the network ${name}`,
      };
    const step: Step = {
      ref: `network/${name}`,
      action: "remove",
      args: {},
      why: "no longer declared",
      reversible: true,
    };
    return { steps: [step] };
  },
  async apply(step, ports, signal, { resource }) {
    const name = step.ref.slice("network/".length);
    const { docker } = ports;
    if (step.action === "remove") return docker.removeNetwork(name, signal);
    if (resource === null || (step.action !== "create" && step.action !== "recreate"))
      throw new FleetError("INVALID", `network has no step ${step.action}`);
    const now = await docker.network(name, signal);
    if (now !== null && differences(resource.spec, now).length === 0) return;
    if (step.action === "create") return docker.createNetwork(name, createOptions(resource), signal);
    return recreate(resource, now, ports, signal);
  },
  managed: ({ network: now }) => {
    if (now === null) return null;
    const { subnets, ipv6, internal, options, labels } = now;
    return { subnets, ipv6, internal, options, labels };
  },
  edit: (_resource, { network: now }) => ({
    what: now === null ? "removed outside of Muster" : "changed outside of Muster",
    at_ms: null,
  }),
  watch: () => [],
};

const argsOf = (spec: Network) => ({
  subnets: [...spec.subnets],
  internal: spec.internal,
  options: optionsOf(spec),
  labels: labelsOf(spec),
});

const optionsOf = ({ driver_opts, interface: bridge, mtu }: Network): Record<string, string> => ({
  ...driver_opts,
  ...(bridge === undefined ? {} : { [INTERFACE]: bridge }),
  ...(mtu === undefined ? {} : { [MTU]: String(mtu) }),
});

const labelsOf = (spec: Network): Record<string, string> => ({
  ...spec.labels,
  [PUBLIC_LABEL]: String(spec.public),
});

/** In words, each: what the network there has otherwise. A family that is not declared may be there: older engines always give IPv4. */
function differences(spec: Network, now: NetworkFacts): string[] {
  const found: string[] = [];
  const v6 = spec.subnets.some((each) => each.includes(":"));
  const missing = spec.subnets.filter((each) => !now.subnets.some((there) => sameSubnet(there, each)));
  if (now.driver !== "bridge") found.push(`driver ${now.driver} → bridge`);
  if (missing.length > 0 || now.ipv6 !== v6)
    found.push(`subnets ${now.subnets.join(", ") || "none"} → ${spec.subnets.join(", ")}`);
  if (now.internal !== spec.internal) found.push(`internal ${now.internal} → ${spec.internal}`);
  for (const [what, wanted, there] of [
    ["options", optionsOf(spec), now.options],
    ["labels", labelsOf(spec), now.labels],
  ] as const)
    for (const [key, value] of Object.entries(wanted))
      if (there[key] !== value)
        found.push(`${what} ${key === PUBLIC_LABEL ? "public" : key} ${there[key] ?? "not set"} → ${value}`);
  return found;
}

/** Docker keeps what it was given; only case may differ. */
const sameSubnet = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();

function createOptions({ name, spec }: Declared<"network">): CreateNetwork {
  return {
    Driver: "bridge",
    Internal: spec.internal,
    EnableIPv6: spec.subnets.some((each) => each.includes(":")),
    IPAM: { Driver: "default", Config: spec.subnets.map((Subnet) => ({ Subnet })) },
    Options: optionsOf(spec),
    Labels: { ...labelsOf(spec), [RESOURCE_LABEL]: `network/${name}` },
  };
}

async function recreate(
  resource: Declared<"network">,
  now: NetworkFacts | null,
  { docker }: Ports,
  signal: AbortSignal,
): Promise<void> {
  const { name } = resource;
  const attached = await Promise.all(
    (now?.containers ?? []).map(async (each) => ({ each, facts: await docker.container(each, signal) })),
  );
  for (const { each } of attached) await docker.detach(name, each, signal);
  await docker.removeNetwork(name, signal);
  await docker.createNetwork(name, createOptions(resource), signal);
  for (const { each, facts } of attached) {
    const { fixed_ipv4 = null, fixed_ipv6 = null } = facts?.networks[name] ?? {};
    const fixed = {
      ...(fixed_ipv4 === null ? {} : { IPv4Address: fixed_ipv4 }),
      ...(fixed_ipv6 === null ? {} : { IPv6Address: fixed_ipv6 }),
    };
    try {
      await docker.attach(name, each, { IPAMConfig: fixed }, signal);
    } catch (error) {
      // An address of the subnet that was: its own step gives it the one that is declared now.
      if (!(error instanceof FleetError) || error.code !== "DOCKER_REFUSED") throw error;
    }
  }
}
