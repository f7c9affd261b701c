/** How a program is told and started. */
import { shown, unitArguments } from "@muster/agent/rpc/exec";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

suite("exec", (test) => {
  test("a command is told as a shell would need it typed, without control characters", () => {
    assert.is(shown(["needrestart", "-b"]), "needrestart -b");
    assert.is(shown(["sh", "-c", "echo 'a'; ls"]), "sh -c 'echo '\\''a'\\''; ls'");
    assert.is(shown(["echo", "a\nb\u001b[2J", ""]), "echo 'a?b?[2J' ''");
    assert.is(shown(["x".repeat(2_000)]).length, 1_001);
  });

  test("every word of the command is a word of its own after --, and % says nothing to systemd", () => {
    const command = ["--unit=bird.service", "$HOME", "%n"];
    const argv = unitArguments("muster-exec-1", "alice: 100 %", { command, from: "", longest_ms: 1_500 });
    assert.equal(argv.slice(argv.indexOf("--")), ["--", "/usr/bin/env", "--", ...command]);
    assert.ok(argv.includes("--description=alice: 100 %%"));
    assert.ok(argv.includes("--property=RuntimeMaxSec=2"));
  });
});
