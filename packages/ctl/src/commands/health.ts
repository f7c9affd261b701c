/** `ctl health`: how the servers themselves are, measured now; of a single one also what runs on it. */
import { defineCommand } from "../program/command.ts";
import { collectedSections } from "../report/collected.ts";
import { healthColumns, healthTroubles } from "../report/facts.ts";
import { askedExit, askHosts, missingJson, tellMissing } from "../roster/ask.ts";

export const health = defineCommand({
  name: "health",
  args: "[selector]",
  example: `ctl health
ctl health ixp1           also its containers, services, tunnels, certificates, packages
ctl health ixp -o wide`,
  async run(context, { args }) {
    const { output } = context;
    const selector = args[0] ?? "all";
    const asked = await askHosts(context, selector, "health", selector === "all" ? {} : { collected: true });
    const rows = asked.answered.map(({ name, reply }) => ({ host: name, health: reply }));
    if (rows.length > 0) output.table(rows, healthColumns(output.colour));
    for (const row of rows)
      for (const trouble of healthTroubles(row)) output.line(`${output.colour.amber(row.host)}  ${trouble}`);
    const [only, another] = rows;
    if (only !== undefined && another === undefined && selector !== "all")
      for (const { heading, print } of collectedSections(
        only.health.collected ?? {},
        output.colour,
        context.now(),
      )) {
        output.line(`\n${heading}`);
        print((of, columns) => output.table(of, columns));
      }
    tellMissing(context, asked);
    output.json({
      hosts: Object.fromEntries(rows.map((row) => [row.host, row.health])),
      ...missingJson(asked),
    });
    return askedExit(asked);
  },
});
