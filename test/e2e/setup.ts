/**
 * The servers of the stories: the demo's fleet by the demo's own code, in a lab of its own that leaves the demo alone. `test/run.mjs` calls `up` before
 * the first story and `down` after the last. With MUSTER_TEST_LAB=keep the lab stays for the next run, which then takes seconds.
 */
import { cpSync, existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { openLab, ROOT, TEST_LAB, testOperator } from "./lab.ts";

const KEEP = process.env.MUSTER_TEST_LAB === "keep";

/** Brings the fleet up, converged on the example folder. */
export async function up(): Promise<void> {
  const lab = await openLab();
  const state = lab.openState(TEST_LAB);
  const operator = testOperator(state);
  // What a killed run left is not to be trusted.
  if (!KEEP) await remove();
  if (!existsSync(operator.folder)) {
    cpSync(join(ROOT, "inventory"), operator.folder, {
      recursive: true,
      filter: (path) => !path.endsWith(".lock"),
    });
  }
  const begun_ms = performance.now();
  await lab.bringUp({ lab: TEST_LAB, operator, progress: lab.createProgress() });
  process.stdout.write(`  lab ${TEST_LAB} up in ${((performance.now() - begun_ms) / 1000).toFixed(1)} s\n`);
}

/** Removes the lab with everything in it. */
export async function down(): Promise<void> {
  if (!KEEP) await remove();
}

async function remove(): Promise<void> {
  const lab = await openLab();
  const operator = testOperator(lab.openState(TEST_LAB));
  await lab.takeDown({ lab: TEST_LAB, operator });
  rmSync(dirname(operator.folder), { recursive: true, force: true });
}
