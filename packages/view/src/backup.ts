/** What is wrong with the fleet's backups, in a line: they go nowhere, the last one failed, or it is late. Pure. */
import { BACKUP_LATE_MS, type BackupReport } from "@muster/protocol/backup";
import type { Trouble } from "./trouble.ts";
import { durationText, timeText } from "./words.ts";

/** null: all is well, or nobody here can know. */
export function backupTrouble(report: BackupReport | null | undefined, now_ms: number): Trouble | null {
  if (report === undefined) return null;
  if (report === null) {
    return {
      tint: "amber",
      about: "backup",
      what: "NOT SET: with the first server all of this is gone",
      next: "on it: ctl backup to PATH | rclone:REMOTE/PATH",
    };
  }
  const { ok_at, error, to } = report;
  const last = ok_at === null ? "there is none yet" : `the last good one is of ${timeText(ok_at)}`;
  const next = "on the first server: ctl backup";
  if (error !== null)
    return { tint: "red", about: "backup", what: `to ${to} FAILED: ${error}; ${last}`, next };
  if (ok_at !== null && now_ms - ok_at <= BACKUP_LATE_MS) return null;
  const age = ok_at === null ? "" : ` (${durationText(now_ms - ok_at)} ago)`;
  return { tint: "red", about: "backup", what: `to ${to} is LATE: ${last}${age}`, next };
}
