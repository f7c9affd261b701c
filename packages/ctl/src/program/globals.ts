/** The options of all commands; they may stand before or after the command's name. */
import type { OptionSpecs } from "./command.ts";

export const GLOBALS = {
  fleet: { flag: "--fleet <name>", help: "the fleet, where there is no folder of it around you" },
  json: { flag: "--json", help: "short for -o json: one JSON value, for scripts" },
  yes: { flag: "-y, --yes", help: "do not ask" },
  output: { flag: "-o, --output <form>", help: "table, wide (with keys and hashes), json, yaml" },
  kit: { flag: "--kit <file>", help: "log in with the recovery kit: needs neither Vault nor a controller" },
  passphrase_file: { flag: "--passphrase-file <file>", help: "where the recovery kit's passphrase is" },
  not: { flag: "--not <selector>", help: "leave these hosts out" },
} as const satisfies OptionSpecs;

/** Words in `argv` that belong to a global option as its value: `--fleet x`. */
const TAKES_VALUE = new Set(
  Object.values(GLOBALS)
    .filter((spec) => spec.flag.includes("<"))
    .flatMap((spec) => spec.flag.split(" ").filter((word) => word.startsWith("-")))
    .map((word) => word.replace(",", "")),
);

/** The command's name in the words behind `ctl`: the first that is neither an option nor an option's value. */
export function commandName(argv: readonly string[]): string | undefined {
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (!word.startsWith("-")) return word;
    if (TAKES_VALUE.has(word)) at += 1;
  }
  return undefined;
}
