/** How the fleet's backups stand, read anew each time it is asked: a small file of this server. */
import { readFile } from "node:fs/promises";
import { BackupReport } from "@muster/protocol/backup";
import { FleetError, parseJson } from "@muster/protocol/errors";

/** null when backups go nowhere yet. One that cannot be read is told as one that failed. */
export async function backupReport(path: string): Promise<BackupReport | null> {
  try {
    return parseJson(BackupReport, await readFile(path), path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    if (!(error instanceof Error)) throw error;
    const error_text = error instanceof FleetError ? error.message : `${path}: ${error.message}`;
    return { to: path, ok_at: null, size_bytes: null, error: error_text.slice(0, 2_000) };
  }
}
