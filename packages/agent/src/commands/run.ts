/** `muster-agent run`: the daemon, until SIGTERM or SIGINT. */
import { setMaxListeners } from "node:events";
import { readConfig } from "../config.ts";
import { buildBase, runAgent } from "../system.ts";
import type { Given } from "./arguments.ts";

export async function run(given: Given): Promise<number> {
  const config = readConfig(given.config_file);
  const life = new AbortController();
  // Every loop and port hangs on this one signal.
  setMaxListeners(0, life.signal);
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => life.abort());
  const base = buildBase(config, given.config_file, life.signal);
  base.log.info({ config: given.config_file }, "muster-agent starts");
  await runAgent(base, life.signal);
  base.log.info({}, "muster-agent has ended");
  return 0;
}
