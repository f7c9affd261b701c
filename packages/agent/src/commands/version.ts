/** `muster-agent version`. */
import { AGENT_VERSION } from "../version.ts";

export function version(): number {
  process.stdout.write(`${AGENT_VERSION}\n`);
  return 0;
}
