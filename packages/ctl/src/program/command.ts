/**
 * What a command of `ctl` is: one description a file, named once in `commands/index.ts`. Pure: nothing here knows the library that parses.
 */
import type { Context } from "./context.ts";

/** One option. `flag` as a person types it: `--for <duration>`, `-m, --message <text>`, `--print`. */
export type OptionSpec = {
  readonly flag: string;
  readonly help: string;
  /** May be given again and again; the value is a list, empty when it was not given. */
  readonly many?: true;
  readonly required?: true;
};
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type ValueOf<S extends OptionSpec> = S["flag"] extends `${string}<${string}`
  ? S extends { readonly many: true }
    ? readonly string[]
    : S extends { readonly required: true }
      ? string
      : string | undefined
  : boolean;

/** What was typed: positional words, and each option's value under its name in the description. */
export type Input<O extends OptionSpecs = OptionSpecs> = {
  readonly args: readonly string[];
  readonly options: { readonly [K in keyof O]: ValueOf<O[K]> };
};

export type Command<O extends OptionSpecs = OptionSpecs> = {
  readonly name: string;
  /** Of a subcommand. A command's own stands in `commands/index.ts`, so that the help need not load it. */
  readonly summary?: string;
  /** Positional words as commander writes them: `[selector]`, `<host...>`. */
  readonly args?: string;
  /** What `--help` ends with: whole lines to type, with a word on each. */
  readonly example: string;
  readonly options?: O;
  readonly subcommands?: readonly Command[];
  /** Resolves with the exit code (nothing = 0). Absent where only the subcommands do something. */
  run?(context: Context, input: Input<O>): Promise<number | undefined>;
};

/** Keeps the option types for `run` and hides them from the table. */
export function defineCommand<const O extends OptionSpecs = Record<never, OptionSpec>>(
  command: Command<O>,
): Command {
  return command as unknown as Command;
}

/** Exit codes that a script can trust. An error brings its own (`FleetError.exit`). */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  changes: 3,
  partly: 4,
  unreachable: 5,
  interrupted: 130,
} as const;
