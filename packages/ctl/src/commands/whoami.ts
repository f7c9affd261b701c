/** `ctl whoami`. */
import { defineCommand } from "../program/command.ts";

export const whoami = defineCommand({
  name: "whoami",
  example: "ctl whoami",
  async run(context) {
    context.output.line("nobody");
    return undefined;
  },
});
