/** `muster-agent status`: from the file that the agent keeps, and from the disk when it is dead; nothing there is changed. Exit 0 when all is well, else 1. */

import { Instant } from "@muster/protocol/names";
import { Convergence } from "@muster/protocol/telemetry/convergence";
import { timeText } from "@muster/protocol/time";
import { z } from "zod";
import { answers } from "../alone.ts";
import { checkLines, KeptChecks } from "../checks/kept.ts";
import { placesOf, readConfig } from "../config.ts";
import { HoldsFile, heldWhy, holdsInForce } from "../holds.ts";
import { Ledger } from "../ledger.ts";
import { lookAtKept } from "../store.ts";
import { Records } from "../unconfirmed.ts";
import type { Given } from "./arguments.ts";

const StatusFile = z.object({
  at: Instant,
  pid: z.int(),
  line: z.string(),
  host: z.string().nullable(),
  id: z.string().nullable(),
  enrolment: z.string().nullable(),
  broker: z.string().nullable(),
  convergence: Convergence,
});

export async function status(given: Given): Promise<number> {
  const config = readConfig(given.config_file);
  const places = placesOf(config, given.config_file);
  const { value: kept, damaged: status_damage } = await lookAtKept(places.status, StatusFile);
  // The number alone may by now be that of another program, the socket that of an agent that has not written yet.
  const alive = kept !== null && isAlive(kept.pid) && (await answers(places.alone));
  const [ledger, local, kept_checks, records] = await Promise.all([
    Ledger.look(places.ledger),
    lookAtKept(places.holds, HoldsFile, "nothing"),
    lookAtKept(places.checks, KeptChecks),
    new Records(places.records).list({ only_look: true }),
  ]);
  const { state } = ledger;
  const holds = holdsInForce(local.value?.holds ?? [], state.switches, Date.now());
  const checks = kept_checks.value ?? { checks: {} };
  const open = records.filter(({ phase }) => phase === "record");
  const damaged = [status_damage, ledger.damaged, local.damaged, kept_checks.damaged].filter(
    (each) => each !== null,
  );
  const code = isWell(alive, kept) && damaged.length === 0 ? 0 : 1;
  if (given.json) {
    process.stdout.write(
      `${JSON.stringify({ alive, status: kept, ...checks, holds, unconfirmed: open.length, damaged })}\n`,
    );
    return code;
  }
  const lines = [
    alive ? kept.line : `muster-agent does not run${kept === null ? "" : `; when it ran: ${kept.line}`}`,
  ];
  if (!alive && state.in_force !== null)
    lines.push(`generation   ${state.in_force.generation}, signed by ${state.in_force.by}`);
  if (kept !== null) {
    const { convergence } = kept;
    const when = alive ? "" : "when it ran: ";
    for (const { ref, what } of convergence.troubles) lines.push(`failed       ${when}${ref}: ${what}`);
    for (const { ref, what, action } of convergence.drift)
      lines.push(`drift        ${when}${ref} ${what}: ${action}`);
    if (alive && convergence.undo_at !== null)
      lines.push(`unconfirmed  taken back at ${timeText(convergence.undo_at)} unless it stays good`);
  }
  lines.push(...checkLines(checks).map((line) => (alive ? line : `${line} (when it ran)`)));
  for (const hold of holds)
    lines.push(`hold         ${hold.ref ?? "the whole host"} ${heldWhy([hold], hold.ref ?? "")}`);
  if (open.length > 0)
    lines.push(`undo         ${open.length} unconfirmed change: muster-agent undo takes it back`);
  for (const what of damaged) lines.push(`damaged      ${what}`);
  process.stdout.write(`${lines.join("\n")}\n`);
  return code;
}

const isWell = (alive: boolean, kept: z.infer<typeof StatusFile> | null) =>
  alive && kept !== null && kept.enrolment === null && kept.convergence.error === null;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
