// limit: 120 s
// network: own
/** A page that is left open: what a day of telemetry leaves in its memory, how soon it shows what fails, and what it says when the log-in behind it is over. */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { callController } from "@muster/ports/call";
import { LATE_HEADER, subjects, verifierOf } from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import * as assert from "uvu/assert";
import { type Page, startBrowser, type TestBrowser } from "../../kit/browser.ts";
import { freePort } from "../../kit/child.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { assertWithin, measured } from "../../kit/figures.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { makeHost, type TestHost } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";
import { SESSION } from "../ctl/report/samples.ts";

const FILES = fileURLToPath(new URL("../../../dist/dashboard", import.meta.url));
const PICTURES = fileURLToPath(new URL("../../../build/pictures", import.meta.url));
const WAIT_MS = 60_000;
/** A host's of a day are 8,640: as many until all that is bounded is full, and then as many again twice. */
const SAMPLES = 800;
/** Of what a page keeps of a host's samples, were it to keep them, it would be megabytes. */
const GROWTH_BYTES = 1_000_000;
const SHOWN_MS = 1_500;
/** To open a page in; on a machine that is slower than that it gets longer. */
const LOG_IN_MS = 10_000;
const HOUR_MS = 3_600_000;

suite(
  "a web page that is left open",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let browser: TestBrowser;
    let ixp1: TestHost;
    /** Of a log-in that ends while the tests run. */
    let brief: Page;
    let telling: NodeJS.Timeout;

    const up_at = new Date(Date.now() - 60_000).toISOString();

    const say = (kind: string, sample: object) =>
      ixp1.bus.publish(subjects.telemetry(ixp1.id, "ixp1", kind), Buffer.from(JSON.stringify(sample)));
    /** `first`: the name of the first of them. */
    const sessions = (up: boolean, first = "peer1") =>
      say("bgp", {
        at: new Date().toISOString(),
        daemon: {
          ...{ name: "bird", reachable: true, error: null, version: "2.0.12", router_id: null },
          ...{ state: "running", since: { at: null, exact: true }, reconfigured: { at: null, exact: true } },
        },
        sessions: [first, "peer2", "peer3", "peer4"].map((name) => ({
          ...SESSION,
          ...{ name, since: { at: up_at, exact: true } },
          ...(up ? {} : { state: "active", verdict: "down", protocol_state: "start" }),
        })),
      });
    const health = (at: number) =>
      say("health", {
        ...{ at: Date.now(), uptime_s: at, load: [at % 7, 1, 1], cpu_busy: (at % 10) / 10, cores: 2 },
        memory: { total_bytes: 4e9, available_bytes: 3e9, swap_used_bytes: 0 },
        disks: [{ mount: "/", size_bytes: 1e10, used_bytes: 4e9 }],
        interfaces: [{ name: "eth0", rx_bytes: at * 1_000, tx_bytes: at * 2_000, up: true }],
        ...{ failed_units: [], agent: { rss_bytes: 7e7, cpu_s: 12, uptime_s: 3_600 } },
      });
    const stand = () =>
      ixp1.say({
        ...{ state: "converged", resources: { total: 1, ok: 1, managed: { bird: 1 } } },
        certificates: [{ name: "bus", not_before: Date.now(), not_after: Date.now() + 7 * 24 * HOUR_MS }],
      });
    /** A page of somebody whose log-in ends after that time, on a machine whose clock is ahead by so much. */
    const open = async (to_ms: number, ahead_ms: number, rank = "viewer"): Promise<Page> => {
      const page = await browser.open();
      await page.addInitScript((by_ms) => {
        const now = Date.now;
        Date.now = () => now() + by_ms;
      }, ahead_ms);
      await page.goto(await ticket(rank === "viewer" ? "vera" : "alice", rank, to_ms));
      await page.locator("[data-row=ixp1]").waitFor({ timeout: Math.min(WAIT_MS, to_ms) });
      return page;
    };
    /** The address that `ctl dashboard` prints for somebody whose log-in ends after that time. */
    const ticket = async (name: string, rank: string, to_ms: number): Promise<string> => {
      const signer = await fleet.operators.person(name, rank, { to_ms });
      const { bus } = await fleet.connect("viewer", "vera", life.signal);
      const word = randomBytes(32).toString("base64url");
      const { pages } = await callController({ bus, signer, now: Date.now }, "ticket", {
        hash: sha256(Buffer.from(word)),
      });
      return `${pages[0]}/#${word}`;
    };
    const paste = async (page: Page, address: string) => {
      await page.getByLabel(/address that it prints/).fill(address);
      await page.getByRole("button", { name: "go on" }).click();
    };
    const cell = (page: Page, tint: string, session = "peer1") =>
      page.waitForSelector(`[data-cell="ixp1 ${session}"][data-tint="${tint}"]`, {
        timeout: WAIT_MS,
        state: "attached",
      });

    test.before(async () => {
      const ports = { page: await freePort(), websocket: await freePort() };
      fleet = await startFleet({ name: "as64500", websocket: ports.websocket });
      controller = await startController(fleet, {
        dashboard: {
          listen: `127.0.0.1:${ports.page}`,
          addresses: [`https://localhost:${ports.page}`],
          brokers: [`wss://localhost:${ports.websocket}`],
          files: FILES,
        },
      });
      const { bus } = await fleet.connect("controller", "setup", life.signal);
      ixp1 = await makeHost(fleet, "ixp1", bus, verifierOf(fleet.bundle), life.signal);
      await mkdir(PICTURES, { recursive: true });
      browser = await startBrowser();
      // Again and again, or it would be silent before a slow machine has looked.
      telling = setInterval(() => {
        stand();
        sessions(true);
      }, 2_000);
      stand();
      sessions(true);
      brief = await open(LOG_IN_MS, -HOUR_MS).catch(() => open(6 * LOG_IN_MS, -HOUR_MS));
    });
    test.after(async () => {
      clearInterval(telling);
      await browser?.stop();
      life.abort();
      await controller?.stop();
      await fleet?.stop();
    });

    test("what fails is on it within a second and a half; the samples of hours leave no more in it than those of one", async () => {
      // Clocks of machines that look on are no measure: theirs are an hour ahead and an hour behind.
      const page = await open(HOUR_MS, HOUR_MS);
      await page.waitForSelector('[data-row="ixp1"] [data-tint="green"]', {
        timeout: WAIT_MS,
        state: "attached",
      });
      // It ends in a week less the moments since it was told; by that machine's clock it would be an hour less.
      const ends = await page.locator('[data-row="ixp1"] [role="cell"]').nth(3).textContent();
      assert.ok(ends === "7 d" || ends === "6 d 23 h", `its certificate ends in ${ends}`);
      await page.keyboard.press("2");
      await cell(page, "green");
      const up = await page.locator('[data-cell="ixp1 peer1"] small').textContent();
      assert.match(up ?? "", /^\d+ min /, "it is up since a minute before these tests began");
      clearInterval(telling);
      const began_ms = performance.now();
      sessions(false);
      await cell(page, "red");
      const shown_ms = performance.now() - began_ms;
      measured(
        "a session that went down",
        `red on an open page ${Math.round(shown_ms)} ms after it was told`,
      );
      assertWithin(shown_ms, SHOWN_MS);

      const devtools = await page.context().newCDPSession(page);
      const used = async (): Promise<number> => {
        await devtools.send("HeapProfiler.collectGarbage");
        return (await devtools.send("Runtime.getHeapUsage")).usedSize;
      };
      /** As many samples of each kind as hosts tell in hours; it has taken them all when the last is seen. */
      const hours = async (name: string) => {
        for (let at = 0; at < SAMPLES; at += 1) {
          health(at);
          sessions(at % 50 !== 0);
          if (at % 20 === 0) stand();
        }
        sessions(true, name);
        await cell(page, "green", name);
        return used();
      };
      const first = await hours("first");
      const second = await hours("second");
      const third = await hours("third");
      const growth = Math.min(second, third) - first;
      measured(
        "an open page",
        `${(first / 1e6).toFixed(1)} MB, ${(growth / 1e3).toFixed(0)} kB more after ${SAMPLES} further samples of each kind`,
      );
      assert.ok(growth < GROWTH_BYTES, `${first}, ${second}, ${third} bytes`);
    });

    test("the audit is in an operator's page, as it goes on and with a search; in a viewer's it is not", async () => {
      const page = await open(HOUR_MS, HOUR_MS, "operator");
      const told = (what: string, where = page) =>
        where.locator(`[data-what="${what}"]`, { hasText: "alice (operator)" }).first();
      await page.keyboard.press("7");
      await told("ticket").waitFor({ timeout: WAIT_MS });
      // That it was read is in it too, without a reload.
      await told("audit").waitFor({ timeout: WAIT_MS });
      await page.getByPlaceholder(/people/).fill("alice ticket");
      await told("audit").waitFor({ timeout: WAIT_MS, state: "detached" });
      await told("ticket").waitFor({ timeout: WAIT_MS });
      const viewer = await open(HOUR_MS, 0);
      assert.is(await viewer.getByRole("link", { name: "Audit" }).count(), 0);
      await viewer.keyboard.press("7");
      await viewer.getByText("this page was opened by a viewer").waitFor({ timeout: WAIT_MS });
      assert.is(await viewer.locator("[data-audit]").count(), 0);
    });

    test("what a host tells late is shown as late, where it happened", async () => {
      const page = await open(HOUR_MS, 0);
      await page.keyboard.press("5");
      const tell = (what: string, ago_ms: number, headers: Record<string, string>) =>
        ixp1.bus.publish(
          subjects.event(ixp1.id, "ixp1", "session"),
          Buffer.from(JSON.stringify({ at: Date.now() - ago_ms, kind: "session", severity: "error", what })),
          headers,
        );
      tell("told at once", 0, {});
      tell("told when the broker was back", 600_000, { [LATE_HEADER]: "600000" });
      const late = page.locator("[data-event]", { hasText: "told when the broker was back" });
      await late.getByText("told 10 min later").waitFor({ timeout: WAIT_MS });
      const all = await page.locator("[data-event]").allTextContents();
      const place = (words: string) => all.findIndex((each) => each.includes(words));
      assert.ok(place("told at once") < place("told when the broker was back"), all.join("\n"));
      assert.is(await page.locator("[data-event] small").count(), 1);
      // And so it is when it is asked for.
      await page.reload();
      await late.getByText("told 10 min later").waitFor({ timeout: WAIT_MS });
    });

    test("a log-in that nears its end is renewed in the page: nothing is loaded, looked for or told anew, and nothing is lost", async () => {
      const page = await open(HOUR_MS / 3, 0, "operator");
      await page.locator(".log-in", { hasText: "ctl login && ctl dashboard" }).waitFor({ timeout: WAIT_MS });
      await page.screenshot({ path: join(PICTURES, "page-log-in.png") });
      await page.keyboard.press("5");
      await page.getByPlaceholder(/words/).fill("counted");
      const fresh = await page.evaluateHandle(() => {
        const seen: (string | null)[] = [];
        const bar = document.querySelector("[data-fresh]");
        if (bar !== null)
          new MutationObserver(() => seen.push(bar.getAttribute("data-fresh"))).observe(bar, {
            attributeFilter: ["data-fresh"],
          });
        return seen;
      });
      let told = 0;
      const count = () =>
        ixp1.bus.publish(
          subjects.event(ixp1.id, "ixp1", "session"),
          Buffer.from(
            JSON.stringify({ at: Date.now(), kind: "session", severity: "info", what: `counted ${++told}.` }),
          ),
        );
      const counting = setInterval(count, 50);
      const address = await ticket("alice", "operator", HOUR_MS);
      await page.evaluate((hash) => location.assign(hash), new URL(address).hash);
      await page.locator(".log-in").waitFor({ state: "detached", timeout: WAIT_MS });
      clearInterval(counting);
      count();
      await page.getByText(`counted ${told}.`).waitFor({ timeout: WAIT_MS });
      const lines = await page.locator("[data-event]").allTextContents();
      const numbers = lines.map((line) => Number(/counted (\d+)\./.exec(line)?.[1])).reverse();
      assert.equal(
        numbers,
        Array.from({ length: told }, (_, at) => at + 1),
      );
      assert.equal(await fresh.jsonValue(), [], "it was live all the time, and is the page that it was");
      assert.is(await page.getByPlaceholder(/words/).inputValue(), "counted");
      assert.is(new URL(page.url()).hash, "#/events");
      await page.goBack();
      assert.not.match(page.url(), new URL(address).hash.slice(1));
      // What is kept for a reload is the new one.
      await page.reload();
      await page.locator('[data-fresh="live"]').waitFor({ state: "attached", timeout: WAIT_MS });
      assert.is(await page.locator(".log-in").count(), 0);
    });

    test("a ticket of nobody, of somebody else or used before is refused, and a viewer's takes the audit out of an operator's page", async () => {
      const page = await open(HOUR_MS / 3, 0, "operator");
      await page.keyboard.press("7");
      await page.locator("[data-audit]").first().waitFor({ timeout: WAIT_MS });
      const used = await ticket("alice", "operator", HOUR_MS / 4);
      await paste(page, used);
      await page.getByText(/ends in 1[45] min/).waitFor({ timeout: WAIT_MS });
      const ends = () =>
        page.evaluate(() => JSON.parse(sessionStorage.getItem("muster-access") ?? "{}").expires as number);
      const before = await ends();
      for (const [address, why] of [
        ["https://localhost/", /that is no ticket: paste the whole address/],
        [used, /the ticket is not of this fleet, has lapsed or was used/],
        [randomBytes(32).toString("base64url"), /the ticket is not of this fleet, has lapsed or was used/],
        [await ticket("bob", "operator", HOUR_MS), /that ticket is bob's, and this page is alice's/],
      ] as const) {
        await paste(page, address);
        await page.locator('.log-in [role="alert"]', { hasText: why }).waitFor({ timeout: WAIT_MS });
        assert.is(await page.getByLabel(/address that it prints/).inputValue(), "");
      }
      assert.is(await ends(), before);
      assert.ok((await page.locator("[data-audit]").count()) > 0, "it is the page that it was");
      await paste(page, await ticket("alice", "viewer", HOUR_MS));
      await page.getByText("this page was opened by a viewer").waitFor({ timeout: WAIT_MS });
      assert.is(await page.locator("[data-audit]").count(), 0);
      assert.is(await page.getByRole("link", { name: "Audit" }).count(), 0);
    });

    test("when the log-in behind it is over it says so, nothing on it looks as if it were so now, and another ticket brings it back", async () => {
      await brief.getByText("the log-in behind this page has ended").waitFor({ timeout: 7 * LOG_IN_MS });
      const fresh = await brief.locator("[data-fresh]").getAttribute("data-fresh");
      assert.is.not(fresh, "live");
      await paste(brief, await ticket("vera", "viewer", HOUR_MS));
      await brief.locator('[data-fresh="live"]').waitFor({ state: "attached", timeout: WAIT_MS });
      stand();
      sessions(true, "renewed");
      await brief.keyboard.press("2");
      await cell(brief, "green", "renewed");
    });
  },
  { limit_ms: 90_000 },
);
