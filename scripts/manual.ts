/** Prints the manual page ctl(1) from the table of commands: `node --import tsx scripts/manual.ts SECONDS`, the time that stands in it. */
import { argv, stdout } from "node:process";
import { COMMANDS } from "../packages/ctl/src/commands/index.ts";
import { manualPage } from "../packages/ctl/src/docs/manual.ts";

const date = new Date(Number(argv[2] ?? 0) * 1_000).toLocaleDateString("en-US", {
  dateStyle: "long",
  timeZone: "UTC",
});
const commands = await Promise.all(
  Object.values(COMMANDS).map(async ({ summary, load }) => ({ ...(await load()), summary })),
);
stdout.write(manualPage(commands, date));
