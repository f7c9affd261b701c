/** `ctl facts`: what a server is. */
import { defineCommand } from "../program/command.ts";
import { factLines } from "../report/facts.ts";
import { askedExit, askHosts, missingJson, tellMissing } from "../roster/ask.ts";

export const facts = defineCommand({
  name: "facts",
  args: "<selector>",
  example: "ctl facts ixp1",
  async run(context, { args }) {
    const { output } = context;
    const asked = await askHosts(context, args[0] ?? "", "facts", {});
    for (const [at, { name, reply }] of asked.answered.entries()) {
      if (at > 0) output.line();
      output.line(output.colour.bold(name));
      for (const line of factLines(reply)) output.line(line);
    }
    tellMissing(context, asked);
    output.json({
      hosts: Object.fromEntries(asked.answered.map(({ name, reply }) => [name, reply])),
      ...missingJson(asked),
    });
    return askedExit(asked);
  },
});
