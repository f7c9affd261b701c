/** Programs: results, limits, no shell. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRun, createRunStreamed } from "@muster/agent/ports/run";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";

const LIMIT = { timeout_ms: 30_000 };

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FleetError) return `${error.code} ${error.detail}`;
    throw error;
  }
  return "no error";
}

suite(
  "run port",
  (test) => {
    const run = createRun();

    test("gives code and both outputs, and hands input over", async ({ signal }) => {
      const result = await run("sh", ["-c", "cat; echo bad >&2; exit 3"], { ...LIMIT, input: "in" }, signal);
      assert.equal(result, { code: 3, stdout: "in", stderr: "bad\n" });
    });

    test("no shell reads the arguments, and the language is C", async ({ signal }) => {
      assert.is((await run("echo", ["$(id)", "*"], LIMIT, signal)).stdout, "$(id) *\n");
      assert.is((await run("sh", ["-c", "echo $LC_ALL"], LIMIT, signal)).stdout, "C\n");
    });

    test("what cannot be started, is late, says too much or is not wanted any more is an error", async ({
      signal,
    }) => {
      assert.match(await code(run("/no/such/program", [], LIMIT, signal)), /^COMMAND_FAILED .*ENOENT/);
      assert.match(
        await code(run("sleep", ["60"], { timeout_ms: 100 }, signal)),
        /^COMMAND_FAILED .*longer than 100 ms/,
      );
      assert.match(
        await code(run("head", ["-c", "9000000", "/dev/zero"], LIMIT, signal)),
        /^COMMAND_FAILED .*printed more/,
      );
      assert.match(await code(run("sh", ["-c", "kill -9 $$"], LIMIT, signal)), /^COMMAND_FAILED .*SIGKILL/);
      const ending = AbortSignal.timeout(100);
      assert.match(await code(run("sleep", ["60"], LIMIT, ending)), /^CANCELLED/);
      assert.match(await code(run("sleep", ["60"], LIMIT, AbortSignal.abort())), /^CANCELLED/);
    });

    test("what a program leaves running with its output is waited for no longer than its time", async ({
      signal,
    }) => {
      const directory = mkdtempSync(join(tmpdir(), "muster-run-"));
      for (const stop of ["time", "abort"]) {
        const file = join(directory, stop);
        const stopping = new AbortController();
        // Time enough to begin in, on a machine that is slow.
        const timeout_ms = stop === "time" ? 2_000 : 60_000;
        const leaves = ["-c", `sleep 60 & echo $! $$ >${file}`];
        const until = stop === "time" ? signal : stopping.signal;
        const ended = code(run("sh", leaves, { timeout_ms }, until));
        if (stop === "abort") {
          await eventually(() => {
            const [, , shell] = /^(\d+) (\d+)\n$/.exec(readFileSync(file, "utf8")) ?? [];
            assert.ok(shell !== undefined && !existsSync(`/proc/${shell}`), "the program itself has ended");
          }, 10_000);
          stopping.abort();
        }
        assert.match(await ended, stop === "time" ? /longer than 2000 ms/ : /^CANCELLED/);
        // It is still there: nobody waited for its end.
        process.kill(Number.parseInt(readFileSync(file, "utf8"), 10), "SIGKILL");
      }
      rmSync(directory, { recursive: true });
    });

    test("a streamed program is read no faster than its output is taken, and its code comes last", async ({
      signal,
    }) => {
      const runStreamed = createRunStreamed();
      let taken = 0;
      const result = await runStreamed(
        "sh",
        ["-c", "head -c 300000 /dev/zero | tr '\\\\0' x; echo bad >&2; exit 3"],
        {
          on_output: async (from, text) => {
            await new Promise((resolve) => setTimeout(resolve, 1));
            if (from === "stdout") taken += text.length;
            else assert.is(text, "bad\n");
          },
        },
        signal,
      );
      assert.equal(result, { code: 3, ended_by: null });
      assert.is(taken, 300_000);
      assert.match(
        await code(runStreamed("/no/such/program", [], { on_output: () => {} }, signal)),
        /^COMMAND_FAILED .*ENOENT/,
      );
    });

    test("a streamed program that is not wanted any more is ended with what it started", async () => {
      const runStreamed = createRunStreamed();
      const ends = new AbortController();
      let child = 0;
      const ran = code(
        runStreamed(
          "sh",
          ["-c", "trap '' TERM; sleep 60 & echo $!; wait; sleep 60"],
          {
            on_output: (_, text) => {
              child = Number(text);
              ends.abort();
            },
          },
          ends.signal,
        ),
      );
      assert.match(await ran, /^CANCELLED/);
      // Gone, or dead and waiting for an init to take its code; nobody waits for its last moment.
      await eventually(async () => {
        const stat = await readFile(`/proc/${child}/stat`, "utf8").catch(() => ") Z");
        assert.match(stat, /\) [ZX]/);
      }, 10_000);
    });
  },
  { limit_ms: 30_000 },
);
