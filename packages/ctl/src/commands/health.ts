/** `ctl health`: how the servers themselves are, measured now. */
import { defineCommand } from "../program/command.ts";
import { healthColumns, healthTroubles } from "../report/facts.ts";
import { askedExit, askHosts, missingJson, tellMissing } from "../roster/ask.ts";

export const health = defineCommand({
  name: "health",
  args: "[selector]",
  example: `ctl health
ctl health ixp1 -o wide`,
  async run(context, { args }) {
    const { output } = context;
    const asked = await askHosts(context, args[0] ?? "all", "health", {});
    const rows = asked.answered.map(({ name, reply }) => ({ host: name, health: reply }));
    if (rows.length > 0) output.table(rows, healthColumns(output.colour));
    for (const row of rows)
      for (const trouble of healthTroubles(row)) output.line(`${output.colour.amber(row.host)}  ${trouble}`);
    tellMissing(context, asked);
    output.json({
      hosts: Object.fromEntries(rows.map((row) => [row.host, row.health])),
      ...missingJson(asked),
    });
    return askedExit(asked);
  },
});
