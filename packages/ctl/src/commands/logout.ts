/** `ctl logout`: ends the log-in here and at Vault. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { nkeyFromSeed } from "@muster/protocol/nkey";
import { fleetOfFolder } from "../fleet/folder.ts";
import { timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { requireProfile } from "../session/profile.ts";
import { endsOf, loadSession, removeSession } from "../session/stored.ts";

export const logout = defineCommand({
  name: "logout",
  options: {
    forget: { flag: "--forget", help: "forget the fleet too: its brokers, its anchor, its trust bundle" },
  },
  example: "ctl logout",
  async run(context, { options }) {
    const profile = await requireProfile(
      context.home,
      context.global.fleet ?? (await fleetOfFolder(context.cwd)),
    );
    const stored = await loadSession(context.home, profile.fleet);
    if (stored?.vault_token != null) {
      const { vaultOf } = await import("../session/login.ts");
      try {
        await vaultOf(profile, context.asking).withToken(stored.vault_token).revokeSelf();
      } catch (error) {
        // The log-in ends here all the same; at Vault it ends by itself.
        if (!(error instanceof FleetError)) throw error;
        context.output.note(`at Vault it ends by itself: ${error.message}`);
      }
    }
    await removeSession(context.home, profile.fleet);
    if (options.forget) await rm(join(context.home, profile.fleet), { recursive: true, force: true });
    const what = options.forget
      ? `${profile.fleet} is forgotten`
      : `${stored?.person ?? "nobody"} is logged out of ${profile.fleet}`;
    context.output.line(what);
    if (stored !== null && endsOf(stored) > context.now())
      context.output.note(
        `its keys are gone from here; whoever has a copy could use it until ${timeText(endsOf(stored))}: ctl revoke ${nkeyFromSeed(stored.seed).public}, by an admin, ends it`,
      );
    context.output.json({ fleet: profile.fleet, person: stored?.person ?? null, forgotten: options.forget });
    return undefined;
  },
});
