// limit: 150 s
/** `ctl watch` in a real pseudo-terminal on the real fleet: what happens is on the screen at once, keys work, the terminal is given back. */
import { join } from "node:path";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { openTty, type Tty } from "../kit/tty.ts";
import { type Fleet, measured, openFleet } from "./kit.ts";

/** The cursor is seen again, on the screen of before. */
const GIVEN_BACK = "\u001b[?25h\u001b[?1049l";

suite(
  "watch",
  (test) => {
    let fleet: Fleet;
    let tty: Tty;
    const open = () =>
      openTty([process.execPath, join(fleet.operator.root, "dist/ctl/ctl.cjs"), "watch"], {
        cwd: fleet.operator.folder,
        env: { MUSTER_HOME: fleet.operator.home ?? "" },
        rows: 24,
        columns: 110,
      });
    test.before(async () => {
      fleet = await openFleet();
      await fleet.converged();
    });
    test.after(async () => {
      tty?.close();
      await fleet.on("ixp1").sh("systemctl start bird");
      await fleet.converged();
    });

    test("the fleet stands there, and what stops is red on the screen within five seconds", async () => {
      tty = open();
      await tty.until("the hosts", (text) => /core1 .*converged[\s\S]*probe1 .*converged/.test(text), 15_000);
      await fleet.on("ixp1").sh("systemctl stop bird");
      const began = Date.now();
      await tty.until(
        "its end",
        (text) => / ixp1 .* 0\/2 /.test(text) && /3 hosts, [1-3] red/.test(text),
        5_000,
      );
      measured("BIRD stopped", `on the screen of ctl watch after ${Date.now() - began} ms`);
    });

    test("keys, a pane, a row in whole, a filter, another size", async () => {
      tty.type("\t");
      await tty.until("the sessions", (text) => /\[sessions[\s\S]*SESSION .*NEIGHBOUR/.test(text));
      tty.type("/upstream");
      await tty.until("the filter", (text) => / {3}\/upstream▏ \d row/.test(text));
      tty.type("\r\r");
      await tty.until("the session", (text) => /ctl bgp ixp1 upstream/.test(text));
      tty.type("\u001b");
      await tty.until("the list", (text) => /NEIGHBOUR/.test(text));
      tty.type("3");
      await tty.until("the events", (text) => /\[events \d+\]/.test(text));
      tty.type("1?");
      await tty.until("the help", (text) => /Nothing is asked again/.test(text));
      tty.type("x");
      await tty.resize(12, 60);
      await tty.until("a smaller frame", (text) => {
        const lines = text.split("\n");
        return lines.length === 12 && lines.every((line) => line.length <= 60) && /\[hosts 3\]/.test(text);
      });
    });

    test("q and a signal give the terminal back; where nobody looks it is a table with its exit code", async () => {
      tty.type("q");
      assert.is(await tty.ended, 0);
      assert.ok(tty.raw().trimEnd().endsWith(GIVEN_BACK));
      const other = open();
      await other.until("the hosts", (text) => /\[hosts 3\]/.test(text), 15_000);
      await other.kill("SIGTERM");
      assert.is(await other.ended, 0);
      assert.ok(other.raw().trimEnd().endsWith(GIVEN_BACK));
      const plain = await fleet.ctl(["watch"], { expect: 1 });
      assert.match(plain.stdout, /^HOST .*\n/);
      assert.not.ok(plain.stdout.includes("\u001b"));
    });
  },
  { limit_ms: 140_000 },
);
