// limit: 240 s
/**
 * `ctl watch` in a real pseudo-terminal, and the web page in a real Chromium, on the real fleet: what happens is on the screen at once; keys work, the
 * terminal is given back, the page needs no reload. Pictures of the page: build/pictures.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { type Page, startBrowser, type TestBrowser } from "../kit/browser.ts";
import { suite } from "../kit/suite.ts";
import { openTty, type Tty } from "../kit/tty.ts";
import { type Fleet, HOSTS, measured, openFleet, SESSIONS_MS, slowness } from "./kit.ts";

/** A browser may take its time to begin; how soon it shows a change is judged by itself. */
const PAGE_MS = 60_000;
const RED_MS = 10_000;
/** The cursor is seen again, on the screen of before. */
const GIVEN_BACK = "\u001b[?25h\u001b[?1049l";

suite(
  "watch",
  (test) => {
    let fleet: Fleet;
    let tty: Tty;
    let browser: TestBrowser;
    let page: Page;
    let stopped_ms = 0;
    let red: Promise<number>;
    const pictures = () => join(fleet.operator.root, "build/pictures");
    const shown = (selector: string, timeout = PAGE_MS) =>
      page.waitForSelector(selector, { state: "attached", timeout });
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
      await browser?.stop();
      await fleet.on("ixp1").sh("systemctl start bird");
      await fleet.converged();
    });

    test("the fleet stands there, and what stops is red on the screen within five seconds", async () => {
      tty = open();
      await tty.until("the hosts", (text) => /core1 .*converged[\s\S]*probe1 .*converged/.test(text), 15_000);
      browser = await startBrowser();
      page = await browser.open();
      const opened = await fleet.ctl(["dashboard", "--json"], { expect: 0 });
      await page.goto(opened.json().addresses[0]);
      for (const host of HOSTS) await shown(`[data-row="${host}"] [data-tint="green"]`);
      await page.keyboard.press("2");
      for (const session of ["upstream", "core1"])
        await shown(`[data-cell="ixp1 ${session}"][data-tint="green"]`);
      stopped_ms = Date.now();
      red = shown('[data-cell="ixp1 upstream"][data-tint="red"]').then(() => Date.now());
      red.catch(() => undefined);
      await fleet.on("ixp1").sh("systemctl stop bird");
      const began = Date.now();
      await tty.until(
        "its end",
        (text) => / ixp1 .* 0\/2 /.test(text) && /3 hosts, [1-3] red/.test(text),
        5_000,
      );
      measured("BIRD stopped", `on the screen of ctl watch after ${Date.now() - began} ms`);
    });

    test("in the browser too, with its event and without a reload", async () => {
      const red_ms = await red;
      const told = await fleet.event(
        ({ host, kind, severity }) => host === "ixp1" && kind === "session" && severity === "error",
        stopped_ms,
      );
      measured(
        "BIRD stopped",
        `told after ${told.value.at - stopped_ms} ms, seen red in the page after ${red_ms - stopped_ms} ms`,
      );
      assert.ok(red_ms - stopped_ms <= RED_MS * slowness(), `${red_ms - stopped_ms} ms`);
      await mkdir(pictures(), { recursive: true });
      await page.screenshot({ path: join(pictures(), "lab-bgp.png") });
      await page.keyboard.press("5");
      await page.getByText(told.value.what).first().waitFor({ timeout: PAGE_MS });
      await page.keyboard.press("1");
      await page.locator('[data-row="ixp1"]').press("Enter");
      await shown('[data-host="ixp1"] .troubles [data-tint="red"]');
      await page.screenshot({ path: join(pictures(), "lab-host.png"), fullPage: true });
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

    test("the page that was open all the while is green again when BIRD is back", async () => {
      await page.keyboard.press("2");
      await fleet.on("ixp1").sh("systemctl start bird");
      await shown('[data-cell="ixp1 upstream"][data-tint="green"]', SESSIONS_MS);
      assert.equal(browser.complaints, []);
    });
  },
  { limit_ms: 220_000 },
);
