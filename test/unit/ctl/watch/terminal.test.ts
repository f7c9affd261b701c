/** `ctl watch` as a person runs it, in a real pseudo-terminal over a real broker and controller: live, given back at the end. Hosts are played. */
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { assertWithin } from "../../../kit/figures.ts";
import { suite } from "../../../kit/suite.ts";
import { openTty, type Tty } from "../../../kit/tty.ts";
import { type Ground, startGround, writeSmallFolder } from "../ground.ts";

const CTL = fileURLToPath(new URL("../../../../dist/ctl/ctl.cjs", import.meta.url));
/** The cursor is seen again, on the screen of before. */
const GIVEN_BACK = "\u001b[?25h\u001b[?1049l";

suite(
  "ctl watch in a terminal",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    test.before(async () => {
      ground = await startGround(["core1", "ixp1"], life.signal);
      await writeSmallFolder(ground);
    });
    const opened: Tty[] = [];
    test.after(async () => {
      for (const tty of opened) tty.close();
      life.abort();
      await ground.stop();
    });
    const open = (...more: string[]) => {
      const tty = openTty([process.execPath, CTL, "watch", ...more], {
        cwd: ground.folder,
        env: { MUSTER_HOME: ground.home, HOME: ground.home },
        rows: 24,
        columns: 100,
      });
      opened.push(tty);
      return tty;
    };

    test("what a host tells is on the screen at once, and q gives the terminal back", async () => {
      const tty = open();
      await tty.until(
        "the hosts",
        (text) => /core1 .*watched/.test(text) && /probe1 .*not enrolled/.test(text),
      );
      ground.hosts.core1?.say({ state: "failed", detail: "no space left on device" });
      const began = Date.now();
      const text = await tty.until("what failed", (screen) => /▸ core1 .*failed/.test(screen), 2_000);
      assertWithin(Date.now() - began, 1_000);
      assert.match(text, /2 hosts, 1 red/);
      tty.type("\r");
      await tty.until("the host", (screen) => /^state +failed/m.test(screen));
      tty.type("\u001b/ixp\r");
      await tty.until("the filter", (screen) => / {3}\/ixp 1 row/.test(screen) && !/core1/.test(screen));
      const before = tty.raw().length;
      tty.type("?");
      await tty.until("the help", (screen) => /Nothing is asked again/.test(screen));
      tty.type("x");
      await tty.until("the hosts again", (screen) => /▸ ixp1/.test(screen));
      assert.ok(tty.raw().length - before < 6_000, "more was written than what changed");
      await tty.resize(10, 60);
      await tty.until("a smaller frame", (screen) => {
        const lines = screen.split("\n");
        return lines.length === 10 && lines.every((line) => line.length <= 60) && /\[hosts/.test(screen);
      });
      tty.type("q");
      assert.is(await tty.ended, 0);
      assert.ok(tty.raw().trimEnd().endsWith(GIVEN_BACK));
    });

    test("^C and a signal give it back too; one group is watched alone", async () => {
      const tty = open("ixp");
      await tty.until("one host", (text) => /\[hosts 1\][\s\S]*▸ ixp1/.test(text));
      tty.type("\u0003");
      assert.is(await tty.ended, 0);
      assert.ok(tty.raw().trimEnd().endsWith(GIVEN_BACK));
      const other = open();
      await other.until("the hosts", (text) => /\[hosts 3\]/.test(text));
      await other.kill("SIGTERM");
      assert.is(await other.ended, 0);
      assert.ok(other.raw().trimEnd().endsWith(GIVEN_BACK));
    });

    test("where nobody looks it is a table, with the exit code of the fleet", async () => {
      const ran = await ground.run("watch");
      assert.match(ran.out, /^HOST .*\ncore1 .*failed/);
      assert.is(ran.code, 1);
    });
  },
  { limit_ms: 60_000 },
);
