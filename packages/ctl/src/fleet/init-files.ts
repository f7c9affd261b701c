/** `ctl init --out`: a fleet on somebody's own Vault, with the files for broker and controller to be carried where these run. */
import { resolve } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { PersonName } from "@muster/protocol/names";
import { listText } from "../output/words.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { newSecret } from "../session/passphrase.ts";
import { addressWarnings } from "./address-warnings.ts";
import { brokerThere, setUpBroker } from "./broker-setup.ts";
import { fleetString, loginLine } from "./files.ts";
import { type InitOptions, readInit } from "./init-input.ts";
import { keepProfile, makeFleet } from "./make.ts";
import { hasLogin, putPerson } from "./people.ts";
import type { MadeFleet } from "./state.ts";
import type { Changes } from "./vault-setup.ts";

export async function initFiles(
  context: Context,
  name: string,
  out_option: string,
  options: InitOptions,
): Promise<undefined> {
  const { output } = context;
  const { fleet, addresses, networks, kit, given_vault } = await readInit(context, name, options);
  if (given_vault === null)
    throw new FleetError("USAGE", "--out is for a Vault of your own: say where, --vault URL");
  const admin = readWord(
    PersonName,
    options.admin ?? (await output.ask("your name in the fleet")),
    "--admin",
  );
  const { vault, addresses: vault_addresses } = given_vault;
  const out = resolve(context.cwd, out_option);

  output.begin(fleet, admin);
  const progress = output.progress("Vault: mounts, keys, roles, policies");
  const changes: Changes = { made: [], warnings: [] };
  const made = await makeFleet(
    {
      fleet,
      addresses,
      here: false,
      vault,
      vault_addresses,
      controller_vault: vault_addresses,
      vault_ca: given_vault.ca_pem,
      vault_keys: undefined,
      admin,
      out,
      kit,
      controller_networks: networks.length > 0 ? networks : undefined,
      audit_file: options.audit_file ?? "/var/log/vault/audit.log",
      held: (known) => brokerThere(known, addresses, vault, context.now(), context.asking),
      now: context.now,
    },
    changes,
  );
  const password = (await hasLogin(vault, admin))
    ? null
    : await newSecret(context, options.password_file, `new password of ${admin}`);
  if (await putPerson(vault, { name: admin, rank: "admin", password })) changes.made.push(`${admin}, admin`);
  await keepProfile(context.home, made.profile);
  progress.update("broker: accounts, streams, trust bundle");
  const broker = await tryBroker(context, made.state, vault, changes).finally(() => progress.done());
  const warnings = [...changes.warnings, ...(await addressWarnings(context.cwd, addresses))];

  const login = loginLine(admin, made.state);
  output.json({
    fleet,
    changed: changes.made,
    warnings,
    broker: broker.running ? "running" : "not running",
    kit: kit.path,
    out,
    anchor: made.state.anchor,
    fleet_string: fleetString(made.state),
  });
  const row = (title: string, text: string) => output.line(`${title.padEnd(9)}${text}`);
  row("vault", vault_addresses.join(", "));
  row("broker", broker.text);
  row("you", `${admin}, admin`);
  if (made.kit_made) {
    row(
      "kit",
      `${kit.path} rebuilds the fleet elsewhere and logs in without Vault: move it off this machine`,
    );
    row(
      "",
      "in it, and nowhere else: the operator's identity, the accounts' identities, the broker CA, the admin key",
    );
  }
  row("files", `${out}/nats → /etc/muster/nats   ${out}/controller → /etc/muster/controller`);
  row("open", "4222/tcp from servers and laptops, 8200/tcp from laptops and controllers");
  row("", "4223/tcp and 8443/tcp from browsers (ctl dashboard)");
  for (const warning of warnings) row("warning", output.colour.amber(warning));
  row(
    "changed",
    changes.made.length === 0 ? "nothing: the fleet is as it should be" : listText(changes.made, 12),
  );
  const copied = ["nats", "controller"].filter(
    (part) => broker.running && changes.made.some((name) => name.startsWith(`${part}/`)),
  );
  for (const part of copied)
    row("copy", `${out}/${part} has changed: copy it to /etc/muster/${part} and restart what runs there`);
  row("next", broker.running ? login : "start nats-server with these files, then run the same line again");
  if (!broker.running) row("then", login);
  return undefined;
}

async function tryBroker(
  context: Context,
  made: MadeFleet,
  vault: Parameters<typeof setUpBroker>[2],
  changes: Changes,
): Promise<{ running: boolean; text: string }> {
  try {
    await setUpBroker(made, made.addresses, vault, context.now, changes, context.asking);
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
