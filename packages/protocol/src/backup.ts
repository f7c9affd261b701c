/** How the fleet's backups stand, as the first server writes it and the controller tells it. */
import { z } from "zod";
import { Instant } from "./names.ts";

/** A backup a day; a day and a half without one is late. */
export const BACKUP_LATE_MS = 36 * 3_600_000;

export const BackupReport = z.object({
  to: z.string().describe("Where backups go: a directory, or rclone:REMOTE/PATH."),
  ok_at: Instant.nullable().describe("When the last good one was made; null = none yet."),
  size_bytes: z.number().nullable().describe("Its size."),
  error: z.string().max(2_000).nullable().describe("Why the newest attempt failed; null when it did not."),
});
export type BackupReport = z.infer<typeof BackupReport>;
