/**
 * Begins the program anew in its own process. What enrolment alone needs (certificate requests, the curve, the broker's check) takes 4 MiB that
 * V8 does not give back; a process that begins after it never has them. The process id stays, so that systemd sees one daemon.
 */
import { ownCommand } from "./own-command.ts";

/** Not in the types of the Node that this is built with: process.execve came with Node 22.15 and 23.11. */
type Execve = (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => never;
const execveOf = (): Execve | undefined => (process as { execve?: Execve }).execve;

/** Whether this Node can do it; an older one goes on as it is. */
export const canBeginAnew = (): boolean => execveOf() !== undefined;

/** Does not return. All that must be kept is on disk by now. */
export function beginAnew(): void {
  execveOf()?.(process.execPath, [...ownCommand(), ...process.argv.slice(2)], process.env);
}
