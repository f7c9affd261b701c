/** One run of `ctl`: words in, exit code out. Everything that a command may not decide for itself is here. */
import { setMaxListeners } from "node:events";
import { COMMANDS } from "../commands/index.ts";
import { errorLines } from "../output/error.ts";
import { OUTPUT_FORMS, type OutputForm, openOutput, type Terminal } from "../output/output.ts";
import { EXIT } from "./command.ts";
import type { Context } from "./context.ts";
import { commandName } from "./globals.ts";
import { parseWords } from "./parse.ts";

const LISTENERS = 50_000;

export type Surroundings = {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly version: string;
  readonly terminal: Terminal;
  readonly now?: () => number;
};

/** Runs the command that the words name and gives its exit code. Programming errors are thrown. */
export async function run(around: Surroundings, signal: AbortSignal): Promise<number> {
  const { terminal } = around;
  const name = commandName(around.argv);
  const entry = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  const others = Object.entries(COMMANDS).map(([name, { summary }]) => ({ name, summary }));
  const parsed = await parseWords(around.argv, around.version, await entry?.load(), others);
  if (parsed.kind === "said") {
    terminal.stdout.write(parsed.text);
    return EXIT.done;
  }
  if (parsed.kind === "usage") {
    terminal.stderr.write(parsed.text);
    return EXIT.usage;
  }
  const { json, output, yes, fleet, kit, passphrase_file, not } = parsed.global;
  const form = formOf(json === true, output);
  if (form === undefined) {
    terminal.stderr.write(`error: -o ${String(output)}: must be ${OUTPUT_FORMS.join(", ")}\n`);
    return EXIT.usage;
  }
  const out = openOutput(terminal, {
    form,
    yes: yes === true,
    no_color: (around.env.NO_COLOR ?? "") !== "",
    ...(form === "yaml" ? { yaml_text: (await import("../inventory/yaml.ts")).yamlText } : {}),
  });
  const life = new AbortController();
  const asking = AbortSignal.any([signal, life.signal]);
  // Every question to every host hangs on these; beyond this somebody forgets to take theirs off, and Node says so.
  for (const each of [signal, life.signal, asking]) setMaxListeners(LISTENERS, each);
  const context: Context = {
    global: {
      yes: yes === true,
      fleet: text(fleet),
      kit: text(kit),
      passphrase_file: text(passphrase_file),
      not: text(not),
    },
    output: out,
    terminal,
    signal,
    lifetime: life.signal,
    asking,
    now: around.now ?? Date.now,
    cwd: around.cwd,
    home: around.env.MUSTER_HOME ?? `${around.env.HOME ?? ""}/.config/muster`,
  };
  try {
    return (await parsed.command.run?.(context, parsed.input)) ?? EXIT.done;
  } catch (error) {
    // Loaded here only: a command that goes well does not pay for the error table.
    const { FleetError } = await import("@muster/protocol/errors");
    if (!(error instanceof FleetError)) throw error;
    // ^C, also at a question, where the terminal hands it over as the end of the line.
    if (error.code === "CANCELLED") {
      out.note("stopped");
      return EXIT.interrupted;
    }
    out.json({ error: error.toReply() });
    for (const line of errorLines(error, out.colour)) out.note(line);
    return error.exit;
  } finally {
    out.close();
    life.abort();
  }
}

function formOf(json: boolean, output: unknown): OutputForm | undefined {
  if (json) return "json";
  if (output === undefined) return "table";
  return OUTPUT_FORMS.find((form) => form === output);
}

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
