/**
 * Broker, Vault and controller of the demo without Docker: the same programs with what `ctl init` writes, as processes of the person on this
 * machine's loopback alone.
 */
import { randomInt } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { must, run } from "./command.mjs";
import { ctlJson } from "./ctl.mjs";
import { codeOf, SetupError } from "./errors.mjs";
import { ADMIN, KIT, PASSPHRASE, PASSWORD } from "./hub-fleet.mjs";
import { ROOT_TOKEN, VAULT_CA } from "./hub-vault.mjs";
import { ensureRunning, logOf } from "./processes.mjs";

const TLS = fileURLToPath(new URL("vault-tls.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const HOST = "127.0.0.1";
const READY_MS = 90_000;
const OUT = "fleet";
const UNSEAL_KEY = "vault-unseal-key";
const PORTS = "ports.json";
const FIRST_PORT = 15_000;
const LAST_PORT = 20_000;
const APART = 10;

/**
 * @typedef {object} PlainHub
 * @property {string} name of the fleet
 * @property {import("./state.mjs").State} state
 * @property {import("./ctl.mjs").Operator} operator
 * @property {Record<import("./tools.mjs").ToolName, import("./tools.mjs").Tool>} tools
 */

/**
 * Runs Vault and opens it; the first time it is made. The key that opens it lies beside it (0600): a demo's.
 * @param {PlainHub} hub
 * @returns {Promise<boolean>} whether anything was done
 */
export async function startVault({ state, tools }) {
  const { vault: port, cluster } = await ports(state);
  const directory = state.path("vault");
  mkdirSync(join(directory, "data"), { recursive: true, mode: 0o700 });
  if (state.read("vault/tls.key") === undefined) {
    const made = JSON.parse(
      (await must(process.execPath, ["--import", "tsx", TLS, "localhost", HOST], { cwd: ROOT })).stdout,
    );
    state.write(VAULT_CA, made.ca.trim());
    state.write("vault/tls.crt", made.certificate.trim());
    state.write("vault/tls.key", made.key.trim());
  }
  const config = {
    ui: false,
    disable_mlock: true,
    api_addr: `https://${HOST}:${port}`,
    cluster_addr: `https://${HOST}:${cluster}`,
    storage: { raft: { path: join(directory, "data"), node_id: "hub", performance_multiplier: "1" } },
    listener: {
      tcp: {
        address: `${HOST}:${port}`,
        cluster_address: `${HOST}:${cluster}`,
        tls_cert_file: join(directory, "tls.crt"),
        tls_key_file: join(directory, "tls.key"),
      },
    },
  };
  state.write("vault/vault.json", JSON.stringify(config));
  const env = {
    PATH: process.env.PATH,
    HOME: directory,
    VAULT_ADDR: `https://${HOST}:${port}`,
    VAULT_CACERT: state.path(VAULT_CA),
    VAULT_MAX_RETRIES: "0",
  };
  const vault = (/** @type {string[]} */ args, input = "") => run(tools.vault.path, args, { env, input });
  const args = ["server", `-config=${state.path("vault/vault.json")}`];
  // `vault status`: 0 open, 2 sealed, 1 does not answer yet.
  const ready = async () => (await vault(["status"])).code !== 1;
  const program = { name: "vault", file: tools.vault.path, args, env: { HOME: directory }, ready };
  const started = await ensureRunning(state, program, READY_MS);
  const status = JSON.parse((await vault(["status", "-format=json"])).stdout);
  if (!status.initialized) {
    const made = await vault(["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"]);
    if (made.code !== 0) throw new SetupError(`vault operator init: ${made.stderr.trim()}`);
    const answer = JSON.parse(made.stdout);
    state.write(UNSEAL_KEY, answer.unseal_keys_b64[0]);
    state.write(ROOT_TOKEN, answer.root_token);
  }
  if (status.sealed) {
    // Through standard input: an argument would show in the process list.
    const opened = await vault(["write", "sys/unseal", "key=-"], state.read(UNSEAL_KEY));
    if (opened.code !== 0) throw new SetupError(`Vault stays sealed: ${opened.stderr.trim()}`);
  }
  return started || status.sealed;
}

/**
 * Makes the fleet with `ctl init`, or finishes making it, and runs broker and controller.
 * @param {PlainHub} hub
 * @returns {Promise<{ changed: boolean, fleet_string: string }>}
 */
export async function makeFleet({ name, state, operator, tools }) {
  state.secret(PASSWORD);
  state.secret(PASSPHRASE);
  const { broker, vault, page } = await ports(state);
  const init = () =>
    ctlJson(operator, [
      ...["init", name, "--address", `${HOST}:${broker}`, "--vault", `https://${HOST}:${vault}`],
      ...["--vault-ca", state.path(VAULT_CA), "--vault-token-file", state.path(ROOT_TOKEN)],
      ...["--audit-file", state.path("vault/audit.log"), "--admin", ADMIN],
      ...["--password-file", state.path(PASSWORD), "--out", state.path(OUT)],
      ...["--kit-file", state.path(KIT), "--passphrase-file", state.path(PASSPHRASE)],
      ...["--controller-cidr", `${HOST}/32`],
    ]);
  let made = await init();
  const config = deliver(state, "nats", {
    "/var/lib/muster-nats": state.path("nats-store"),
    "[::]:": `${HOST}:`,
    ":8443": `:${page}`,
  });
  const started = await ensureRunning(
    state,
    {
      name: "nats-server",
      file: tools["nats-server"].path,
      args: ["--config", join(config, "nats-server.conf")],
      ready: () => answers(broker),
    },
    READY_MS,
  );
  if (started || made.broker !== "running") made = await init();
  const controller = deliver(state, "controller", {
    "/usr/share/muster/dashboard": join(operator.root, "dist", "dashboard"),
    "[::]:": `${HOST}:`,
    ":8443": `:${page}`,
  });
  const began = await ensureRunning(
    state,
    {
      name: "controller",
      file: process.execPath,
      args: [join(operator.root, "dist", "controller.cjs"), "--config", join(controller, "config.json")],
      // What it tells systemd elsewhere: it leads the fleet, or knows who does.
      ready: async () => /"msg":"[^"]*: \d+ hosts, at /.test(state.read(logOf("controller")) ?? ""),
    },
    READY_MS,
  );
  return { changed: started || began, fleet_string: made.fleet_string };
}

/**
 * Copies what `ctl init` wrote for an installed service, with the places of this demo in it.
 * @param {import("./state.mjs").State} state
 * @param {"nats" | "controller"} service
 * @param {Record<string, string>} places
 */
function deliver(state, service, places) {
  const to = state.path(`etc/${service}`);
  rmSync(to, { recursive: true, force: true });
  cpSync(state.path(join(OUT, service)), to, { recursive: true });
  for (const name of readdirSync(to).filter((each) => /\.(conf|json)$/.test(each))) {
    let text = readFileSync(join(to, name), "utf8");
    for (const [from, place] of Object.entries({ [`/etc/muster/${service}`]: to, ...places }))
      text = text.replaceAll(from, place);
    writeFileSync(join(to, name), text, { mode: 0o600 });
  }
  return to;
}

/**
 * Ports that were free when the demo was made; they stay the same, since hosts and people keep the address.
 * @param {import("./state.mjs").State} state
 * @returns {Promise<{ broker: number, vault: number, cluster: number, page: number }>}
 */
async function ports(state) {
  const known = state.read(PORTS);
  if (known !== undefined) return JSON.parse(known);
  // Apart, since Vault takes the port behind one of its own too.
  const first = randomInt(FIRST_PORT, LAST_PORT);
  const broker = await freePort(first);
  const vault = await freePort(broker + APART);
  const cluster = await freePort(vault + APART);
  const made = { broker, vault, cluster, page: await freePort(cluster + APART) };
  state.write(PORTS, JSON.stringify(made));
  return made;
}

/**
 * A port that is free now, below those that the system gives to connections (from 32768 on): one of these could have it at the demo's next start.
 * @param {number} from where to look first
 * @returns {Promise<number>}
 */
async function freePort(from) {
  for (let port = from; ; port++) {
    const free = await new Promise((resolve, reject) => {
      const server = createServer();
      server.once("error", (error) => (codeOf(error) === "EADDRINUSE" ? resolve(false) : reject(error)));
      server.listen(port, HOST, () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, HOST);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
