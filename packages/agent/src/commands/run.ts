/** `muster-agent run`: the daemon, until SIGTERM or SIGINT. */
import { setMaxListeners } from "node:events";
import { beginAnew, canBeginAnew } from "../anew.ts";
import { buildBase } from "../base.ts";
import { readConfig } from "../config.ts";
import { runAgent } from "../system.ts";
import type { Given } from "./arguments.ts";

const LISTENERS = 1_000;

export async function run(given: Given): Promise<number> {
  const config = readConfig(given.config_file);
  const life = new AbortController();
  // Every loop and port hangs on this one signal; beyond this somebody forgets to take theirs off, and Node says so.
  setMaxListeners(LISTENERS, life.signal);
  let stopped = false;
  for (const name of ["SIGTERM", "SIGINT"] as const)
    process.once(name, () => {
      stopped = true;
      life.abort();
    });
  let enrolled = false;
  const base = buildBase(config, given.config_file, life.signal);
  base.log.info({ config: given.config_file }, "muster-agent starts");
  const firstEnrolled = () => {
    enrolled = canBeginAnew();
    if (enrolled) life.abort();
  };
  await runAgent(base, firstEnrolled, life.signal);
  if (enrolled && !stopped) beginAnew();
  base.log.info({}, "muster-agent has ended");
  return 0;
}
