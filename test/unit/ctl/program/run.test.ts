/** The frame: words to a command and back to an exit code. */
import * as assert from "uvu/assert";
import { defineCommand } from "../../../../packages/ctl/src/program/command.ts";
import { commandName } from "../../../../packages/ctl/src/program/globals.ts";
import { type Parsed, parseWords } from "../../../../packages/ctl/src/program/parse.ts";
import { suite } from "../../../kit/suite.ts";
import { ctl } from "../terminal.ts";

const home = "/nonexistent/muster";

const greet = defineCommand({
  name: "greet",
  args: "<host...>",
  options: {
    loud: { flag: "-l, --loud", help: "in capitals" },
    why: { flag: "--why <text>", help: "the reason" },
    with_whom: { flag: "--with <name>", help: "may be repeated", many: true },
  },
  example: "ctl greet ixp1",
  subcommands: [
    defineCommand({ name: "back", summary: "answers", example: "ctl greet back", run: async () => 0 }),
    defineCommand({
      name: "must",
      summary: "needs an option",
      options: { rank: { flag: "--rank <rank>", help: "", required: true } },
      example: "ctl greet must",
      run: async () => 0,
    }),
  ],
  run: async () => 0,
});

const parse = (...argv: string[]): Promise<Parsed> =>
  parseWords(argv, "1.2.3", greet, [
    { name: "greet", summary: "says hello" },
    { name: "other", summary: "does else" },
  ]);

async function input(...argv: string[]) {
  const parsed = await parse(...argv);
  if (parsed.kind !== "run") throw new Error(`${parsed.kind}: ${parsed.text}`);
  return parsed;
}

suite("ctl: words", (test) => {
  test("finds the command behind global options and their values", () => {
    assert.is(commandName(["--fleet", "status", "-o", "json", "plan", "x"]), "plan");
    assert.is(commandName(["--fleet=status", "plan"]), "plan");
    assert.is(commandName(["-y", "apply"]), "apply");
    assert.is(commandName(["--json"]), undefined);
    assert.is(commandName([]), undefined);
  });

  test("gives each option under the name of the description", async () => {
    const { input: typed } = await input("greet", "ixp1", "core1", "-l", "--with", "a", "--with", "b");
    assert.equal(typed, {
      args: ["ixp1", "core1"],
      options: { loud: true, why: undefined, with_whom: ["a", "b"] },
    });
    assert.equal((await input("greet", "x")).input.options, { loud: false, why: undefined, with_whom: [] });
  });

  test("takes global options on both sides of the command", async () => {
    for (const words of [
      ["--json", "--fleet", "lab", "greet", "x"],
      ["greet", "--fleet", "lab", "x", "--json"],
      ["--fleet", "lab", "greet", "back", "--json"],
    ]) {
      const { global } = await input(...words);
      assert.is(global.json, true);
      assert.is(global.fleet, "lab");
      assert.is(global.yes, false);
    }
  });

  test("keeps what stands behind -- for the command", async () => {
    assert.equal((await input("greet", "ixp1", "--", "--loud")).input.args, ["ixp1", "--loud"]);
  });

  test("says what is wrong", async () => {
    for (const [words, expected] of [
      [["greet"], /missing required argument 'host'/],
      [["greet", "x", "--lout"], /unknown option '--lout'[\s\S]*--loud/],
      [["greet", "must"], /required option '--rank <rank>' not specified/],
      [["greet", "x", "--why"], /argument missing/],
    ] as const) {
      const parsed = await parse(...words);
      assert.is(parsed.kind, "usage");
      assert.match(parsed.kind === "usage" ? parsed.text : "", expected);
    }
  });

  test("ends every help with an example", async () => {
    const parsed = await parse("greet", "--help");
    assert.match(
      parsed.kind === "said" ? parsed.text : "",
      /says hello[\s\S]*Example:\n {2}ctl greet ixp1\n$/,
    );
  });
});

suite("ctl: exit codes and streams", (test) => {
  test("0 for help and version, on standard output", async () => {
    const help = await ctl(["--help"], { home });
    assert.is(help.code, 0);
    assert.match(help.out, /whoami +who you are/);
    assert.is(help.err, "");
    assert.is((await ctl(["--version"], { home })).out, "0.0.0-test\n");
  });

  test("2 for what cannot be understood, on standard error", async () => {
    for (const words of [
      [],
      ["whoam"],
      ["whoami", "--bad"],
      ["-o", "xml", "whoami"],
      ["operator"],
      ["constructor"],
    ]) {
      const ran = await ctl(words, { home });
      assert.is(ran.code, 2, words.join(" "));
      assert.is(ran.out, "");
      assert.ok(ran.err.length > 0);
    }
    assert.match((await ctl(["whoam"], { home })).err, /Did you mean whoami/);
  });

  test("an error brings its code, its words and the next command", async () => {
    const ran = await ctl(["whoami"], { home });
    assert.is(ran.code, 1);
    assert.is(ran.out, "");
    assert.match(ran.err, /^error {2}there is no valid log-in: .*\nnext {3}ctl login /);
    const json = await ctl(["whoami", "--json"], { home });
    assert.is(JSON.parse(json.out).error.code, "NOT_LOGGED_IN");
    assert.match((await ctl(["whoami", "-o", "yaml"], { home })).out, /^error:\n {2}code: NOT_LOGGED_IN$/m);
    assert.match(
      (await ctl(["whoami", "-o", "xml"], { home })).err,
      /-o xml: must be table, wide, json, yaml/,
    );
  });

  test("every command has an example in its help", async () => {
    const { COMMANDS } = await import("../../../../packages/ctl/src/commands/index.ts");
    for (const [name, entry] of Object.entries(COMMANDS)) {
      const command = await entry.load();
      assert.is(command.name, name);
      assert.match(command.example, new RegExp(`^ctl ${name}`), name);
      assert.is((await ctl([name, "--help"], { home })).code, 0, name);
      for (const sub of command.subcommands ?? []) {
        assert.ok(sub.summary, `${name} ${sub.name} has no summary`);
        assert.match(sub.example, new RegExp(`^ctl ${name} ${sub.name}`), `${name} ${sub.name}`);
      }
    }
  });
});
