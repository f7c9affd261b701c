/**
 * The first server again, on a new machine: Vault takes in its snapshot, streams come back with their numbers, and `ctl init` makes the rest as it does
 * on any server. Certificates are new, the fleet is the same: hosts find it under the names that they know, and get the trust bundle with the new ones.
 */
import { access, rm } from "node:fs/promises";
import { isIP } from "node:net";
import { FleetError } from "@muster/protocol/errors";
import { connectSetUp } from "../fleet/broker-setup.ts";
import { writeText } from "../fleet/disk.ts";
import type { KitFile } from "../fleet/kit-file.ts";
import { LOCAL_BROKER } from "../fleet/make.ts";
import { hostOf } from "../fleet/networks.ts";
import { stateFile } from "../fleet/state.ts";
import type { Changes } from "../fleet/vault-setup.ts";
import { withNext } from "../output/error.ts";
import type { Context } from "../program/context.ts";
import { CONFIG_ROOT, makeServer, type ServerMade } from "../server/make.ts";
import { makeConfigRoot } from "../server/owner.ts";
import { replaceVault } from "../server/vault.ts";
import { fetchBackup } from "./fetch.ts";
import { vaultCommand, WORK_DIRECTORY } from "./make.ts";
import { bringStream } from "./streams.ts";

export type RestoreOrder = {
  readonly kit: KitFile;
  readonly from: string;
  readonly addresses: readonly string[];
  readonly name: string;
  password(): Promise<string>;
};

export type Restored = ServerMade & {
  readonly backup: { readonly name: string; readonly at: number };
  /** The first server that was. */
  readonly old_host: string;
  /** Under these hosts look for the first server already; names among them must lead here now. */
  readonly known_as: readonly string[];
  /** Where else they look, in vain. */
  readonly dead: readonly string[];
};

export async function restoreServer(
  context: Context,
  order: RestoreOrder,
  say: (text: string) => void,
): Promise<Restored> {
  const signal = context.asking;
  if (await exists(stateFile(CONFIG_ROOT))) {
    throw withNext(
      new FleetError("CONFLICT", "this server is the first of a fleet already: nothing is written over"),
      "take a machine with nothing but muster.deb on it",
    );
  }
  const kit = await order.kit.open();
  if (kit.vault_keys === undefined)
    throw new FleetError(
      "UNSUPPORTED",
      "the fleet's Vault is your own: restore it first, then ctl init --vault",
    );
  try {
    say("fetching the backup");
    const { name, contents, path } = await fetchBackup(order.from, kit, signal);
    if (contents.host === order.name) {
      throw withNext(
        new FleetError(
          "NAME_TAKEN",
          `${order.name} is the server that is gone, and its name stays with its key: this machine is another one`,
        ),
        `the same line with --name: any name that the fleet has not, such as ${order.name.slice(0, 60)}b`,
      );
    }
    const old_names = contents.state.addresses.filter((address) => isIP(hostOf(address)) === 0);
    const addresses = [...new Set([...order.addresses, ...old_names])];
    await makeConfigRoot(CONFIG_ROOT);
    say("Vault");
    const changes: Changes = { made: [], warnings: [] };
    const bring = ["operator", "raft", "snapshot", "restore", "-force", path("vault.snap")];
    await replaceVault(
      addresses.map(hostOf),
      kit.vault_keys,
      (vault) => vaultCommand(vault, bring, signal),
      changes,
      signal,
    );
    await writeText(stateFile(CONFIG_ROOT), `${JSON.stringify(contents.state, undefined, 2)}\n`);
    const made = await makeServer(
      context,
      {
        fleet: kit.fleet,
        addresses,
        networks: [],
        kit: order.kit,
        given_vault: null,
        admin: contents.state.admin,
        name: order.name,
        unseal: contents.unseal,
        audit_file: undefined,
        fill: async (state, vault) => {
          say("streams");
          const { bus } = await connectSetUp(state, [LOCAL_BROKER], vault, context.now(), signal);
          try {
            for (const [stream, form] of Object.entries(contents.streams))
              await bringStream(bus, stream, form, path("streams", stream));
          } finally {
            await bus.close();
          }
        },
        password: () => order.password(),
      },
      say,
    );
    const [known_as, dead] = [true, false].map((here) =>
      contents.state.addresses.filter((address) => addresses.includes(address) === here),
    ) as [string[], string[]];
    return { ...made, backup: { name, at: contents.at }, old_host: contents.host, known_as, dead };
  } finally {
    await rm(WORK_DIRECTORY, { recursive: true, force: true });
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
