/**
 * What somebody did on the host itself (`muster-agent hold`, `unhold`, `undo`), on its way into the audit. Those commands work while the agent is dead, and one
 * alone writes the chain: so each leaves a line in a file, which the agent takes up as soon as it sees it. A line that is recorded twice, by a crash in
 * between, is better than one that is lost.
 */
import { appendFile, readFile, rename, rm } from "node:fs/promises";
import { type AuditDoor, entryOf } from "@muster/ports/audit";
import type { Log } from "@muster/ports/log";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { Instant } from "@muster/protocol/names";
import { z } from "zod";
import type { Bell } from "./wait.ts";

/** More than anybody types while an agent is dead. */
const LINES = 1_000;
const LINE_CHARACTERS = 1_000;
const LOOK_MS = 60_000;

const LocalAct = z.object({
  at: Instant,
  /** Who, as the host's own log-in says it. */
  by: z.string().max(64),
  what: z.enum(["hold", "unhold", "undo"]),
  target: z.string().max(500),
  failed: z.boolean(),
});
export type LocalAct = z.infer<typeof LocalAct>;

/** Leaves it for the agent. What was done stays done: a disk that takes no line is told on standard error. */
export async function leaveAct(file: string, act: LocalAct): Promise<void> {
  const line = `${JSON.stringify({ ...act, target: act.target.slice(0, 500) })}\n`;
  try {
    await appendFile(file, line, { mode: 0o600, flush: true });
  } catch (error) {
    process.stderr.write(`the audit will not say so: ${(error as Error).message}\n`);
  }
}

/** Takes up what was left, oldest first. Errors: UNAUDITED when it cannot be recorded yet: it is taken up the next time. */
export async function takeActs(file: string, audit: Pick<AuditDoor, "before">, log: Log): Promise<void> {
  const taken = `${file}.taken`;
  // What an earlier round did not get recorded goes first.
  for (const path of [taken, file]) {
    if (path === file && !(await moved(file, taken))) return;
    const text = await readFile(taken, "utf8").catch(gone);
    if (text === null) continue;
    const lines = text.split("\n");
    if (lines.length > LINES)
      log.warn({ lines: lines.length }, `of what was done on the host the audit gets ${LINES} lines`);
    for (const line of lines.slice(0, LINES)) {
      const act = read(line, log);
      if (act !== null) await audit.before(entryOf(noteOf(act)));
    }
    await rm(taken, { force: true });
  }
}

/** Takes them up at every ring, and now and then, until the signal aborts. */
export async function takeActsAlways(
  { file, bell }: { file: string; bell: Bell },
  audit: Pick<AuditDoor, "before">,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await bell.rung(LOOK_MS, signal);
    try {
      await takeActs(file, audit, log);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      log.warn({ code: error.code }, "what was done on the host is not in the audit yet");
    }
  }
}

const noteOf = ({ at, by, what, target, failed }: LocalAct) => ({
  at,
  kind: "act" as const,
  by: null,
  from: `this host: ${by}`,
  what,
  target,
  authority: "root on the host",
  result: failed ? ("failed" as const) : ("done" as const),
});

function read(line: string, log: Log): LocalAct | null {
  if (line.trim() === "") return null;
  try {
    return parseJson(LocalAct, line.slice(0, LINE_CHARACTERS), "what was done on the host");
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    log.warn({ code: error.code }, "a line about what was done on the host cannot be read");
    return null;
  }
}

async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw new FleetError("FAILED", `${from}: ${(error as Error).message}`, { cause: error });
  }
}

function gone(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw new FleetError("FAILED", error.message, { cause: error });
}
