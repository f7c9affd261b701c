// limit: 200 s
// network: own
/** The web page with a thousand hosts that all talk: only what is seen is in it, what changes is seen, and it goes on being painted. */
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { Bus } from "@muster/ports/bus";
import { callController } from "@muster/ports/call";
import { createNkey, type HostRecord, subjects } from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import { watched } from "@muster/protocol/telemetry/convergence";
import * as assert from "uvu/assert";
import { type Page, startBrowser, type TestBrowser } from "../../kit/browser.ts";
import { freePort } from "../../kit/child.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { measured, slowness } from "../../kit/figures.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { suite } from "../../kit/suite.ts";
import { SESSION } from "../ctl/report/samples.ts";
import { CHECK, collected, HEALTH } from "./told.ts";

const FILES = fileURLToPath(new URL("../../../dist/dashboard", import.meta.url));
const HOSTS = 1_000;
/** Each host tells every ten seconds what is read of it, in between twice how it stands, and every minute what its collectors see: some 570 messages a second. */
const A_SECOND = HOSTS / 10;
const COLLECTED_EVERY = 6;
/** Of host records that are written. */
const AT_ONCE = 50;
const LOOK_MS = 3_000;
const WAIT_MS = 60_000;

async function framesOf(page: Page): Promise<{ a_second: number; longest_ms: number }> {
  return page.evaluate(
    (look_ms) =>
      new Promise<{ a_second: number; longest_ms: number }>((resolve) => {
        const began = performance.now();
        let [count, before, longest_ms] = [0, began, 0];
        const next = (now: number) => {
          longest_ms = Math.max(longest_ms, now - before);
          before = now;
          count++;
          scrollBy(0, count % 200 < 100 ? 40 : -40);
          if (now - began < look_ms) requestAnimationFrame(next);
          else resolve({ a_second: (count / look_ms) * 1_000, longest_ms });
        };
        requestAnimationFrame(next);
      }),
    LOOK_MS,
  );
}

suite(
  "the web page with 1,000 hosts",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let browser: TestBrowser;
    let page: Page;
    let all: Bus;
    let talk: NodeJS.Timeout;
    const failed = new Set<string>();
    const hosts = Array.from({ length: HOSTS }, (_, at) => ({
      name: `host${String(at).padStart(4, "0")}`,
      id: createNkey("user").public,
      group: `group${at % 10}`,
      site: at < 999 ? ["ams", "fra"][at % 2] : undefined,
    }));
    type Host = (typeof hosts)[number];

    const publish = (host: Host, kind: string, sample: object) =>
      all.publish(subjects.telemetry(host.id, host.name, kind), Buffer.from(JSON.stringify(sample)));
    const stand = (host: Host) =>
      publish(host, "convergence", {
        ...watched(Date.now(), "0.1.0"),
        state: failed.has(host.name) ? "failed" : "converged",
        certificates: [{ name: "bus", not_before: Date.now(), not_after: Date.now() + 6 * 86_400_000 }],
      });
    const sessions = (host: Host) =>
      publish(host, "bgp", {
        at: new Date().toISOString(),
        daemon: {
          ...{
            name: "bird",
            reachable: true,
            error: null,
            version: "2.0.12",
            router_id: null,
            state: "running",
          },
          ...{ since: { at: null, exact: true }, reconfigured: { at: null, exact: true } },
        },
        sessions: [1, 2, 3, 4].map((at) => ({ ...SESSION, name: `peer${at}` })),
      });

    const told = (host: Host) => {
      for (const [kind, sample] of Object.entries(collected(Date.now())))
        publish(host, kind, { ...sample, faults: [] });
    };

    test.before(async () => {
      const [page_port, websocket] = [await freePort(), await freePort()];
      fleet = await startFleet({ name: "as64500", websocket });
      const { bus } = await fleet.connect("controller", "setup", life.signal);
      const kv = bus.kv("hosts");
      const enrolled = ({ name, id, group, site }: Host) => {
        const record: HostRecord = {
          ...{ name, id, groups: [group], ...(site === undefined ? {} : { labels: { site } }) },
          ...{ ssh_public_key: "ssh-ed25519 AAAA", curve: "" },
          ...{ enrolled_at: Date.now(), enrolled_by: "test", recoveries: 0, state: "enrolled" },
          ...{ certificates: { user_jwt: 0, service: 0, ssh: 0 }, os: "Debian 12", agent_version: "0.1.0" },
        };
        return kv.create(name, Buffer.from(JSON.stringify(record)));
      };
      // The broker puts each on the disk before it answers: a slow disk keeps the last of a thousand waiting too long.
      for (let from = 0; from < HOSTS; from += AT_ONCE)
        await Promise.all(hosts.slice(from, from + AT_ONCE).map(enrolled));
      controller = await startController(fleet, {
        dashboard: {
          listen: `127.0.0.1:${page_port}`,
          addresses: [`https://localhost:${page_port}`],
          brokers: [`wss://localhost:${websocket}`],
          files: FILES,
        },
      });
      const ticket = randomBytes(32).toString("base64url");
      const signer = await fleet.person("vera", "viewer");
      const caller = { bus: (await fleet.connect("viewer", "vera", life.signal)).bus, signer, now: Date.now };
      await callController(caller, "ticket", { hash: sha256(Buffer.from(ticket)) });
      all = await fleet.everyHost(life.signal);
      for (const host of hosts) {
        stand(host);
        sessions(host);
        told(host);
      }
      await all.roundTrip(WAIT_MS);
      let at = 0;
      talk = setInterval(() => {
        for (let count = 0; count < A_SECOND / 10; count++) {
          const host = hosts[at % HOSTS];
          if (host === undefined) continue;
          for (const third of [1, 2]) {
            const quiet = hosts[(at + Math.floor((HOSTS * third) / 3)) % HOSTS];
            if (quiet !== undefined) stand(quiet);
          }
          sessions(host);
          publish(host, "health", { ...HEALTH, at: Date.now() });
          publish(host, "checks", { at: Date.now(), checks: [CHECK] });
          // Each host in another round of its own.
          if ((at + Math.floor(at / HOSTS)) % COLLECTED_EVERY === 0) told(host);
          at++;
        }
      }, 100);
      browser = await startBrowser();
      page = await browser.open();
      await page.goto(`https://localhost:${page_port}/#${ticket}`);
    });
    test.after(async () => {
      clearInterval(talk);
      await browser?.stop();
      life.abort();
      await controller?.stop();
      await fleet?.stop();
    });

    test("all are there, and only what is seen is in the page", async () => {
      const began = performance.now();
      await page.getByText("1,000 hosts").first().waitFor({ timeout: WAIT_MS });
      await page.waitForSelector('[data-fresh="live"]', { state: "attached", timeout: WAIT_MS });
      measured("1,000 hosts in the page", `${Math.round(performance.now() - began)} ms after it was opened`);
      await page.getByText("● 1000").first().waitFor({ timeout: WAIT_MS });
      const rows = await page.locator("[data-row]").count();
      assert.ok(rows > 10 && rows < 100, `${rows} rows`);
      await page.evaluate(() => globalThis.scrollTo(0, 1e6));
      await page.waitForSelector('[data-row="host0999"]', { timeout: WAIT_MS });
      await page.evaluate(() => scrollTo(0, 0));
    });

    test("by the keyboard alone: / searches, arrows and j and k go from host to host past the titles of groups, Escape goes back", async () => {
      const focused = (name: string) =>
        page.waitForSelector(`[data-row="${name}"]:focus`, { timeout: WAIT_MS });
      const counted = (words: string) =>
        page.locator(".bar .counts", { hasText: new RegExp(`^${words}`) }).waitFor({ timeout: WAIT_MS });
      await page.keyboard.press("/");
      await page.waitForSelector("input[type=search]:focus", { timeout: WAIT_MS });
      await page.keyboard.type("host000");
      await counted("10 hosts");
      // Each of the ten is in a group of its own.
      await page.keyboard.press("Tab");
      await focused("host0000");
      for (const [key, name] of [
        ["j", "host0001"],
        ["ArrowDown", "host0002"],
        ["ArrowUp", "host0001"],
        ["k", "host0000"],
        ["k", "host0000"],
        ["j", "host0001"],
      ] as const) {
        await page.keyboard.press(key);
        await focused(name);
      }
      await page.keyboard.press("Enter");
      await page.waitForSelector('[data-host="host0001"]', { timeout: WAIT_MS });
      await page.keyboard.press("Escape");
      await page.waitForSelector('[data-row="host0000"]', { timeout: WAIT_MS });
      await page.keyboard.press("/");
      await page.keyboard.type("group7");
      await counted("100 hosts");
      await page.keyboard.press("Escape");
      await counted("1,000 hosts");
      assert.is(await page.locator("input[type=search]:focus").count(), 0);
      assert.is(await page.locator("input[type=search]").inputValue(), "");
    });

    test("by a label such as site instead of by group, which stands in the address and outlives another view and a reload", async () => {
      const group = (name: string) =>
        page.waitForSelector(`[data-row="group ${name}"]`, { timeout: WAIT_MS, state: "attached" });
      await page.getByLabel("by").selectOption("site");
      await page.getByText("500 hosts").first().waitFor({ timeout: WAIT_MS });
      assert.is(new URL(page.url()).hash, "#/?by=site");
      await page.keyboard.press("/");
      await page.keyboard.type("host099");
      for (const name of ["ams", "fra", "no site"]) await group(name);
      await page.keyboard.press("Escape");
      await page.evaluate(() => location.assign("#/host/host0001"));
      await page.getByText("site fra").waitFor({ timeout: WAIT_MS });
      await page.keyboard.press("1");
      await page.getByText("500 hosts").first().waitFor({ timeout: WAIT_MS });
      await page.reload();
      await page
        .getByText("500 hosts")
        .first()
        .waitFor({ timeout: 3 * WAIT_MS });
      await page.getByLabel("by").selectOption("group");
      await group("group0");
      assert.is(new URL(page.url()).hash, "#/");
    });

    test("while all talk it is painted, and what fails is on top", async () => {
      for (const [view, key] of [
        ["the fleet", "1"],
        ["the matrix of BGP", "2"],
      ] as const) {
        await page.keyboard.press(key);
        await page.waitForSelector(key === "1" ? "[data-row]" : "[data-cell]", { timeout: WAIT_MS });
        const { a_second, longest_ms } = await framesOf(page);
        measured(
          `frames while 1,000 hosts tell all that they see and one scrolls ${view}`,
          `${a_second.toFixed(0)} a second, the longest ${longest_ms.toFixed(0)} ms`,
        );
        // On a machine that does much else: a page that blocks would stand still for seconds.
        assert.ok(a_second >= 5 / slowness(), `${a_second} frames a second`);
        await page.evaluate(() => scrollTo(0, 0));
      }
      await page.keyboard.press("1");
      const last = hosts.at(-1);
      assert.ok(last !== undefined);
      const began = performance.now();
      failed.add(last.name);
      stand(last);
      await page.waitForSelector('[data-row="host0999"] [data-tint="red"]', { timeout: WAIT_MS });
      measured("one of 1,000 fails", `seen after ${Math.round(performance.now() - began)} ms`);
      // Of a page that cannot keep up the broker takes leave, and it comes back.
      assert.equal(
        browser.complaints.filter((each) => !/WebSocket connection to/.test(each)),
        [],
      );
    });
  },
  { limit_ms: 90_000 },
);
