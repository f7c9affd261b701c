/** `ctl completion`: what a shell needs to complete `ctl`. Needs no log-in and no network. */
import { FleetError } from "@muster/protocol/errors";
import { candidatesFor } from "../completion/candidates.ts";
import { namesFrom } from "../completion/names.ts";
import { FILES_LINE, SHELL_SCRIPTS } from "../completion/shells.ts";
import { defineCommand } from "../program/command.ts";
import { COMMANDS } from "./index.ts";

export const completion = defineCommand({
  name: "completion",
  args: "<shell> [word...]",
  example: `ctl completion fish | source           in ~/.config/fish/config.fish
source <(ctl completion bash)          in ~/.bashrc; zsh likewise. The package has all three in place`,
  async run(context, { args }) {
    const { output } = context;
    const [shell = "", ...words] = args;
    // What the scripts ask at each Tab.
    if (shell === "words") {
      const found = await candidatesFor(words, COMMANDS, namesFrom(context));
      const lines = found === "files" ? [FILES_LINE] : found.map(({ word, help = "" }) => `${word}\t${help}`);
      for (const line of lines) output.line(line.trimEnd());
      output.json(found);
      return undefined;
    }
    const script = Object.hasOwn(SHELL_SCRIPTS, shell) ? SHELL_SCRIPTS[shell] : undefined;
    if (script === undefined)
      throw new FleetError("USAGE", `no shell ${shell}; there are ${Object.keys(SHELL_SCRIPTS).join(", ")}`);
    output.line(script.trimEnd());
    output.json({ shell, script });
    return undefined;
  },
});
