/** `ctl top`: which servers are busy, live as a pane of `ctl watch`; where nobody looks, measured once over two seconds. */
import { setTimeout as sleep } from "node:timers/promises";
import { FleetError } from "@muster/protocol/errors";
import { loadOf } from "@muster/protocol/load";
import { defineCommand } from "../program/command.ts";
import { LOAD_ORDERS, type LoadRow, loadColumns } from "../report/load.ts";
import { askedExit, askHosts, missingJson, tellMissing } from "../roster/ask.ts";
import { SORTS, START, sortedBy } from "../watch/keys.ts";
import { isLookedAt, watchLive } from "./watch.ts";

const OVER_MS = 2_000;

export const top = defineCommand({
  name: "top",
  args: "[selector]",
  options: { sort: { flag: "--sort <column>", help: `${SORTS.load.join(", ")} (default cpu)` } },
  example: `ctl top                    live, by processor; s orders by the next column, r the other way round
ctl top ixp --sort received
ctl top --json             once, for scripts`,
  async run(context, { args, options }) {
    const selector = args[0] ?? "all";
    const sort = options.sort ?? "cpu";
    const order = LOAD_ORDERS[sort];
    if (order === undefined)
      throw new FleetError("USAGE", `--sort ${sort}: must be one of ${SORTS.load.join(", ")}`);
    if (isLookedAt(context)) {
      await watchLive(context, selector, sortedBy({ ...START, pane: "load" }, sort));
      return undefined;
    }
    const { output } = context;
    const first = await askHosts(context, selector, "health", {});
    await sleep(OVER_MS, undefined, { signal: context.signal });
    const asked = await askHosts(context, selector, "health", {});
    const before = new Map(first.answered.map(({ name, reply }) => [name, reply]));
    const rows = asked.answered
      .map(({ name, reply }): LoadRow => ({ host: name, load: loadOf(reply, before.get(name) ?? null) }))
      .sort(order);
    if (rows.length > 0) output.table(rows, loadColumns(output.colour));
    tellMissing(context, asked);
    output.json({ hosts: rows.map(({ host, load }) => ({ host, ...load })), ...missingJson(asked) });
    return askedExit(asked);
  },
});
