/**
 * Where a command writes and whom it asks. Results go to standard output, everything else (questions, progress, notes, errors) to standard error.
 * With `--json` standard output holds one JSON value and nothing else.
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

export type OutputForm = "table" | "wide" | "json";

export interface Output {
  readonly form: OutputForm;
  readonly colour: Colour;
  /** Whether a person is there to answer. */
  readonly interactive: boolean;
  /** A line of the result. Nothing with `--json`. */
  line(text?: string): void;
  /** A line beside the result, also with `--json`. */
  note(text: string): void;
  /** The result for scripts; nothing in the other forms. */
  json(value: unknown): void;
  /** A table of the result. Nothing with `--json`. */
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
  options: { form: OutputForm; yes: boolean; no_color: boolean },
): Output {
  const { form } = options;
  const colour = openColour(terminal.stdout.isTTY === true && !options.no_color && form !== "json");
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
      if (form !== "json") terminal.stdout.write(`${text}\n`);
    },
    note: (text) => void terminal.stderr.write(`${text}\n`),
    json: (value) => {
      if (form === "json") terminal.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
    },
    table: (rows, columns) => {
      if (form === "json") return;
      for (const line of tableLines(rows, columns, form === "wide")) terminal.stdout.write(`${line}\n`);
    },
    begin: (fleet, person) => {
      const line = `${fleet} · ${person}\n`;
      if (form === "json") terminal.stderr.write(line);
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
