/**
 * The servers of the stories: the demo's fleet by the demo's own code, in labs of their own that leave the demo alone. `test/run.mjs` calls `up` for each
 * lane of stories before its first and `down` after its last. With MUSTER_TEST_LAB=keep the lab stays for the next run, which then takes seconds.
 */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { openLab, ROOT, testLab, testOperator } from "./lab.ts";

const KEEP = process.env.MUSTER_TEST_LAB === "keep";

/** Brings the fleet up, converged on the example folder. */
export async function up(lane = "1"): Promise<void> {
  const name = testLab(lane);
  const lab = await openLab();
  const state = lab.openState(name);
  const operator = testOperator(state);
  // What a killed run left is not to be trusted.
  if (!KEEP) await remove(name);
  orphans ??= removeOrphans();
  await orphans;
  if (!existsSync(operator.folder)) {
    cpSync(join(ROOT, "inventory"), operator.folder, {
      recursive: true,
      filter: (path) => !path.endsWith(".lock"),
    });
  }
  writeFileSync(ownerNote(operator.folder), ROOT);
  const begun_ms = performance.now();
  await lab.bringUp({ lab: name, operator, progress: lab.createProgress() });
  process.stdout.write(`  lab ${name} up in ${((performance.now() - begun_ms) / 1000).toFixed(1)} s\n`);
}

/** Removes the lab with everything in it. */
export async function down(lane = "1"): Promise<void> {
  if (!KEEP) await remove(testLab(lane));
}

async function remove(name: string): Promise<void> {
  const lab = await openLab();
  const operator = testOperator(lab.openState(name));
  await lab.takeDown({ lab: name, operator });
  rmSync(dirname(operator.folder), { recursive: true, force: true });
}

/** Once for all lanes, which come up side by side. */
let orphans: Promise<void> | undefined;

/** Labs of clones that were deleted while theirs was up: nobody else would ever remove them. */
async function removeOrphans(): Promise<void> {
  const lab = await openLab();
  for (const name of (await lab.listLabs()).filter((each) => /^test-[0-9a-f]{6}(-\d+)?$/.test(each))) {
    const note = ownerNote(testOperator(lab.openState(name)).folder);
    if (existsSync(note) && !existsSync(readFileSync(note, "utf8"))) await remove(name);
  }
}

/** Holds the path of the clone that a lab belongs to. */
const ownerNote = (folder: string) => join(dirname(folder), "clone");
