/**
 * The demo fleet's servers, as data: who there is, which addresses they have beside the lab's own, and what is on them
 * before Muster. `inventory/` declares the same fleet; the addresses of the links agree with it.
 */

/** AS and address of the router that is not managed, and of its session with ixp1. */
export const UPSTREAM = {
  as: 64496,
  address: "2001:db8:ffff::1",
  peer_as: 64500,
  peer_address: "2001:db8:ffff::2",
};

/** What upstream announces: ten documentation prefixes that are not the fleet's own. */
export const UPSTREAM_PREFIXES = Array.from(
  { length: 10 },
  (_, i) => `2001:db8:${(0x1001 + i * 0x100).toString(16)}::/48`,
);

/**
 * Point-to-point links, on the lab's bridge until WireGuard makes them.
 * @type {{ prefix_length: number, ends: Record<string, string> }[]}
 */
export const LINKS = [
  { prefix_length: 64, ends: { core1: "2001:db8:5000:ff01::1", ixp1: "2001:db8:5000:ff01::2" } },
  { prefix_length: 64, ends: { core1: "2001:db8:5000:ff02::1", probe1: "2001:db8:5000:ff02::2" } },
  { prefix_length: 64, ends: { upstream: UPSTREAM.address, ixp1: UPSTREAM.peer_address } },
];

/**
 * The servers. `managed`: an agent runs there. `router_id`: of the BIRD configuration that it boots with.
 * @type {{ name: string, managed: boolean, ipv6Only?: boolean, groups: string[], router_id?: string }[]}
 */
export const SERVERS = [
  { name: "hub", managed: false, groups: [] },
  { name: "core1", managed: true, groups: ["core"], router_id: "198.51.100.1" },
  { name: "ixp1", managed: true, ipv6Only: true, groups: ["ixp"], router_id: "198.51.100.11" },
  { name: "probe1", managed: true, groups: ["probe"], router_id: "203.0.113.7" },
  { name: "upstream", managed: false, groups: [], router_id: "198.51.100.254" },
];

/** The plan for `createLab`. */
export function plannedServers() {
  return SERVERS.map(({ name, ipv6Only }) => (ipv6Only ? { name, ipv6Only } : { name }));
}

/**
 * What `startServer` needs for one server of the demo, but for the image.
 * @param {string} name
 * @returns {Omit<import("./servers.mjs").ServerSpec, "image">}
 */
export function serverSpec(name) {
  const server = SERVERS.find((candidate) => candidate.name === name);
  if (server === undefined) throw new Error(`no server ${name} in the layout`);
  const extraAddresses = LINKS.flatMap((link) => {
    const address = link.ends[name];
    return address === undefined ? [] : [`${address}/${link.prefix_length}`];
  });
  /** @type {Record<string, import("./archive.mjs").Entry>} */
  const files = {};
  if (name === "hub") files["/etc/systemd/system/bird.service"] = { link: "/dev/null" };
  if (server.router_id !== undefined) {
    const content = name === "upstream" ? upstreamBird(server.router_id) : emptyBird(server.router_id);
    files["/etc/bird/bird.conf"] = { content };
  }
  return { name, extraAddresses, files, ...(server.ipv6Only ? { ipv6Only: true } : {}) };
}

/**
 * What a router boots with before anything manages it. The router id stands there because BIRD cannot make one up where
 * there is no IPv4 address.
 * @param {string} router_id
 */
function emptyBird(router_id) {
  return `# Before Muster: no sessions.
log syslog all;
router id ${router_id};
protocol device {}
`;
}

/** @param {string} router_id */
function upstreamBird(router_id) {
  const { as, address, peer_as, peer_address } = UPSTREAM;
  return `# An upstream of the fleet: it announces documentation prefixes and accepts everything.
log syslog all;
router id ${router_id};
protocol device {}
protocol static documentation {
  ipv6;
${UPSTREAM_PREFIXES.map((prefix) => `  route ${prefix} unreachable;`).join("\n")}
}
protocol bgp as${peer_as} {
  local ${address} as ${as};
  neighbor ${peer_address} as ${peer_as};
  connect retry time 2;
  connect delay time 1;
  error wait time 1, 5;
  ipv6 { import all; export where source = RTS_STATIC; };
}
`;
}
