/**
 * The hub: the one lab server that runs the broker, Vault and the controller, each as its own user under systemd. What they
 * are configured with comes as a directory of files; delivering the same again changes nothing.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { serviceFiles } from "../systemd/files.mjs";
import { SetupError } from "./errors.mjs";
import { copyIn, exec, mustExec } from "./servers.mjs";

/** Where `ctl init` output goes, whose it is, which unit runs it, and the port that answers when it is up. */
const SERVICES = {
  broker: { unit: "nats-server.service", user: "muster-nats", directory: "/etc/muster/nats", port: 4222 },
  vault: { unit: "vault.service", user: "muster-vault", directory: "/etc/muster/vault", port: 8200 },
  controller: {
    unit: "muster-controller.service",
    user: "muster-controller",
    directory: "/etc/muster/controller",
    port: undefined,
  },
};

/**
 * @typedef {keyof typeof SERVICES} Service
 * @typedef {import("./servers.mjs").Server} Server
 */

/**
 * What the hub has before its first boot: what the package puts there, and its own way to start the controller. Nothing is enabled yet.
 * @returns {Record<string, import("./archive.mjs").Entry>}
 */
export function hubFiles() {
  const content = '#!/bin/sh\nexec /usr/lib/muster/node/bin/node /usr/lib/muster/controller.cjs "$@"\n';
  return { ...serviceFiles(), "/usr/bin/muster-controller": { content, mode: 0o755 } };
}

/**
 * The programs, mounted from this machine's cache.
 * @param {{ tools: Record<"nats-server" | "vault", { path: string }>, node: { directory: string } }} programs
 */
export function hubBinds({ tools, node }) {
  return {
    "/usr/bin/nats-server": tools["nats-server"].path,
    "/usr/bin/vault": tools.vault.path,
    "/usr/lib/muster/node": node.directory,
  };
}

/**
 * Delivers a service's files (owner its user, 0600) and runs it, enabled at boot; returns when its port answers. Files that
 * are there but not in `files` stay: the service may have written them.
 * @param {Server} hub
 * @param {Service} service
 * @param {{ files: Record<string, string | Buffer>, program?: string, page?: string }} delivery `files` by path beneath the service's
 *   directory (`readDirectory` makes them); `program`: the controller's bundle on this machine; `page`: the built web page's directory
 * @returns {Promise<{ changed: boolean }>} whether anything was delivered or started
 */
export async function startService(hub, service, { files, program, page }) {
  const { unit, user, directory, port } = SERVICES[service];
  const hash = createHash("sha256");
  for (const [path, content] of Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${path}\0`).update(content);
  if (program !== undefined) hash.update(readFileSync(program));
  const page_files = page === undefined ? {} : readDirectory(page);
  for (const content of Object.values(page_files)) hash.update(content);
  const mark = `/usr/lib/muster/.delivered-${service}`;
  const wanted = hash.digest("hex");
  const before = await exec(hub, ["sh", "-c", `cat ${mark}; systemctl is-active ${unit}`]);
  if (before.stdout === `${wanted}\nactive\n`) return { changed: false };

  const [uid, gid] = (await mustExec(hub, ["sh", "-c", `id -u ${user}; id -g ${user}`]))
    .trim()
    .split("\n")
    .map(Number);
  const owner = { uid: uid ?? 0, gid: gid ?? 0 };
  /** @type {Record<string, import("./archive.mjs").Entry>} */
  const entries = { "/etc/muster/": {}, [`${directory}/`]: { ...owner, mode: 0o700 } };
  for (const [path, content] of Object.entries(files))
    entries[`${directory}/${path}`] = { ...owner, content, mode: 0o600 };
  if (program !== undefined) entries["/usr/lib/muster/controller.cjs"] = { from: program };
  for (const [path, content] of Object.entries(page_files))
    entries[`/usr/share/muster/dashboard/${path}`] = { content };
  await copyIn(hub, entries);
  await mustExec(hub, ["sh", "-c", `systemctl enable --quiet ${unit} && systemctl restart ${unit}`]);
  if (port !== undefined) await waitForPort(hub, unit, port);
  await copyIn(hub, { [mark]: { content: `${wanted}\n` } });
  return { changed: true };
}

/**
 * Initialises Vault (one key share: a lab's) and opens it, if it is not; the key stays on the hub, 0600, so that Vault opens
 * itself at every start.
 * @param {Server} hub
 * @returns {Promise<{ root_token: string | undefined }>} the root token, given once, when Vault was initialised just now
 */
export async function openVault(hub) {
  const { user, directory } = SERVICES.vault;
  const status = await vaultStatus(hub);
  if (status.initialized && !status.sealed) return { root_token: undefined };
  /** @type {string | undefined} */
  let root_token;
  if (!status.initialized) {
    const made = await vault(hub, ["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"]);
    if (made.code !== 0) throw new SetupError(`vault operator init: ${made.stderr.trim()}`);
    const answer = JSON.parse(made.stdout);
    root_token = answer.root_token;
    const write = `umask 077; cat >${directory}/unseal.key; chown ${user}: ${directory}/unseal.key`;
    await mustExec(hub, ["sh", "-c", write], { input: `${answer.unseal_keys_b64.join("\n")}\n` });
  }
  await mustExec(hub, ["runuser", "-u", user, "--", "/usr/lib/muster/vault-unseal"]);
  const after = await vaultStatus(hub);
  if (after.sealed)
    throw new SetupError(
      "Vault stays sealed: does /etc/muster/vault/unseal.key on the hub belong to this Vault?",
    );
  return { root_token };
}

/**
 * Every file beneath a directory of this machine, for `startService`.
 * @param {string} directory
 * @returns {Record<string, Buffer>}
 */
export function readDirectory(directory) {
  const found = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((file) =>
    file.isFile(),
  );
  const paths = found.map((file) => join(file.parentPath ?? file.path, file.name));
  return Object.fromEntries(paths.map((path) => [relative(directory, path), readFileSync(path)]));
}

/**
 * Makes Vault as it was before it was initialised: for one whose keys nobody has.
 * @param {Server} hub
 */
export async function emptyVault(hub) {
  const { unit, directory, port } = SERVICES.vault;
  const script = `systemctl stop ${unit}; rm -rf /var/lib/muster-vault/* ${directory}/unseal.key; systemctl start ${unit}`;
  await mustExec(hub, ["sh", "-c", script]);
  await waitForPort(hub, unit, port);
}

/** @param {Server} hub */
export async function vaultStatus(hub) {
  const { code, stdout, stderr } = await vault(hub, ["status", "-format=json"]);
  if (code !== 0 && code !== 2) throw new SetupError(`Vault does not answer: ${stderr.trim()}`);
  return /** @type {{ initialized: boolean, sealed: boolean }} */ (JSON.parse(stdout));
}

/**
 * @param {Server} hub
 * @param {string[]} args
 */
function vault(hub, args) {
  const { directory } = SERVICES.vault;
  const script = `ca=${directory}/ca.crt; [ -f "$ca" ] || ca=${directory}/tls.crt; VAULT_CACERT="$ca" exec vault "$@"`;
  const env = { VAULT_ADDR: "https://localhost:8200", HOME: "/nonexistent" };
  return exec(hub, ["sh", "-c", script, "vault", ...args], { env });
}

/**
 * @param {Server} hub
 * @param {string} unit
 * @param {number} port
 */
async function waitForPort(hub, unit, port) {
  const script = `for i in $(seq 600); do nc -z ::1 ${port} && exit 0; sleep 0.1; done; exit 1`;
  const { code } = await exec(hub, ["sh", "-c", script], { timeout_ms: 120_000 });
  if (code === 0) return;
  const log = await exec(hub, ["journalctl", "--unit", unit, "--no-pager", "--output=cat", "--lines=15"]);
  throw new SetupError(`${unit} on the hub does not answer on port ${port}:\n${log.stdout.trim()}`);
}
