/** The fleet folder that `ctl new` writes for the hosts there are: what is known of them stands in it, what is not yet wanted as comments. Pure. */
import { isIP } from "node:net";

export type Found = {
  readonly name: string;
  /** Groups that its join string named. */
  readonly groups: readonly string[];
  /** All addresses that it has; null when it was not to be asked. */
  readonly addresses: readonly string[] | null;
  readonly router_id: string | null;
  readonly local_as: number | null;
  readonly sessions: readonly { readonly name: string; readonly neighbor: string; readonly as: number }[];
};

/** Files by their path in the folder. `brokers`: hosts of the broker's addresses; whoever has one is reached by it. */
export function newFolder(
  fleet: string,
  hosts: readonly Found[],
  brokers: readonly string[],
): Record<string, string> {
  const groups = new Map<string, Found[]>();
  for (const host of hosts) {
    const group = groupOf(host);
    groups.set(group, [...(groups.get(group) ?? []), host]);
  }
  if (groups.size === 0) groups.set("core", []);
  const names = [...groups.keys()].sort();
  const asn = hosts.find((host) => host.local_as !== null)?.local_as ?? null;
  return {
    "muster.yml": `# The fleet. Every command of ctl looks for this file here and upward.
fleet: ${fleet}
labels: [site, exchange] # host variables to select by: ctl status site=ams
rollout:
  waves: [${names.join(", ")}] # what hurts least goes first
  never_together: [exchange] # never two routers of one exchange at the same time
`,
    "hosts.yml": `# An Ansible YAML inventory, read as it is. ansible_host and ansible_user say how \`ctl join --ssh\` reaches a host; Muster itself needs no address.
${[...groups]
  .sort(byName)
  .map(([group, members]) => groupText(group, members, brokers))
  .join("")}routers: # every host that gets resources/routers.yml
  children: { ${names.map((name) => `${name}: {}`).join(", ")} }
  vars: { ansible_user: root${asn === null ? "" : `, asn: ${asn}`} }
`,
    ...Object.fromEntries(hosts.map((host) => [`host_vars/${host.name}.yml`, varsText(host)])),
    "resources/routers.yml": `# What Muster keeps on each host of the group: kind, then name, then settings. A file per group or host; the more specific one adds to it.
service:
  ssh: { enabled: true, state: running }

# When templates/bird.conf.j2 renders what runs (ctl render HOST), BIRD's configuration can be kept too: checked there, undone if sessions fall.
# bird:
#   main: { config: bird.conf.j2 }
`,
    "templates/bird.conf.j2": `router id {{ router_id }};
protocol device {}
{% for name, s in sessions.items() %}
protocol bgp {{ name }} {
  local as {{ asn }};
  neighbor {{ s.neighbor }} as {{ s.as }};
  ipv6 { import all; export none; };
}
{% endfor %}
`,
  };
}

const byName = ([one]: readonly [string, unknown], [other]: readonly [string, unknown]) =>
  one < other ? -1 : 1;

/** What its join string said, else the letters that its name begins with: `core1` is one of `core`. */
function groupOf({ name, groups }: Found): string {
  const letters = /^[a-z]+(?=[-0-9])/.exec(name)?.[0];
  const group = groups[0] ?? letters ?? "servers";
  return group === "routers" || group === "all" ? "servers" : group;
}

function groupText(group: string, members: readonly Found[], brokers: readonly string[]): string {
  const lines = members.map((host) => {
    const address = addressOf(host, brokers);
    return `    ${host.name}: {${address === null ? "" : ` ansible_host: "${address}" `}}\n`;
  });
  const example = lines.length === 0 ? `    # core1: { ansible_host: "198.51.100.1", site: ams }\n` : "";
  return `${group}:\n  hosts:${lines.length === 0 ? " {}" : ""}\n${lines.join("")}${example}`;
}

/** One that the broker's addresses name, else the first that is not of its own links only. */
function addressOf({ addresses }: Found, brokers: readonly string[]): string | null {
  if (addresses === null) return null;
  const far = addresses.filter((one) => isIP(one) !== 0 && !/^(fe80:|::1$|127\.|169\.254\.)/i.test(one));
  return far.find((one) => brokers.includes(one)) ?? far[0] ?? null;
}

function varsText({ router_id, sessions }: Found): string {
  const lines = sessions.map(
    ({ name, neighbor, as }) => `  ${name}: { neighbor: "${neighbor}", as: ${as} }\n`,
  );
  return `# Variables only; what to do with them stands in resources/ and templates/.
${router_id === null ? "# router_id: 198.51.100.1" : `router_id: ${router_id}`}
announce: [] # prefixes; an address of the broker inside one is warned about
sessions:${lines.length === 0 ? " {} # each becomes one `protocol bgp` of that name" : " # as BIRD runs them; each becomes one `protocol bgp` of that name"}
${lines.join("")}`;
}
