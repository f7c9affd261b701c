/** The manual page of ctl: every command and option is in it, and the formatter has nothing to complain of. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { COMMANDS } from "../../../../packages/ctl/src/commands/index.ts";
import { manualPage } from "../../../../packages/ctl/src/docs/manual.ts";
import { defineCommand } from "../../../../packages/ctl/src/program/command.ts";
import { suite } from "../../../kit/suite.ts";

suite("ctl manual page", (test) => {
  test("holds every command with its options", async () => {
    const commands = await Promise.all(
      Object.values(COMMANDS).map(async ({ summary, load }) => ({ ...(await load()), summary })),
    );
    const page = manualPage(commands, "January 1, 2026");
    for (const name of Object.keys(COMMANDS)) assert.match(page, new RegExp(`^\\.Ss ctl ${name}\\b`, "m"));
    assert.match(page, /^\.It Sy \\-\\-only <ref>$/m);
    assert.match(page, /^\.Sy ctl enrol approve <machine>$/m);
  });

  test("nothing that a command says becomes a request of the formatter", async () => {
    const tricky = defineCommand({
      name: "tricky",
      summary: ".so /etc/passwd",
      options: { back: { flag: "--back <path>", help: "'in C:\\new'" } },
      example: ".ds x y\n'br\nctl tricky --back C:\\new",
      run: async () => 0,
    });
    const page = manualPage([tricky], "January 1, 2026");
    assert.match(page, /^\\&\.so \/etc\/passwd\.$/m);
    assert.match(page, /^\\&'in C:\\enew'\.$/m);
    assert.match(page, /^\\&\.ds x y\n\\&'br\nctl tricky \\-\\-back C:\\enew$/m);
  });

  test("groff formats it without a warning", async () => {
    const page = manualPage(
      [defineCommand({ name: "plan", example: "ctl plan", run: async () => 0 })],
      "January 1, 2026",
    );
    const { stdout, stderr } = await promisify(execFile)("sh", [
      "-c",
      'printf %s "$1" | groff -mdoc -Tutf8 -ww',
      "sh",
      page,
    ]);
    assert.is(stderr, "");
    assert.match(stdout, /ctl plan/);
  });
});
