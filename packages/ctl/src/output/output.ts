/**
 * Where a command writes and whom it asks. Results go to standard output, everything else (questions, progress, notes, errors) to standard error.
 * With `-o json` or `-o yaml` standard output holds one value and nothing else.
 */
import { type Colour, openColour } from "./colour.ts";
import { openProgress, type Progress } from "./progress.ts";
import { askLine } from "./question.ts";
import { type Column, tableLines } from "./table.ts";

type Out = { write(text: string): unknown; readonly isTTY?: boolean };
export type Terminal = {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: Out;
  readonly stderr: Out & NodeJS.WritableStream;
};

export const OUTPUT_FORMS = ["table", "wide", "json", "yaml"] as const;
export type OutputForm = (typeof OUTPUT_FORMS)[number];

export interface Output {
  readonly form: OutputForm;
  readonly colour: Colour;
  /** Whether a person is there to answer. */
  readonly interactive: boolean;
  /** A line of the result. Nothing in the forms for scripts. */
  line(text?: string): void;
  /** A line beside the result, in every form. */
  note(text: string): void;
  /** The result for scripts, as JSON or YAML; nothing in the other forms. Called again and again it writes a stream of values. */
  json(value: unknown): void;
  /** A table of the result. Nothing in the forms for scripts. */
  table<R>(rows: readonly R[], columns: readonly Column<R>[]): void;
  /** The first line of a command that changes something: which fleet, who. */
  begin(fleet: string, person: string): void;
  /** True with `-y`. USAGE where nobody can answer. */
  confirm(question: string): Promise<boolean>;
  /** For what is dear: the word has to be typed. `-y` does not answer it unless `yes_answers`. */
  confirmTyped(question: string, word: string, options?: { yes_answers?: boolean }): Promise<boolean>;
  ask(question: string): Promise<string>;
  /** What is typed is not shown. */
  password(question: string): Promise<string>;
  progress(text: string): Progress;
  /** Takes a progress line away that is still there. */
  close(): void;
}

export function openOutput(
  terminal: Terminal,
  options: {
    form: OutputForm;
    yes: boolean;
    no_color: boolean;
    /** Writes a value as YAML; given with that form only, since the library is loaded for it. */
    yaml_text?: (value: unknown) => string;
  },
): Output {
  const { form } = options;
  const for_scripts = form === "json" || form === "yaml";
  let values = 0;
  const colour = openColour(terminal.stdout.isTTY === true && !options.no_color && !for_scripts);
  const interactive = terminal.stdin.isTTY === true && terminal.stderr.isTTY === true;
  const running = new Set<Progress>();

  const answer = async (question: string, hidden: boolean, otherwise: string): Promise<string> => {
    const { FleetError } = await import("@muster/protocol/errors");
    if (!interactive)
      throw new FleetError("USAGE", `nobody is there to answer "${question.trim()}"; ${otherwise}`);
    for (const progress of running) progress.done();
    const line = await askLine(terminal, question, hidden);
    if (line === null) throw new FleetError("CANCELLED", "no answer");
    return line;
  };

  return {
    form,
    colour,
    interactive,
    line: (text = "") => {
      if (!for_scripts) terminal.stdout.write(`${text}\n`);
    },
    note: (text) => void terminal.stderr.write(`${text}\n`),
    json: (value) => {
      if (!for_scripts) return;
      if (options.yaml_text === undefined) terminal.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
      else terminal.stdout.write(`${values > 0 ? "---\n" : ""}${options.yaml_text(value)}`);
      values += 1;
    },
    table: (rows, columns) => {
      if (for_scripts) return;
      for (const line of tableLines(rows, columns, form === "wide")) terminal.stdout.write(`${line}\n`);
    },
    begin: (fleet, person) => {
      const line = `${fleet} · ${person}\n`;
      if (for_scripts) terminal.stderr.write(line);
      else terminal.stdout.write(line);
    },
    async confirm(question) {
      if (options.yes) return true;
      const line = await answer(`${question} [y/N] `, false, "say -y to go on without asking");
      return /^y(es)?$/i.test(line.trim());
    },
    async confirmTyped(question, word, { yes_answers = false } = {}) {
      if (options.yes && yes_answers) return true;
      return (
        (await answer(`${question}: type ${word} to go on: `, false, "this needs a person")).trim() === word
      );
    },
    ask: (question) => answer(`${question}: `, false, "give it as an argument"),
    password: (question) =>
      answer(`${question}: `, true, "give it in a file (--password-file, --passphrase-file)"),
    progress(text) {
      const progress = openProgress(terminal, text);
      running.add(progress);
      return {
        update: (next) => progress.update(next),
        done: () => {
          running.delete(progress);
          progress.done();
        },
      };
    },
    close: () => {
      for (const progress of running) progress.done();
    },
  };
}
