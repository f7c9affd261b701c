/** `ctl init`: makes a fleet, and run again finishes or checks it. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { openVault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { FleetName, PersonName } from "@muster/protocol/names";
import { setUpBroker } from "../fleet/broker-setup.ts";
import { readText } from "../fleet/disk.ts";
import { fleetString, loginLine } from "../fleet/files.ts";
import { announcedNetworks } from "../fleet/folder.ts";
import { makeFleet } from "../fleet/make.ts";
import { brokerAddress, checkedNetwork, hostOf, networkOf } from "../fleet/networks.ts";
import { hasLogin, putPerson } from "../fleet/people.ts";
import type { MadeFleet } from "../fleet/state.ts";
import type { Changes } from "../fleet/vault-setup.ts";
import { listText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { newSecret, readSecret } from "../session/passphrase.ts";
import { loadProfile, saveProfile } from "../session/profile.ts";

export const init = defineCommand({
  name: "init",
  args: "<fleet>",
  options: {
    address: {
      flag: "--address <address>",
      help: "where servers and people reach the broker: a name, IPv4 or IPv6, all that there are",
      many: true,
    },
    vault: {
      flag: "--vault <url>",
      help: "your Vault as all reach it, https://HOST:PORT; may be repeated",
      many: true,
      required: true,
    },
    vault_ca: { flag: "--vault-ca <file>", help: "the CA of its TLS certificate, PEM", required: true },
    vault_token_file: {
      flag: "--vault-token-file <file>",
      help: "a token that may make mounts, roles and policies",
      required: true,
    },
    admin: { flag: "--admin <name>", help: "you", required: true },
    password_file: {
      flag: "--password-file <file>",
      help: "where your new password is; asked for without it",
    },
    out: { flag: "--out <directory>", help: "where the files for broker and controller go", required: true },
    kit_file: { flag: "--kit-file <file>", help: "where the recovery kit goes (default: ~/<fleet>.kit)" },
    controller_cidr: {
      flag: "--controller-cidr <cidr>",
      help: "the controller's log-in works from there only; may be repeated",
      many: true,
    },
    audit_file: {
      flag: "--audit-file <file>",
      help: "where Vault writes its audit log, on its own machine (default: /var/log/vault/audit.log)",
    },
  },
  example: `ctl init as64500 --address core1.as64500.example --address 198.51.100.1 \\
    --vault https://core1.as64500.example:8200 --vault-ca vault-ca.pem --vault-token-file root-token \\
    --admin alice --out ./as64500
ctl init …                                        the same line again: checks everything, makes what is missing`,
  async run(context, { args, options }) {
    const { output } = context;
    const fleet = readWord(FleetName, args[0], "fleet");
    const admin = readWord(PersonName, options.admin, "--admin");
    if (options.address.length === 0)
      throw new FleetError("USAGE", "--address is missing: how do servers reach the broker?");
    const addresses = [...new Set(options.address.map(brokerAddress))];
    const networks = options.controller_cidr.map(checkedNetwork);
    const vault_ca = await required(options.vault_ca, "--vault-ca");
    const token = (await required(options.vault_token_file, "--vault-token-file")).trim();
    const kit_file = resolve(context.cwd, options.kit_file ?? join(homedir(), `${fleet}.kit`));
    const vault = openVault(
      { addresses: options.vault, ca_pem: vault_ca, timeout_ms: 30_000 },
      context.asking,
    ).withToken(token);

    output.begin(fleet, admin);
    const progress = output.progress("Vault: mounts, keys, roles, policies");
    const changes: Changes = { made: [], warnings: [] };
    const order = {
      fleet,
      addresses,
      vault,
      vault_addresses: options.vault.map((url) => new URL(url).origin),
      vault_ca,
      admin,
      out: resolve(context.cwd, options.out),
      kit_file,
      passphrase: (first: boolean) =>
        (first ? newSecret : readSecret)(
          context,
          context.global.passphrase_file,
          `passphrase of the recovery kit ${kit_file}`,
        ),
      controller_networks: networks,
      audit_file: options.audit_file ?? "/var/log/vault/audit.log",
      now: context.now,
    };
    const made = await makeFleet(order, changes);
    const password = (await hasLogin(vault, admin))
      ? null
      : await newSecret(context, options.password_file, `new password of ${admin}`);
    if (await putPerson(vault, { name: admin, rank: "admin", password }))
      changes.made.push(`${admin}, admin`);
    const known = await loadProfile(context.home, fleet);
    if (known?.anchor !== made.profile.anchor || known.bundle.version < made.profile.bundle.version) {
      await saveProfile(context.home, made.profile);
    }
    progress.update("broker: accounts, streams, trust bundle");
    const broker = await tryBroker(context, made.state, vault, changes).finally(() => progress.done());
    const warnings = [...changes.warnings, ...(await addressWarnings(context.cwd, addresses))];

    const login = loginLine(admin, made.state);
    output.json({
      fleet,
      changed: changes.made,
      warnings,
      broker: broker.running ? "running" : "not running",
      kit: kit_file,
      out: order.out,
      anchor: made.state.anchor,
      fleet_string: fleetString(made.state),
    });
    const row = (title: string, text: string) => output.line(`${title.padEnd(9)}${text}`);
    row("vault", order.vault_addresses.join(", "));
    row("broker", broker.text);
    row("you", `${admin}, admin`);
    if (made.kit_made) {
      row(
        "kit",
        `${kit_file} rebuilds the fleet elsewhere and logs in without Vault: move it off this machine`,
      );
      row(
        "",
        "in it, and nowhere else: the operator's identity, the accounts' identities, the broker CA, the admin key",
      );
    }
    row("files", `${order.out}/nats → /etc/muster/nats   ${order.out}/controller → /etc/muster/controller`);
    row("open", "4222/tcp from servers and laptops, 8200/tcp from laptops and controllers");
    for (const warning of warnings) row("warning", output.colour.amber(warning));
    row(
      "changed",
      changes.made.length === 0 ? "nothing: the fleet is as it should be" : listText(changes.made, 12),
    );
    const copied = ["nats", "controller"].filter(
      (part) => broker.running && changes.made.some((name) => name.startsWith(`${part}/`)),
    );
    for (const part of copied)
      row(
        "copy",
        `${order.out}/${part} has changed: copy it to /etc/muster/${part} and restart what runs there`,
      );
    row("next", broker.running ? login : "start nats-server with these files, then run the same line again");
    if (!broker.running) row("then", login);
    return undefined;
  },
});

async function required(path: string, option: string): Promise<string> {
  const text = await readText(path);
  if (text === null) throw new FleetError("USAGE", `${option} ${path}: there is no such file`);
  return text;
}

async function tryBroker(
  context: Context,
  made: MadeFleet,
  vault: Parameters<typeof setUpBroker>[1],
  changes: Changes,
): Promise<{ running: boolean; text: string }> {
  try {
    await setUpBroker(made, vault, context.now, changes, context.asking);
    return { running: true, text: `running at ${made.addresses.join(", ")}` };
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    if (error.code === "BUS_UNREACHABLE")
      return { running: false, text: `not running yet (${error.detail})` };
    if (error.code !== "NOT_LOGGED_IN") throw error;
    throw new FleetError(
      "CONFLICT",
      `the broker at ${made.addresses.join(", ")} runs with another configuration than the one in --out: copy it there and restart it`,
    );
  }
}

/** An address inside a prefix that the fleet itself announces goes away with a routing mistake, and the way to mend it too. */
async function addressWarnings(cwd: string, addresses: readonly string[]): Promise<string[]> {
  const announced = await announcedNetworks(cwd);
  if (announced.length === 0) return [];
  const rows = await Promise.all(
    addresses.map(async (address) => {
      const host = hostOf(address);
      const found =
        isIP(host) !== 0 ? [{ address: host }] : await lookup(host, { all: true }).catch(() => []);
      const network = found.map((one) => networkOf(one.address, announced)).find((one) => one !== null);
      return { host, network };
    }),
  );
  const safe = rows.filter((row) => row.network === undefined).map((row) => row.host);
  return rows
    .filter((row) => row.network !== undefined)
    .map((row) => {
      const rest =
        safe.length > 0
          ? `${listText(safe)} does not; all are tried`
          : "give --address one that lies outside, too";
      return `${row.host} lies in ${row.network}: a routing mistake cuts agents off. ${rest}`;
    });
}
