/** `ctl unseal`: opens the fleet's own Vault with the key in the recovery kit, from the server itself or from anywhere that reaches it. */
import { openVault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { readText } from "../fleet/disk.ts";
import { openKit } from "../fleet/kit.ts";
import { defineCommand } from "../program/command.ts";
import { unsealWith } from "../server/vault.ts";
import { readSecret } from "../session/passphrase.ts";
import { loadProfile } from "../session/profile.ts";

export const unseal = defineCommand({
  name: "unseal",
  example: `ctl unseal --kit as64500.kit      after a boot of the server whose Vault was made with --unseal manual`,
  async run(context) {
    const { output } = context;
    const path = context.global.kit;
    if (path === undefined) throw new FleetError("USAGE", "say where the recovery kit is: --kit FILE");
    const text = await readText(path);
    if (text === null) throw new FleetError("USAGE", `${path}: there is no such file`);
    const kit = await openKit(
      text,
      await readSecret(context, context.global.passphrase_file, `passphrase of ${path}`),
    );
    if (kit.vault_keys === undefined) {
      throw new FleetError(
        "UNSUPPORTED",
        `the Vault of ${kit.fleet} is not one that ctl init made: open it as its owner does`,
      );
    }
    const { bundle } = (await loadProfile(context.home, kit.fleet)) ?? kit.profile;
    const vault = openVault({ addresses: bundle.vault, ca_pem: bundle.vault_ca.join("") }, context.asking);
    const { sealed } = await vault.health();
    output.begin(kit.fleet, "kit");
    if (sealed) await unsealWith(vault, kit.vault_keys);
    output.line(sealed ? "vault    open" : "vault    was open already");
    output.json({ fleet: kit.fleet, opened: sealed });
    return undefined;
  },
});
