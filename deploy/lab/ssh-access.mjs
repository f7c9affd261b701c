/**
 * How a person gets into the lab's servers by ssh: a key of the lab's own, and a known_hosts file that holds the fleet's host CA
 * and no host key at all. That a log-in works without a question is the proof that every host has its certificate.
 */
import { readProfile } from "./ctl.mjs";
import { SERVERS } from "./layout.mjs";
import { addressesOf, findLab } from "./network.mjs";
import { mustExec } from "./servers.mjs";

const KEY = "ssh/id_ed25519";
/** Of the lab's state; `ssh -F` takes it. */
export const SSH_CONFIG = "ssh/config";

/**
 * Makes the key (on the hub: this machine may have no ssh) and writes the client's files.
 * @param {import("./servers.mjs").Server} hub
 * @param {import("./state.mjs").State} state
 * @param {import("./ctl.mjs").Operator} operator who has the fleet's profile
 * @param {string} fleet
 * @returns {Promise<{ changed: boolean }>}
 */
export async function sshAccess(hub, state, operator, fleet) {
  if (state.read(SSH_CONFIG) !== undefined) return { changed: false };
  const script =
    "rm -f /root/lab-key*; ssh-keygen -q -t ed25519 -N '' -C lab -f /root/lab-key && cat /root/lab-key";
  state.write(KEY, (await mustExec(hub, ["sh", "-c", script])).trim());
  state.write(`${KEY}.pub`, (await mustExec(hub, ["cat", "/root/lab-key.pub"])).trim());
  await mustExec(hub, ["rm", "/root/lab-key", "/root/lab-key.pub"]);
  const profile = readProfile(operator, fleet);
  if (profile === undefined) throw new Error(`${fleet} is not known yet`);
  const authorities = profile.bundle.ssh_host_ca.map((key) => `@cert-authority * ${key}`);
  state.write("ssh/known_hosts", authorities.join("\n"));
  const lab = await findLab(hub.lab);
  if (lab === undefined) throw new Error(`the network of ${hub.lab} is gone`);
  const hosts = SERVERS.filter((server) => server.managed).map(({ name }) => {
    const { ipv6 } = addressesOf(lab, name, []);
    return `Host ${name}\n  HostName ${ipv6}\n  HostKeyAlias ${name}\n`;
  });
  state.write(
    SSH_CONFIG,
    `${hosts.join("")}Host *
  User root
  IdentityFile ${state.path(KEY)}
  IdentitiesOnly yes
  UserKnownHostsFile ${state.path("ssh/known_hosts")}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes`,
  );
  return { changed: true };
}

/**
 * What lets the lab's key into a server.
 * @param {import("./state.mjs").State} state
 * @returns {Record<string, import("./archive.mjs").Entry>}
 */
export function sshFiles(state) {
  const key = state.read(`${KEY}.pub`);
  if (key === undefined) throw new Error("the lab's ssh key is not made yet");
  return {
    "/root/.ssh/": { mode: 0o700 },
    "/root/.ssh/authorized_keys": { content: `${key}\n`, mode: 0o600 },
  };
}
