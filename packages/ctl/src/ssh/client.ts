/**
 * What the person's own ssh is to believe of the fleet's hosts: their host CA for names of this fleet and no other, and none whose key was revoked. Written
 * beside the fleet's profile, from the trust bundle that an admin signed. Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; ssh_config(5), RevokedHostKeys.
 */
import { join } from "node:path";
import { writeKrl } from "@muster/protocol/krl";
import type { TrustBundle } from "@muster/protocol/trust";
import { writeChanged } from "../fleet/disk.ts";
import type { Target } from "../join/targets.ts";

export type ClientFiles = { readonly known_hosts: string; readonly revoked: string };

/** With a list that it cannot read ssh believes no host: there is one also where nobody is revoked. */
export async function writeClientFiles(
  home: string,
  bundle: Pick<TrustBundle, "fleet" | "ssh_host_ca" | "ssh_krl">,
): Promise<ClientFiles> {
  const at = (name: string) => join(home, bundle.fleet, "ssh", name);
  const files = { known_hosts: at("known_hosts"), revoked: at("revoked.krl") };
  const authorities = bundle.ssh_host_ca.map((key) => `@cert-authority *.${bundle.fleet} ${key}\n`);
  const list =
    bundle.ssh_krl === null
      ? writeKrl({ keys: [], people: [] }, 0, 0)
      : Buffer.from(bundle.ssh_krl, "base64");
  await Promise.all([
    writeChanged(files.known_hosts, authorities.join("")),
    writeChanged(files.revoked, list),
  ]);
  return files;
}

/** What ssh is told of one host, as its configuration has it. A host's certificate holds its short name and the one below the fleet's. */
export function clientSettings(
  fleet: string,
  { name, address, user, port }: Target,
  { known_hosts, revoked }: ClientFiles,
): Readonly<Record<string, string>> {
  return {
    HostName: address,
    ...(port === undefined ? {} : { Port: String(port) }),
    ...(user === undefined ? {} : { User: user }),
    HostKeyAlias: `${name}.${fleet}`,
    UserKnownHostsFile: `"${known_hosts}"`,
    GlobalKnownHostsFile: "none",
    RevokedHostKeys: `"${revoked}"`,
    StrictHostKeyChecking: "yes",
  };
}

/** For `Include` in a person's own configuration, or `ssh -F`. */
export function clientConfig(fleet: string, targets: readonly Target[], files: ClientFiles): string {
  const blocks = targets.map((target) => {
    const lines = Object.entries(clientSettings(fleet, target, files));
    return [`Host ${target.name}`, ...lines.map(([name, value]) => `  ${name} ${value}`)].join("\n");
  });
  return blocks.join("\n\n");
}
