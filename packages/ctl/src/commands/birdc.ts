/** `ctl birdc`: a `show` command of BIRD on hosts, over a connection that can only read. For viewers too. */
import { FleetError } from "@muster/protocol/errors";
import { defineCommand } from "../program/command.ts";
import { askedExit, askHosts, missingJson, tellMissing } from "../roster/ask.ts";

export const birdc = defineCommand({
  name: "birdc",
  args: "<selector> <command...>",
  example: `ctl birdc ixp1 show route for 2001:db8::1
ctl birdc ixp "show protocols"`,
  async run(context, { args }) {
    const [selector = "", ...words] = args;
    const command = words.join(" ").trim().replace(/\s+/g, " ");
    if (!/^show [\x20-\x7e]+$/.test(command))
      throw new FleetError("USAGE", `birdc ${command}: only show …, such as: show route for 2001:db8::1`);
    const asked = await askHosts(context, selector, "birdc", { command });
    const { output } = context;
    for (const { name, reply } of asked.answered) {
      if (asked.answered.length > 1) output.line(output.colour.bold(name));
      for (const line of reply.lines) output.line(line);
    }
    tellMissing(context, asked);
    output.json({
      answered: Object.fromEntries(asked.answered.map(({ name, reply }) => [name, reply.lines])),
      ...missingJson(asked),
    });
    return askedExit(asked);
  },
});
