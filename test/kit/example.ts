/** The example fleet folder as a person has it who has pinned its images: the lock is not committed, since each lab makes the image anew. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("../../inventory", import.meta.url));

/** A copy that goes with the process. */
export function exampleFolder(): string {
  const home = mkdtempSync(join(tmpdir(), "muster-example-"));
  process.once("exit", () => rmSync(home, { recursive: true, force: true }));
  const folder = join(home, "inventory");
  cpSync(SOURCE, folder, { recursive: true, filter: (path) => !path.endsWith(".lock") });
  writeFileSync(join(folder, "images.lock"), `lab/busybox:1 id=sha256:${"0".repeat(64)}\n`);
  return folder;
}
