/** `ctl checks`: what is declared to answer, and whether it does, red first; of a probe the four reasons. */
import { checkColour } from "@muster/protocol/telemetry/checks";
import { type HostCheck, sortedChecks } from "@muster/view/checks";
import { countText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { checkColumns, reasonLines } from "../report/checks.ts";
import { askedExit, askHosts, missingJson, tellMissing } from "../roster/ask.ts";

export const checks = defineCommand({
  name: "checks",
  args: "[selector]",
  options: { down: { flag: "--down", help: "only what does not answer, or cannot be told" } },
  example: `ctl checks                 exit 0 when every check answers, 1 when one does not
ctl checks probe1          a measuring host with its four reasons
ctl checks ixp --down -o wide`,
  async run(context, { args, options }) {
    const { output } = context;
    const asked = await askHosts(context, args[0] ?? "all", "checks", {});
    // Instants in a host's sample are by its own clock.
    const clocks = new Map(asked.answered.map(({ name, reply }) => [name, reply.at]));
    const clock = (host: string) => clocks.get(host) ?? context.now();
    const all = asked.answered.flatMap(({ name, reply }) =>
      reply.checks.map((check): HostCheck => ({ host: name, check })),
    );
    const tint = ({ host, check }: HostCheck) => checkColour(check, clock(host));
    const rows = sortedChecks(all, tint).filter((row) => !options.down || tint(row) !== "green");
    if (rows.length > 0) output.table(rows, checkColumns(clock, output.colour));
    else if (asked.answered.length > 0)
      output.line(
        all.length > 0
          ? `none of ${countText(all.length, "check")}`
          : "no checks are declared      ctl docs check",
      );
    for (const row of rows) for (const line of reasonLines(row, output.colour)) output.line(line);
    tellMissing(context, asked);
    const red = rows.find((row) => tint(row) === "red");
    if (red !== undefined)
      output.note(`since when, and what was before: ctl events --kind check --host ${red.host}`);
    output.json({
      checks: rows.map((row) => ({ host: row.host, colour: tint(row), ...row.check })),
      ...missingJson(asked),
    });
    const exit = askedExit(asked);
    return exit === 0 && red !== undefined ? 1 : exit;
  },
});
