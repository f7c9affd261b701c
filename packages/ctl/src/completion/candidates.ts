/**
 * What may stand at the place where a person presses Tab: found by walking the typed words along the table of commands. It needs neither a log-in
 * nor the network, and loads no command but the one that was typed.
 */
import { OUTPUT_FORMS } from "../output/output.ts";
import type { Command, OptionSpec } from "../program/command.ts";
import { GLOBALS } from "../program/globals.ts";
import { PERSON_RANKS } from "../session/ranks.ts";

export type Candidate = { readonly word: string; readonly help?: string };
/** `files`: names of files, which the shell knows best. */
export type Candidates = readonly Candidate[] | "files";

/** Where names come from. `hosts` in front of the others: those that were typed before, "" when none was. */
export type Sources = {
  selectors(): Promise<readonly string[]>;
  groups(): Promise<readonly string[]>;
  hosts(): Promise<readonly string[]>;
  refs(host: string): Promise<readonly string[]>;
  sessions(host: string): Promise<readonly string[]>;
  fleets(): Promise<readonly string[]>;
  methods(): Promise<readonly string[]>;
  eventKinds(): Promise<readonly string[]>;
  /** Of `ctl docs`. */
  topics(): Promise<readonly string[]>;
};
export type Table = Readonly<Record<string, { readonly summary: string; load(): Promise<Command> }>>;

const FILES = new Set(["file", "dir", "directory"]);
const SHELLS = ["bash", "zsh", "fish"];

/**
 * @param typed the words behind `ctl`, the last being the one that is written (empty after a space)
 */
export async function candidatesFor(
  typed: readonly string[],
  table: Table,
  sources: Sources,
): Promise<Candidates> {
  const current = typed.at(-1) ?? "";
  const before = await walk(typed.slice(0, -1), table);
  if (before === null) return [];
  const fitting = (all: readonly Candidate[]) => all.filter(({ word }) => word.startsWith(current));
  if (before.option !== null) return valuesOf(before.option, current, before, sources);
  if (current.startsWith("-") && !before.only_words) return fitting(optionsOf(before));
  const { command } = before;
  if (command === null)
    return fitting(Object.entries(table).map(([word, { summary }]) => ({ word, help: summary })));
  if (command.subcommands !== undefined)
    return fitting(command.subcommands.map(({ name, summary = "" }) => ({ word: name, help: summary })));
  const names = command.args?.split(" ") ?? [];
  // The last may be given again: `<host...>`.
  const last = names.at(-1)?.includes("...") ? names.at(-1) : undefined;
  const name = (names[before.words.length] ?? last)?.replace(/[<>[\].]/g, "");
  return name === undefined ? [] : valuesOf({ name, key: "" }, current, before, sources);
}

type Place = {
  readonly command: Command | null;
  /** Positional words of the command. */
  readonly words: readonly string[];
  readonly given: ReadonlySet<string>;
  /** The option whose value comes now. */
  readonly option: { name: string; key: string } | null;
  /** Behind `--`. */
  readonly only_words: boolean;
};

/** Null when a word is no command. */
async function walk(typed: readonly string[], table: Table): Promise<Place | null> {
  let command: Command | null = null;
  let option: Place["option"] = null;
  let only_words = false;
  const words: string[] = [];
  const given = new Set<string>();
  for (const word of typed) {
    if (option !== null) {
      // bash takes `--fleet=x` for three words.
      if (word !== "=") option = null;
    } else if (word === "--") only_words = true;
    else if (word.startsWith("-") && !only_words) {
      const [flag = ""] = word.split("=");
      const found = specsOf(command).find(([, spec]) => flagsOf(spec).includes(flag));
      if (found === undefined) continue;
      const [key, spec] = found;
      if (!spec.many) given.add(key);
      const name = /<(.+)>/.exec(spec.flag)?.[1];
      if (name !== undefined && !word.includes("=")) option = { name, key };
    } else if (command === null) {
      if (!Object.hasOwn(table, word)) return null;
      command = (await table[word]?.load()) ?? null;
    } else if (command.subcommands !== undefined) {
      command = command.subcommands.find(({ name }) => name === word) ?? null;
      if (command === null) return null;
    } else words.push(word);
  }
  return { command, words, given, option, only_words };
}

const specsOf = (command: Command | null): [string, OptionSpec][] => [
  ...Object.entries(command?.options ?? {}),
  ...Object.entries(GLOBALS),
];
const flagsOf = ({ flag }: OptionSpec) => flag.split(/[ ,]+/).filter((word) => word.startsWith("-"));

function optionsOf({ command, given }: Place): Candidate[] {
  const options = specsOf(command)
    .filter(([key]) => !given.has(key))
    .flatMap(([, spec]) => ({ word: flagsOf(spec).at(-1) ?? "", help: spec.help }));
  return [...options, { word: "--help", help: "what can be typed, with an example" }];
}

/** Values of an option or of a positional word, by what the description calls it. */
async function valuesOf(
  { name, key }: { name: string; key: string },
  current: string,
  { words }: Place,
  sources: Sources,
): Promise<Candidates> {
  if (FILES.has(name)) return "files";
  const [host = ""] = words;
  const named: Record<string, () => Promise<readonly string[]> | readonly string[]> = {
    selector: sources.selectors,
    host: sources.hosts,
    group: sources.groups,
    ref: () => sources.refs(host),
    session: () => sources.sessions(host),
    method: sources.methods,
    kind: sources.eventKinds,
    topic: sources.topics,
    form: () => OUTPUT_FORMS,
    shell: () => SHELLS,
    rank: () => PERSON_RANKS,
  };
  const from = key === "fleet" ? sources.fleets : key === "host" ? sources.hosts : named[name];
  if (from === undefined) return [];
  // `ixp1,co`: a selector is a list.
  const head = name === "selector" ? current.slice(0, current.lastIndexOf(",") + 1) : "";
  const all = (await from()).map((word) => head + word);
  return all.filter((word) => word.startsWith(current)).map((word) => ({ word }));
}
