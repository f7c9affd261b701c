/**
 * `muster-agent undo`: takes back what is not confirmed yet. By a person without words, by the timer with `--record ID`, by the boot unit with
 * `--boot`. Needs neither the network nor the agent.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "@muster/protocol/errors";
import { RandomId } from "@muster/protocol/names";
import { buildBase } from "../base.ts";
import { readConfig } from "../config.ts";
import { leaveAct } from "../local-acts.ts";
import { undoAll, undoRecord } from "../undo.ts";
import { type Given, whoAmI } from "./arguments.ts";

export async function undo(given: Given): Promise<number> {
  const life = new AbortController();
  const { places, records, ports } = buildBase(readConfig(given.config_file), given.config_file, life.signal);
  try {
    if (given.record !== null) {
      const id = parse(RandomId, given.record, "--record");
      await sleep(given.after_ms);
      const undone = await undoRecord(records, id, "nobody confirmed it in time", ports, life.signal);
      return undone?.error == null ? 0 : 1;
    }
    const by = given.boot
      ? "the server was started before the change was confirmed"
      : `taken back on the host by ${whoAmI()}`;
    const all = await undoAll(records, by, ports, life.signal);
    for (const { record, error } of all) {
      if (!given.boot) {
        const target = error === null ? record.ref : `${record.ref}: ${error}`;
        await leaveAct(places.acts, {
          at: ports.now(),
          by: whoAmI(),
          what: "undo",
          target,
          failed: error !== null,
        });
      }
      process.stdout.write(
        `${record.ref}: ${error === null ? "taken back, it is as before" : `TAKING IT BACK FAILED: ${error}`}\n`,
      );
    }
    if (all.length === 0) process.stdout.write("nothing is unconfirmed\n");
    return all.some(({ error }) => error !== null) ? 1 : 0;
  } finally {
    life.abort();
  }
}
