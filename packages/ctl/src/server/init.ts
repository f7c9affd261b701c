/** `ctl init` on a bare server: what the person is asked, and the rows that tell what there is now. */
import { access } from "node:fs/promises";
import { hostname } from "node:os";
import { FleetError } from "@muster/protocol/errors";
import { HostName, PersonName } from "@muster/protocol/names";
import { z } from "zod";
import { addressWarnings } from "../fleet/address-warnings.ts";
import { fleetString, loginLine } from "../fleet/files.ts";
import { type InitInput, type InitOptions, readInit } from "../fleet/init-input.ts";
import { loadState, type MadeFleet } from "../fleet/state.ts";
import { listText } from "../output/words.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { newSecret, readSecret } from "../session/passphrase.ts";
import { CONFIG_ROOT, makeServer, type ServerMade } from "./make.ts";
import { AGENT, BROKER, CONTROLLER, checkReady, VAULT } from "./ready.ts";
import type { Unseal } from "./vault.ts";

export async function initServer(context: Context, fleet: string, options: InitOptions): Promise<undefined> {
  const { output } = context;
  const input = await readInit(context, fleet, options);
  const unseal =
    options.unseal === undefined
      ? undefined
      : readWord(z.enum(["auto", "manual"]), options.unseal, "--unseal");
  const name = readWord(HostName, options.name ?? hostname().split(".")[0]?.toLowerCase(), "--name");
  const own = input.given_vault === null;
  await checkReady(own ? [VAULT, BROKER, CONTROLLER, AGENT] : [BROKER, CONTROLLER, AGENT], context.asking);
  const before = await loadState(CONFIG_ROOT);
  if (before !== null && before.fleet !== input.fleet)
    throw new FleetError("CONFLICT", `this server is the first of the fleet ${before.fleet} already`);
  const admin = await adminOf(context, options.admin, before);

  output.begin(input.fleet, admin);
  const secrets = await askFirst(context, input, before, admin, options.password_file);
  const progress = output.progress("Vault");
  const made = await makeServer(
    context,
    { ...input, admin, name, unseal, audit_file: options.audit_file, password: secrets.password },
    progress.update,
  ).finally(() => progress.done());
  const warnings = [...made.changes.warnings, ...(await addressWarnings(context.cwd, input.addresses))];
  tell(context, { input, made, admin, name, warnings, tpm: await hasTpm() });
  return undefined;
}

/** Whoever typed it, where that is a person's account and not root's. */
async function adminOf(
  context: Context,
  given: string | undefined,
  before: MadeFleet | null,
): Promise<string> {
  const known = given ?? before?.admin ?? (await context.output.ask("your name in the fleet (alice)"));
  return readWord(PersonName, known, "--admin");
}

/** Asks what will be needed before the work begins, so that nobody has to stay for it. */
async function askFirst(
  context: Context,
  input: InitInput,
  before: MadeFleet | null,
  admin: string,
  file: string | undefined,
): Promise<{ password(is_new: boolean): Promise<string> }> {
  const ask = (is_new: boolean) =>
    is_new
      ? newSecret(context, file, `new password of ${admin}`)
      : readSecret(context, file, `password of ${admin}`);
  const first = before === null && !(await input.kit.exists());
  const early = first ? await ask(true) : null;
  if (first) await input.kit.prepare();
  return { password: async (is_new) => early ?? (await ask(is_new)) };
}

const hasTpm = (): Promise<boolean> =>
  access("/dev/tpmrm0").then(
    () => true,
    () => false,
  );

type Told = {
  readonly input: InitInput;
  readonly made: ServerMade;
  readonly admin: string;
  readonly name: string;
  readonly warnings: readonly string[];
  readonly tpm: boolean;
};

function tell(context: Context, { input, made, admin, name, warnings, tpm }: Told): void {
  const { output } = context;
  const { changes, state, kit_made, unseal, vault_addresses } = made;
  const login = loginLine(admin, state);
  output.json({
    fleet: input.fleet,
    changed: changes.made,
    warnings,
    vault: { addresses: vault_addresses, unseal },
    broker: "running",
    controller: "running",
    host: name,
    kit: input.kit.path,
    anchor: state.anchor,
    fleet_string: fleetString(state),
    login,
  });
  const width = Math.max(9, name.length + 2);
  const row = (title: string, text: string) => output.line(`${title.padEnd(width)}${text}`);
  row("vault", vaultText(unseal, tpm, vault_addresses, input));
  row("broker", `running    controller  running    ${name}  joined, watched    you  ${admin}, admin`);
  if (kit_made) {
    row("kit", `${input.kit.path} rebuilds the fleet elsewhere: move it off this machine`);
  }
  row(
    "backup",
    output.colour.amber("NOT SET: nothing is kept elsewhere      ctl backup to PATH | rclone:REMOTE"),
  );
  row("open", "4222/tcp from servers and laptops, 8200/tcp from laptops and from servers that use secrets");
  row("", "4223/tcp and 8443/tcp from browsers (ctl dashboard)");
  for (const warning of warnings) row("warning", output.colour.amber(warning));
  row(
    "changed",
    changes.made.length === 0 ? "nothing: the fleet is as it should be" : listText(changes.made, 12),
  );
  row("next", `on your laptop: ${login}`);
}

function vaultText(
  unseal: Unseal | null,
  tpm: boolean,
  addresses: readonly string[],
  input: InitInput,
): string {
  if (unseal === null) return addresses.join(", ");
  if (unseal === "manual")
    return `made here; after a boot it waits for: ctl unseal --kit ${input.kit.path}. Its key is in the kit only`;
  const why = tpm ? "this machine's TPM is not used" : "no TPM";
  return `made here (--vault URL uses yours); opens itself at boot with a key on this machine: ${why}, so a stolen disk opens it (--unseal manual)`;
}
