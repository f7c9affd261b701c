/** `muster-agent log [N]`: the last events of this host. */
import { FleetError } from "@muster/protocol/errors";
import { placesOf, readConfig } from "../config.ts";
import { readEventLog } from "../events.ts";
import type { Given } from "./arguments.ts";

export async function log(given: Given): Promise<number> {
  const [count = "20"] = given.words;
  if (!/^\d{1,5}$/.test(count)) throw new FleetError("USAGE", `${count}: say how many events, such as 50`);
  const { events } = placesOf(readConfig(given.config_file), given.config_file);
  for (const event of await readEventLog(events, Number(count))) {
    const line = given.json
      ? JSON.stringify(event)
      : `${new Date(event.at).toISOString()}  ${event.severity.padEnd(7)}  ${event.what}`;
    process.stdout.write(`${line}\n`);
    if (!given.json && event.diff !== undefined)
      process.stdout.write(`${event.diff.replace(/^/gm, "    ")}\n`);
  }
  return 0;
}
