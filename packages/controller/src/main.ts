/** `muster-controller --config FILE`: reads its configuration and runs until it is told to end. */
import { setMaxListeners } from "node:events";
import { parseArgs } from "node:util";
import { openLog } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import { readConfig } from "./config.ts";
import { openStatus } from "./status.ts";
import { runController } from "./system.ts";

const LISTENERS = 10_000;
const USAGE =
  "muster-controller --config FILE\n\nRuns one controller of a fleet. `ctl init` writes the file.\n";

async function main(): Promise<number> {
  const { config: path, help } = options();
  if (help || path === undefined) {
    (help ? process.stdout : process.stderr).write(USAGE);
    return help ? 0 : 2;
  }
  const config = await readConfig(path);
  const log = openLog({ name: "muster-controller", level: config.log_level });
  const life = new AbortController();
  // A listener for each part of the program and for each question under way; beyond this somebody forgets to take theirs off, and Node says so.
  setMaxListeners(LISTENERS, life.signal);
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => life.abort());
  const status = openStatus(log, life.signal);
  await runController(config, { log, status, now: Date.now }, life.signal);
  return 0;
}

function options(): { config?: string | undefined; help?: boolean | undefined } {
  try {
    return parseArgs({ options: { config: { type: "string" }, help: { type: "boolean" } } }).values;
  } catch (cause) {
    throw new FleetError("USAGE", cause instanceof Error ? cause.message : "", { cause });
  }
}

// No await at the top: the program is bundled as CommonJS.
main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    // A programming error keeps its stack.
    if (!(error instanceof FleetError)) throw error;
    process.stderr.write(`muster-controller: ${error.message}\n`);
    process.exitCode = error.code === "USAGE" || error.code === "CONFIG" ? 2 : 1;
  },
);
