/** The three scripts in the real shells, with the built `ctl`, standing in the example folder. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { SHELL_SCRIPTS } from "../../../../packages/ctl/src/completion/shells.ts";
import { suite } from "../../../kit/suite.ts";

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url)).replace(/\/$/, "");
const EXAMPLE = `${ROOT}/inventory`;
const env = { ...process.env, PATH: `${ROOT}:${process.env.PATH}`, LC_ALL: "C.UTF-8", TERM: "dumb" };

/** The lines that it printed, in the example folder; $SCRIPT is what `ctl completion` prints for it. */
const shell = async (program: string, ...args: string[]): Promise<string[]> => {
  const SCRIPT = SHELL_SCRIPTS[program] ?? "";
  const { stdout, stderr } = await promisify(execFile)(program, args, {
    cwd: EXAMPLE,
    env: { ...env, SCRIPT },
  });
  assert.is(stderr, "", `${program}: ${stderr}`);
  return stdout.split("\n").filter(Boolean);
};

/** All at once: each starts a shell and ctl. */
const expectAll = (expected: readonly (readonly [Promise<string[]>, readonly string[]])[]) =>
  Promise.all(expected.map(async ([got, wanted]) => assert.equal(await got, wanted)));

/** As bash itself calls the function: the words, the place, the command's name. */
const BASH = `eval "$SCRIPT"
complete -p ctl >/dev/null
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_ctl "$1"
printf "%s\\n" "\${COMPREPLY[@]}"`;

/** What zsh's completion system calls; compadd and _files say what they were given. */
const ZSH = `compdef() { :; }
eval "$SCRIPT"
compadd() { print -rl -- "\${(@)found}" "\${(@)shown}"; }
_files() { print -r -- FILES; }
words=("$@") CURRENT=$#
_ctl || true`;

suite(
  "ctl completion: shells",
  (test) => {
    test("bash: words, values behind =, names of files", async () => {
      const press = (...words: string[]) => shell("bash", "-c", BASH, "bash", ...words);
      await expectAll([
        [press("ctl", "bgp", "ixp1", "up"), ["upstream"]],
        [press("ctl", "plan", "--on"), ["--only"]],
        [press("ctl", "status", "--output", "="), ["table", "wide", "json", "yaml"]],
        [press("ctl", "login", "--password-file", "mus"), ["muster.yml"]],
        [press("ctl", "nonsense", ""), []],
      ]);
    });

    test("zsh: words with what they are, names of files", async () => {
      const press = (...words: string[]) => shell("zsh", "-f", "-c", ZSH, "zsh", ...words);
      const plan = "plan  -- what hosts would do to become what the folder says";
      await expectAll([
        [press("ctl", "bgp", "ixp1", "up"), ["upstream", "upstream"]],
        [press("ctl", "pl"), ["plan", plan]],
        [press("ctl", "login", "--password-file", ""), ["FILES"]],
        [press("ctl", "nonsense", ""), []],
      ]);
    });

    test("fish: its own completion of the line", async () => {
      const press = (line: string) =>
        shell("fish", "--no-config", "-c", `printf %s $SCRIPT | source; complete -C ${JSON.stringify(line)}`);
      await expectAll([
        [press("ctl bgp ixp1 up"), ["upstream"]],
        [press("ctl pl"), ["plan\twhat hosts would do to become what the folder says"]],
        [press("ctl login --password-file mus"), ["muster.yml"]],
        [press("ctl nonsense x"), []],
      ]);
    });
  },
  // Twenty programs, on whatever runs beside them.
  { limit_ms: 25_000 },
);
