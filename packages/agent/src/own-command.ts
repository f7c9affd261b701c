/**
 * How this program is started again: as Node with a script, or as the single executable, which has no script and carries its own flags of V8
 * (given as words they would be taken for the agent's).
 */
import { isSea } from "node:sea";

/** The words before the agent's own. */
export function ownCommand(): string[] {
  const [, script = ""] = process.argv;
  return isSea() ? [process.execPath] : [process.execPath, ...process.execArgv, script];
}
