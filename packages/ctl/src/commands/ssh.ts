/** `ctl ssh`: the person's own ssh to a host of the folder, believing the fleet's host CA for the fleet's names, and no key that was revoked. */
import { setTimeout as sleep } from "node:timers/promises";
import { FleetError } from "@muster/protocol/errors";
import type { TrustBundle } from "@muster/protocol/trust";
import { timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { requireFolder } from "../roster/roster.ts";
import { type Profile, requireProfile } from "../session/profile.ts";
import { sessionOf } from "../session/session.ts";
import { lacking, loadSession } from "../session/stored.ts";

/** It is what people use when the broker is away. */
const NEWEST_MS = 3_000;

export const ssh = defineCommand({
  name: "ssh",
  args: "[host] [command...]",
  options: {
    config: { flag: "--config", help: "print it for ssh's own configuration, for all hosts of the folder" },
  },
  example: `ctl ssh core1                                 a shell there, without a question about its key
ctl ssh core1 -- journalctl -u bird -n 20
ctl ssh --config > ~/.ssh/as64500.conf        and in ~/.ssh/config: Include as64500.conf`,
  async run(context, { args, options }) {
    const [name, ...command] = args;
    if (options.config === (name !== undefined))
      throw new FleetError("USAGE", "say one host, or --config for all of the folder");
    const folder = await requireFolder(context);
    const loaded = await folder.load();
    const fleet = loaded.fleet.name;
    const names = [...loaded.fleet.hosts.keys()].sort();
    if (name !== undefined && !names.includes(name))
      throw new FleetError("NOT_FOUND", `no host ${name} in this folder`);
    const [{ sshTargets }, { clientConfig, clientSettings, writeClientFiles }] = await Promise.all([
      import("../join/targets.ts"),
      import("../ssh/client.ts"),
    ]);
    const targets = sshTargets(loaded, name === undefined ? names : [name]);
    const profile = await requireProfile(context.home, context.global.fleet ?? fleet);
    const files = await writeClientFiles(context.home, await newestOf(context, profile));
    const [target] = targets;
    if (name === undefined || target === undefined) {
      const text = clientConfig(fleet, targets, files);
      context.output.line(text);
      context.output.json({ config: text, ...files });
      return undefined;
    }
    const { runAttached } = await import("../server/run.ts");
    const settings = Object.entries(clientSettings(fleet, target, files));
    const words = settings.flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    return runAttached("ssh", [...words, target.name, ...command], context.signal);
  },
});

/** The newest trust bundle that can be had within seconds; else the one that is held, and that is said. */
async function newestOf(context: Context, profile: Profile): Promise<TrustBundle> {
  const said = (why: string) => {
    const { amber } = context.output.colour;
    context.output.note(
      amber(`what was revoked after ${timeText(profile.bundle.issued_at)} may not be known here: ${why}`),
    );
    return profile.bundle;
  };
  const stored = await loadSession(context.home, profile.fleet);
  const lack = lacking(stored, "operator", context.now());
  if (stored === null || lack !== null) return said(lack ?? "nobody is logged in here");
  const session = sessionOf(context, profile, stored);
  try {
    const late = sleep(NEWEST_MS, undefined, { ref: false }).then(() => {
      throw new FleetError("TIMEOUT", "the broker");
    });
    await Promise.race([session.connect().then((open) => open.close()), late]);
    return session.bundle;
  } catch (error) {
    if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
    return said(error.message);
  }
}
