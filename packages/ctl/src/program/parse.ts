/**
 * Port to commander 14: from words to a command and its input. It holds the grammar and the help text, and no decision about what commands do.
 * Only the command that is named gets loaded; of the others the help knows name and summary.
 */
import { Command as Commander, CommanderError } from "commander";
import type { Command, Input, OptionSpecs } from "./command.ts";
import { GLOBALS } from "./globals.ts";

export type Parsed =
  | {
      readonly kind: "run";
      readonly command: Command;
      readonly input: Input;
      readonly global: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: "said"; readonly text: string }
  | { readonly kind: "usage"; readonly text: string };

type Values = Record<string, unknown>;

const HELP = ["-h, --help", "what can be typed, with an example"] as const;
const COMMON = "Options of every command:";

/**
 * @param named the one command that was named, loaded; undefined when none was
 * @param others name and summary of every command, for the help
 */
export async function parseWords(
  argv: readonly string[],
  version: string,
  named: Command | undefined,
  others: readonly { name: string; summary: string }[],
): Promise<Parsed> {
  let text = "";
  let parsed: Parsed | undefined;
  const program = new Commander("ctl");
  const write = (chunk: string) => {
    text += chunk;
  };
  program
    .description("Runs a fleet of servers: what they should be, what they are, and what changed.")
    .version(version, "--version", "print the version")
    .helpOption(...HELP)
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: write })
    .showSuggestionAfterError(true);
  addOptions(program, GLOBALS);
  for (const other of others) {
    if (other.name !== named?.name) {
      program.command(other.name).description(other.summary);
      continue;
    }
    addCommand(program, { ...named, summary: other.summary }, (command, words, values) => {
      parsed = {
        kind: "run",
        command,
        input: { args: words, options: optionValues(command.options ?? {}, values) as Input["options"] },
        global: optionValues(GLOBALS, values),
      };
    });
  }
  try {
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? { kind: "said", text } : { kind: "usage", text };
  }
  return parsed ?? { kind: "usage", text: program.helpInformation() };
}

function addOptions(to: Commander, specs: OptionSpecs): void {
  for (const [name, spec] of Object.entries(specs)) {
    const option = to.createOption(spec.flag, spec.help);
    // commander names an option after its long flag; ours are named by the description.
    option.attributeName = () => name;
    if (spec.required) option.makeOptionMandatory();
    if (spec.many) option.argParser((value: string, before: unknown) => [...list(before), value]);
    to.addOption(option);
  }
}

function addCommand(
  parent: Commander,
  command: Command,
  found: (command: Command, words: string[], values: Values) => void,
): void {
  const built = parent.command(command.name).description(command.summary ?? "");
  built.configureHelp({ showGlobalOptions: false });
  addOptions(built, command.options ?? {});
  for (const word of command.args?.split(" ") ?? []) built.argument(word);
  for (const [name, spec] of Object.entries(GLOBALS)) {
    const option = built.createOption(spec.flag, spec.help);
    option.attributeName = () => name;
    built.addOption(option.helpGroup(COMMON));
  }
  built.addHelpOption(built.createOption(...HELP).helpGroup(COMMON));
  built.addHelpText("after", `\nExample:\n${command.example.trimEnd().replace(/^/gm, "  ")}`);
  for (const sub of command.subcommands ?? []) addCommand(built, sub, found);
  if (command.run !== undefined) {
    built.action(() => found(command, built.args, built.optsWithGlobals()));
  } else {
    built.action(() => built.error("error: say which of the commands below", { exitCode: 2 }));
    built.showHelpAfterError(true);
  }
}

function optionValues(specs: OptionSpecs, values: Values): Values {
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => {
      const value = values[name];
      if (!spec.flag.includes("<")) return [name, value === true];
      return [name, spec.many ? list(value) : value];
    }),
  );
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
