/** How a program is told and started. */
import type { RpcDoor } from "@muster/agent/rpc/door";
import { exec, shown, unitArguments } from "@muster/agent/rpc/exec";
import type { Call } from "@muster/ports/dispatch";
import type { FleetError } from "@muster/protocol/errors";
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

  test("events, which viewers read, name the program alone; the unit's description has the whole line", async () => {
    const told: string[] = [];
    const argv: string[] = [];
    let code = 0;
    const door = {
      events: { tell: ({ what }: { what: string }) => told.push(what) },
      streams: {
        open: (_call: Call, work: (write: () => Promise<void>, signal: AbortSignal) => unknown) =>
          work(async () => undefined, new AbortController().signal),
      },
      ports: {
        confined: null,
        now: () => 0,
        systemd: { available: async () => true },
        run: async () => ({ code: 0 }),
        runStreamed: async (_program: string, words: readonly string[]) => {
          argv.push(...words);
          if (code < 0) throw new Error("cut off");
          return { code, ended_by: null };
        },
      },
    } as unknown as RpcDoor;
    const audited: [string, string | undefined][] = [];
    const call = {
      principal: { name: "alice" },
      endsLater: () => (words: string, error: FleetError | null) => audited.push([words, error?.code]),
    } as unknown as Call;
    const command = ["mysql", "--password=hunter2hunter2"];
    const run = () => exec(door)({ command, from: "alice@laptop", longest_ms: 1_000 }, call);
    await run();
    code = 3;
    await run();
    code = -1;
    await run().then(
      () => assert.unreachable(),
      () => undefined,
    );
    assert.equal(told, [
      "alice from alice@laptop runs: mysql …",
      "alice from alice@laptop ran: mysql …: exit 0 after 0.0 s",
      "alice from alice@laptop runs: mysql …",
      "alice from alice@laptop ran: mysql …: exit 3 after 0.0 s",
      "alice from alice@laptop runs: mysql …",
      "alice from alice@laptop ran: mysql …: stopped after 0.0 s",
    ]);
    assert.equal(audited, [
      ["mysql …: exit 0 after 0.0 s", undefined],
      ["mysql …: exit 3 after 0.0 s", "COMMAND_FAILED"],
      ["mysql …: stopped after 0.0 s", "CANCELLED"],
    ]);
    assert.ok(argv.includes("--description=alice from alice@laptop: mysql --password=hunter2hunter2"));
  });
});
