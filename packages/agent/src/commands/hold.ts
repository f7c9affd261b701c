/** `muster-agent hold` and `unhold`: written to the file that the agent watches, so that it works while the agent is dead. */
import { FleetError } from "@muster/protocol/errors";
import { splitRef } from "@muster/protocol/resources/index";
import { timeText } from "@muster/protocol/time";
import { placesOf, readConfig } from "../config.ts";
import { addLocalHold, endLocalHold } from "../holds.ts";
import { leaveAct } from "../local-acts.ts";
import { duration_ms, type Given, whoAmI } from "./arguments.ts";

export async function hold(given: Given): Promise<number> {
  const [first = "", second] = given.words;
  const ref = second === undefined ? null : first;
  const length_ms = duration_ms(second ?? first);
  if (ref !== null) splitRef(ref);
  if (given.why === null || given.why.trim() === "") throw new FleetError("USAGE", "say why: --why TEXT");
  const now_ms = Date.now();
  const until = now_ms + length_ms;
  const by = whoAmI();
  const places = placesOf(readConfig(given.config_file), given.config_file);
  await addLocalHold(places.holds, { ref, why: given.why, by, at: now_ms, until }, now_ms);
  const target = `${ref ?? "the whole host"} until ${timeText(until)}: ${given.why}`;
  await leaveAct(places.acts, { at: now_ms, by, what: "hold", target, failed: false });
  process.stdout.write(`${ref ?? "the whole host"} is held until ${timeText(until)}\n`);
  return 0;
}

export async function unhold(given: Given): Promise<number> {
  const [ref = null] = given.words;
  if (ref !== null) splitRef(ref);
  const { holds, acts } = placesOf(readConfig(given.config_file), given.config_file);
  const at = Date.now();
  const ended = await endLocalHold(holds, ref, at);
  const target = ref ?? "the whole host";
  if (ended) await leaveAct(acts, { at, by: whoAmI(), what: "unhold", target, failed: false });
  process.stdout.write(`${target} ${ended ? "is no longer held" : "was not held here"}\n`);
  return ended ? 0 : 1;
}
