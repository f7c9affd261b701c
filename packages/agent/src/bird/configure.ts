/** Reads what BIRD answers to `configure …`, `configure check` and `configure status` (doc/reply_codes of BIRD). */
import { type BirdReply, lastCode } from "./framing.ts";

/** Where a configuration is wrong; `line` and `column` are null for a file that cannot be read at all. */
export type BirdConfigError = {
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
  readonly message: string;
};

export type CheckReply = { readonly ok: true } | { readonly ok: false; readonly error: BirdConfigError };

/**
 * `undo_in_s` is the armed timer as BIRD confirmed it, null if none was. `dequeued`: a queued reconfiguration was taken
 * back by an undo. `refused`: not allowed (8007) or not understood (9001).
 */
export type ConfigureReply =
  | { readonly kind: "reconfigured" | "in_progress" | "queued"; readonly undo_in_s: number | null }
  | { readonly kind: "dequeued" | "shutting_down" | "confirmed" | "nothing_to_do" | "checked" }
  | { readonly kind: "error"; readonly error: BirdConfigError }
  | { readonly kind: "refused"; readonly code: number; readonly text: string };

/** `undo_in_s` non-null = an unconfirmed configuration is loaded and its timer runs. */
export type ConfigureStatus = {
  readonly state: "running" | "in_progress" | "queued" | "shutting_down" | "unknown";
  readonly undo_in_s: number | null;
};

/** Reads the reply to `configure check "file"`; a refusal is a failed check with BIRD's words. */
export function checkReply(reply: BirdReply): CheckReply {
  const read = configureReply(reply);
  if (read.kind === "checked") return { ok: true };
  if (read.kind === "error") return { ok: false, error: read.error };
  const message =
    read.kind === "refused" ? read.text : `unexpected answer: ${reply.lines.at(-1)?.text ?? ""}`;
  return { ok: false, error: { file: null, line: null, column: null, message } };
}

/** Reads the reply to `configure`, `configure soft`, `configure confirm` and `configure undo`. */
export function configureReply(reply: BirdReply): ConfigureReply {
  const code = lastCode(reply);
  const text = reply.lines.at(-1)?.text ?? "";
  const undo_in_s = undoSeconds(reply);
  switch (code) {
    case 3:
      return { kind: "reconfigured", undo_in_s };
    case 4:
      return { kind: "in_progress", undo_in_s };
    case 5:
      return { kind: "queued", undo_in_s };
    case 6:
      return { kind: "shutting_down" };
    case 17:
      return { kind: "dequeued" };
    case 18:
      return { kind: "confirmed" };
    case 19:
      return { kind: "nothing_to_do" };
    case 20:
      return { kind: "checked" };
    case 8002:
      return { kind: "error", error: configError(text) };
    default:
      return { kind: "refused", code, text };
  }
}

/** Reads the reply to `configure status`, which is allowed on a restricted connection too. */
export function configureStatus(reply: BirdReply): ConfigureStatus {
  const states = { 3: "running", 4: "in_progress", 5: "queued", 6: "shutting_down" } as const;
  const codes = reply.lines.map((line) => line.code);
  const code = ([6, 5, 4, 3] as const).find((candidate) => codes.includes(candidate));
  return { state: code === undefined ? "unknown" : states[code], undo_in_s: undoSeconds(reply) };
}

function undoSeconds(reply: BirdReply): number | null {
  for (const line of reply.lines) {
    const match = line.code === 22 ? /\bin ([\d.]+) s/.exec(line.text) : null;
    if (match !== null) return Number(match[1]);
  }
  return null;
}

/** `FILE:LINE:COLUMN TEXT` (2.x, 3.x), `FILE, line N: TEXT` (1.6), `FILE: TEXT` (cannot be read). */
function configError(text: string): BirdConfigError {
  const located = /^(.*?):(\d+):(\d+)\s+(.*)$/s.exec(text) ?? /^(.*?), line (\d+)()?: (.*)$/s.exec(text);
  if (located !== null) {
    const [, file = "", line, column, message = ""] = located;
    return { file, line: Number(line), column: column ? Number(column) : null, message };
  }
  const named = /^(\/[^:]*): (.*)$/s.exec(text);
  if (named !== null) return { file: named[1] ?? null, line: null, column: null, message: named[2] ?? "" };
  return { file: null, line: null, column: null, message: text };
}
