/** Where the backups of this server go, and how the last one went: two small files, so that the controller can tell everybody. */
import { join } from "node:path";
import { BackupReport } from "@muster/protocol/backup";
import { parseJson } from "@muster/protocol/errors";
import { z } from "zod";
import { readText, writeText } from "../fleet/disk.ts";

const SETTINGS = "/etc/muster/backup.json";
/** Everybody may read it: no secret is in it, and the controller is another user. */
export const REPORT = "/var/lib/muster/backup.json";

export const BackupSettings = z.strictObject({
  v: z.literal(1),
  to: z.string().describe("A directory, or rclone:REMOTE/PATH."),
  keep: z.int().min(1).max(1000).describe("How many stay there."),
});
export type BackupSettings = z.infer<typeof BackupSettings>;

export async function loadSettings(): Promise<BackupSettings | null> {
  const text = await readText(SETTINGS);
  return text === null ? null : parseJson(BackupSettings, text, SETTINGS);
}

export const saveSettings = (settings: BackupSettings): Promise<void> =>
  writeText(SETTINGS, `${JSON.stringify(settings)}\n`);

export async function loadReport(): Promise<BackupReport | null> {
  const text = await readText(REPORT);
  return text === null ? null : parseJson(BackupReport, text, REPORT);
}

export async function saveReport(report: BackupReport): Promise<void> {
  const { chmod, mkdir } = await import("node:fs/promises");
  await mkdir(join(REPORT, ".."), { recursive: true });
  await chmod(join(REPORT, ".."), 0o755);
  await writeText(REPORT, `${JSON.stringify(report)}\n`, 0o644);
}
