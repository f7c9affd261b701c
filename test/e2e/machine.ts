/**
 * A machine that is new to the fleet: a lab server with an agent, and nothing that says where to enrol. A story boots it, gives it join strings,
 * and removes it together with the names that it got, so that the next story finds the three hosts again.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Fleet, ServerHandle, ServerName } from "./kit.ts";
import { openLab, ROOT, type Server } from "./lab.ts";
import { controllerBus } from "./persona.ts";

type Engine = {
  readonly image: string;
  readonly node: { readonly directory: string };
  readonly engine: unknown;
};
type Parts = {
  prepare(progress: unknown): Promise<Engine>;
  findLab(name: string): Promise<{ readonly gateway: { readonly ipv4: string } } | undefined>;
  startServer(lab: unknown, spec: object, engine: unknown): Promise<Server>;
  remove(server: Pick<Server, "container">): Promise<void>;
  agentFiles(root: string): object;
  copyIn(server: Pick<Server, "container">, files: Record<string, { from: string }>): Promise<void>;
  AGENT_NODE: string;
};

export type Machine = ServerHandle & {
  /** What `systemctl status muster-agent` shows behind "Status:". */
  said(): Promise<string>;
  /** Writes the join string, as a person does. The agent looks every second. */
  join(text: string): Promise<void>;
  /** Copies files of this machine there: path on the machine → path here. */
  put(files: Readonly<Record<string, string>>): Promise<void>;
  /** Stops the agent and takes everything from the machine that it knows of itself: another machine, but for its address. */
  wipe(): Promise<void>;
  /** Address of this machine as the lab's servers reach it. */
  readonly gateway: string;
  remove(): Promise<void>;
};

async function parts(): Promise<Parts> {
  const files = ["fleet", "network", "servers", "agents"];
  const loaded = await Promise.all(
    files.map((file) => import(new URL(`../../deploy/lab/${file}.mjs`, import.meta.url).href)),
  );
  return Object.assign({}, ...loaded) as Parts;
}

type Network = NonNullable<Awaited<ReturnType<Parts["findLab"]>>>;
/** One a lab: it holds whose turn it is to be given an address, for machines that are booted side by side. */
const networks = new Map<string, Promise<Network>>();

function networkOf(own: Parts, lab: string): Promise<Network> {
  const known = networks.get(lab);
  if (known !== undefined) return known;
  const found = own.findLab(lab).then((network) => {
    if (network === undefined) throw new Error(`lab ${lab} has no network`);
    return network;
  });
  networks.set(lab, found);
  return found;
}

/** Boots it; its agent runs and knows of no fleet. `bare`: Debian, with nothing of Muster and no Node. */
export async function bootMachine(fleet: Fleet, name: string, { bare = false } = {}): Promise<Machine> {
  const lab = await openLab();
  const own = await parts();
  const known = await lab.findServer(fleet.lab, name);
  // What a killed run left has keys of its own.
  if (known !== undefined) await own.remove(known);
  const { image, node, engine } = await own.prepare(lab.createProgress());
  const network = await networkOf(own, fleet.lab);
  const spec = {
    name,
    image,
    binds: bare ? {} : { [own.AGENT_NODE]: node.directory },
    first_files: bare ? {} : own.agentFiles(ROOT),
  };
  const server = await own.startServer(network, spec, engine);
  const handle = fleet.on(name as ServerName);
  return {
    ...handle,
    gateway: network.gateway.ipv4,
    said: async () => (await handle.sh("systemctl show muster-agent --property=StatusText --value")).trim(),
    join: async (text) =>
      void (await handle.sh("umask 077; mkdir -p /etc/muster; cat >/etc/muster/join", {
        input: `${text}\n`,
      })),
    put: (files) =>
      own.copyIn(server, Object.fromEntries(Object.entries(files).map(([path, from]) => [path, { from }]))),
    wipe: async () =>
      void (await handle.sh(
        "systemctl stop muster-agent; rm -rf /var/lib/muster-agent /etc/muster/join /etc/muster/fleet; rm -f /etc/ssh/ssh_host_ed25519_key*",
      )),
    remove: () => own.remove(server),
  };
}

/** The fleet no longer knows these hosts. There is no command for it yet: records and pins go, and the controller reads them again. */
export async function forgetHosts(fleet: Fleet, names: readonly string[]): Promise<void> {
  const bus = await controllerBus(fleet);
  try {
    for (const name of names) await bus.kv("hosts").delete(name);
  } finally {
    await bus.close();
  }
  const pinned = (line: string) => names.some((name) => line.startsWith(`${name} `));
  fleet.edit("hosts.lock", (text) =>
    text
      .split("\n")
      .filter((line) => !pinned(line))
      .join("\n"),
  );
  await fleet.on("hub").sh("systemctl restart muster-controller");
}

/** Names in the folder that have no resources: `ctl join` takes only what the folder declares. */
export function declareSpare(fleet: Fleet, names: readonly string[]): void {
  const path = join(fleet.operator.folder, "hosts.yml");
  const hosts = names.map((name) => `    ${name}: {}\n`).join("");
  writeFileSync(path, `${readFileSync(path, "utf8")}spare:\n  hosts:\n${hosts}`);
}
