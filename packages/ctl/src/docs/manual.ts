/** The manual page ctl(1), in mdoc(7), from the table of commands. Pure. */
import type { Command, OptionSpecs } from "../program/command.ts";
import { GLOBALS } from "../program/globals.ts";

/** Exit codes in a person's words; they are those of `EXIT`. */
const EXITS: readonly [number, string][] = [
  [0, "Done; nothing differs."],
  [1, "It failed, or something is red."],
  [2, "A mistake in what was typed, or in the folder."],
  [3, "Something would change."],
  [4, "Some hosts were silent or failed; they are named."],
  [5, "The fleet cannot be reached."],
];

/** @param commands in the order of the help, each with its summary */
export function manualPage(commands: readonly Command[], date: string): string {
  return `${[
    `.Dd ${date}`,
    ".Dt CTL 1",
    ".Os Muster",
    ".Sh NAME",
    ".Nm ctl",
    ".Nd runs a fleet of servers: what they should be, what they are, and what changed",
    ".Sh SYNOPSIS",
    ".Nm",
    ".Ar command",
    ".Op Ar options",
    ".Op Ar words",
    ".Sh DESCRIPTION",
    ".Nm",
    "is the command line of the Muster fleet manager.",
    "The fleet is the nearest folder upward with a",
    ".Pa muster.yml ,",
    "else the one that",
    ".Fl -fleet",
    "names.",
    "A selector is a host, a group,",
    ".Ql \\(aqixp*\\(aq ,",
    "a label such as",
    ".Ql site=ams ,",
    "or several with a comma.",
    ...commands.flatMap((command) => commandLines(command, "Ss")),
    ".Ss Options of every command",
    ...optionLines(GLOBALS),
    ".Sh EXIT STATUS",
    ...list(EXITS.map(([code, meaning]) => [String(code), meaning])),
    ".Sh FILES",
    ...list([
      [".Pa muster.yml", "Makes a folder a fleet's."],
      [".Pa hosts.lock", "Which key belongs to which host; kept with the folder."],
      [".Pa ~/.config/muster", "Fleets and log-ins; MUSTER_HOME names another place."],
    ]),
    ".Sh SEE ALSO",
    ".Xr muster-agent 8",
  ].join("\n")}\n`;
}

function commandLines(command: Command, heading: "Ss" | "Pp", parent = "ctl"): string[] {
  const typed = `${parent} ${command.name}${command.args === undefined ? "" : ` ${command.args}`}`;
  return [
    ...(heading === "Ss" ? [`.Ss ${text(typed)}`] : [".Pp", `.Sy ${text(typed)}`, ".br"]),
    sentence(command.summary ?? ""),
    ...optionLines(command.options ?? {}),
    ".Bd -literal -offset indent",
    ...command.example.trimEnd().split("\n").map(text),
    ".Ed",
    ...(command.subcommands ?? []).flatMap((sub) => commandLines(sub, "Pp", `${parent} ${command.name}`)),
  ];
}

function optionLines(options: OptionSpecs): string[] {
  const rows = Object.values(options).map(({ flag, help, required }): [string, string] => [
    `.Sy ${text(flag)}`,
    `${sentence(help)}${required ? " Must be given." : ""}`,
  ]);
  return rows.length === 0 ? [] : list(rows);
}

const list = (rows: readonly (readonly [string, string])[]): string[] => [
  ".Bl -tag -width Ds",
  ...rows.flatMap(([tag, body]) => [`.It ${tag.replace(/^\./, "")}`, body]),
  ".El",
];

const sentence = (words: string): string => {
  const whole = `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
  return text(whole.endsWith(".") ? whole : `${whole}.`);
};

/** Nothing in it is a request: backslashes, a dot or an apostrophe at the beginning; a hyphen stays one, so that it can be copied. */
const text = (words: string): string =>
  words.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^[.']/, "\\&$&");
