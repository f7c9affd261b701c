/**
 * How a lab server is made as a container: the flags with which systemd boots in it, on cgroup v1 and v2, and the hash by
 * which a changed recipe is noticed.
 */
import { readFileSync } from "node:fs";
import { recipeHash } from "./cache.mjs";
import { addressesOf } from "./network.mjs";

/** How long an orderly halt may take before Docker kills. */
const HALT_S = 15;

/**
 * The arguments of `docker create`. The capabilities are those that BIRD, systemd and WireGuard need (without
 * NET_BROADCAST BIRD dies; `--privileged` fails where a capability is missing from the bounding set).
 * @param {import("./network.mjs").Lab} lab
 * @param {import("./servers.mjs").ServerSpec} spec
 * @param {import("./docker.mjs").Engine} engine
 * @param {{ container: string, recipe: string, addresses: import("./network.mjs").Addresses }} made
 */
export function createArguments(lab, spec, engine, { container, recipe, addresses }) {
  const hosts = lab.planned
    .filter((other) => other.name !== spec.name)
    .flatMap((other) => {
      const { ipv4, ipv6 } = addressesOf(lab, other.name, []);
      return other.ipv6Only || spec.ipv6Only
        ? [`${other.name}:${ipv6}`]
        : [`${other.name}:${ipv4}`, `${other.name}:${ipv6}`];
    })
    // The controller's page has a name of its own, below the fleet's.
    .flatMap((line) =>
      line.startsWith("hub:") ? [line, line.replace("hub", "controller.as64500")] : [line],
    );
  return [
    ...["--name", container, "--hostname", spec.name, "--network", lab.network, "--network-alias", spec.name],
    ...["--ip", addresses.ipv4, "--ip6", addresses.ipv6],
    ...hosts.flatMap((host) => ["--add-host", host]),
    ...[
      "--label",
      `muster.lab=${lab.name}`,
      "--label",
      `muster.server=${spec.name}`,
      "--label",
      `muster.recipe=${recipe}`,
    ],
    ...(spec.ipv6Only ? ["--label", "muster.ipv6only=yes"] : []),
    ...["NET_ADMIN", "SYS_ADMIN", "NET_RAW", "NET_BROADCAST"].flatMap((capability) => [
      "--cap-add",
      capability,
    ]),
    ...["--device", "/dev/net/tun", "--security-opt", "seccomp=unconfined"],
    ...(engine.apparmor ? ["--security-opt", "apparmor=unconfined"] : []),
    ...(engine.cgroup_version === 2 ? ["--cgroupns=host"] : []),
    ...[
      "--tmpfs",
      "/run:exec",
      "--tmpfs",
      "/tmp:exec",
      "--tmpfs",
      "/run/lock",
      "--volume",
      "/sys/fs/cgroup:/sys/fs/cgroup:rw",
    ],
    ...["--sysctl", "net.ipv6.conf.all.disable_ipv6=0", "--sysctl", "net.ipv6.conf.default.accept_dad=0"],
    ...["--stop-signal", "SIGRTMIN+3", "--stop-timeout", String(HALT_S), "--env", "container=docker"],
    ...Object.entries(spec.env ?? {}).flatMap(([key, value]) => ["--env", `${key}=${value}`]),
    ...Object.entries(spec.binds ?? {}).flatMap(([path, directory]) => [
      "--volume",
      `${directory}:${path}:ro`,
    ]),
    spec.image,
  ];
}

/**
 * `/etc/lab/network`, which the image reads at every boot.
 * @param {import("./servers.mjs").ServerSpec} spec
 * @returns {import("./archive.mjs").Entry}
 */
export function networkFile(spec) {
  const addresses = (spec.extraAddresses ?? []).join(" ");
  return { content: `ADDRESSES="${addresses}"\nIPV6_ONLY="${spec.ipv6Only ? "yes" : ""}"\n` };
}

/**
 * A hash of everything that a server is made with, contents included.
 * @param {import("./servers.mjs").ServerSpec} spec
 */
export function recipeOf(spec) {
  const files = Object.entries(spec.files ?? {}).map(([path, entry]) => [
    path,
    {
      ...entry,
      content: entry.content?.toString("base64"),
      ...(entry.from ? { from: recipeHash(readFileSync(entry.from, "latin1")) } : {}),
    },
  ]);
  return recipeHash({ ...spec, files, first_files: undefined });
}
