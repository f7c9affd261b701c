/**
 * Whether one prefix is exported to one session: a question for one net, because listing all that a session gets takes
 * seconds on a full table.
 */
import { FleetError } from "@muster/protocol/errors";
import { type BirdReply, lastCode } from "./framing.ts";

/** The command that asks it. @throws INVALID for a name or prefix that BIRD's command line would read otherwise */
export function exportQuery(session: string, prefix: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(session)) {
    throw new FleetError("INVALID", `session name ${JSON.stringify(session)}: letters, digits and _ only`);
  }
  if (!/^[0-9a-fA-F.:]+\/\d{1,3}$/.test(prefix)) {
    throw new FleetError("INVALID", `prefix ${JSON.stringify(prefix)}: an address, / and a length`);
  }
  return `show route ${prefix} export ${session}`;
}

/** True if exported, false if not, null if BIRD could not tell (session down or unknown, no such table). */
export function exportReply(reply: BirdReply): boolean | null {
  const code = lastCode(reply);
  if (code === 8001) return false;
  if (code !== 0) return null;
  return reply.lines.some((line) => line.code === 1007 && !/^(Table |\s*$)/.test(line.text));
}
