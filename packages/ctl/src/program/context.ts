/** What a command is given: what was typed for all commands, where to write, when to stop. Ports are opened from it, not held in it. */
import type { Output, Terminal } from "../output/output.ts";

/** Options that every command takes. */
export type GlobalOptions = {
  readonly fleet: string | undefined;
  readonly yes: boolean;
  /** The recovery kit's file: log in, plan and apply without Vault. */
  readonly kit: string | undefined;
  readonly passphrase_file: string | undefined;
  /** A selector of hosts to leave out. */
  readonly not: string | undefined;
};

export type Context = {
  readonly global: GlobalOptions;
  readonly output: Output;
  /** For what has the whole screen; everything else writes to `output`. */
  readonly terminal: Terminal;
  /** Aborts on the first ^C: stop watching, say how to go on, end. */
  readonly signal: AbortSignal;
  /** Aborts when the command has ended: the lifetime of its ports. */
  readonly lifetime: AbortSignal;
  /** Aborts on either: for ports that only ask and wait, such as a log-in. */
  readonly asking: AbortSignal;
  now(): number;
  /** The directory that the person stands in. */
  readonly cwd: string;
  /** Where profiles and sessions are: `$MUSTER_HOME`, else `~/.config/muster`. */
  readonly home: string;
};
