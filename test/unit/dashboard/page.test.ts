// limit: 120 s
/** The web page in a real Chromium on a real broker: opened by a ticket, live without a reload, and true when nothing comes any more. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, stat } from "node:fs/promises";
import { get } from "node:https";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { callController } from "@muster/ports/call";
import { type FleetEvent, LATE_HEADER, subjects, verifierOf } from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import * as assert from "uvu/assert";
import { type Page, startBrowser, type TestBrowser } from "../../kit/browser.ts";
import { freePort } from "../../kit/child.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { makeHost, type TestHost } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";
import { SESSION } from "../ctl/report/samples.ts";

const FILES = fileURLToPath(new URL("../../../dist/dashboard", import.meta.url));
const PICTURES = fileURLToPath(new URL("../../../build/pictures", import.meta.url));
const PACKED_BYTES = 200_000;
const WAIT_MS = 30_000;
const HEALTH = {
  ...{ uptime_s: 86_400, load: [0.2, 0.3, 0.4], cpu_busy: 0.2, cores: 2, failed_units: [] },
  memory: { total_bytes: 4e9, available_bytes: 3e9, swap_used_bytes: 0 },
  disks: [{ mount: "/", size_bytes: 1e10, used_bytes: 4e9 }],
  interfaces: [{ name: "eth0", rx_bytes: 1_000, tx_bytes: 2_000, up: true }],
  agent: { rss_bytes: 7e7, cpu_s: 12, uptime_s: 3_600 },
};

suite(
  "the web page",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let browser: TestBrowser;
    const hosts: Record<string, TestHost> = {};
    let ports = { page: 0, websocket: 0 };
    let page: Page;

    const start = () =>
      startController(fleet, {
        dashboard: {
          listen: `127.0.0.1:${ports.page}`,
          addresses: [`https://localhost:${ports.page}`],
          brokers: [`wss://localhost:${ports.websocket}`],
          files: FILES,
          certificate: {
            certificate: join(fleet.server.directory, "server.pem"),
            key: join(fleet.server.directory, "server.key"),
          },
        },
      });
    const host = (name: string): TestHost => {
      const found = hosts[name];
      if (found === undefined) throw new Error(`no host ${name}`);
      return found;
    };
    const say = (name: string, kind: "bgp" | "checks" | "health", sample: object) =>
      host(name).bus.publish(
        subjects.telemetry(host(name).id, name, kind),
        Buffer.from(JSON.stringify(sample)),
      );
    const tell = (name: string, event: Partial<FleetEvent>) => {
      const whole = { at: Date.now(), kind: "session", severity: "error", what: "", ...event };
      host(name).bus.publish(
        subjects.event(host(name).id, name, "session"),
        Buffer.from(JSON.stringify(whole)),
      );
    };
    const sessions = (up: boolean) => ({
      at: new Date().toISOString(),
      daemon: {
        ...{
          name: "bird",
          reachable: true,
          error: null,
          version: "2.0.12",
          router_id: "198.51.100.1",
          state: "running",
        },
        ...{ since: { at: null, exact: true }, reconfigured: { at: null, exact: true } },
      },
      sessions: [
        {
          ...SESSION,
          ...(up
            ? {}
            : {
                state: "active",
                verdict: "down",
                why: "Socket: Connection refused",
                protocol_state: "start",
              }),
        },
      ],
    });
    /** Hosts tell what they are again and again, or they would be silent before a slow machine has looked. */
    const standing: Record<string, boolean> = { core1: true, ixp1: true, probe1: true };
    const stand = (name: string, up = standing[name] ?? true) => {
      standing[name] = up;
      host(name).say();
      say(name, "bgp", sessions(up));
    };
    let telling: NodeJS.Timeout;
    const ticket = async () => {
      const { bus } = await fleet.connect("viewer", "vera", life.signal);
      const signer = await fleet.person("vera", "viewer");
      const word = randomBytes(32).toString("base64url");
      const given = await callController({ bus, signer, now: Date.now }, "ticket", {
        hash: sha256(Buffer.from(word)),
      });
      await bus.close();
      return `${given.pages[0]}/#${word}`;
    };
    const has = (selector: string, where = page) =>
      where.waitForSelector(selector, { timeout: WAIT_MS, state: "attached" });

    test.before(async () => {
      ports = { page: await freePort(), websocket: await freePort() };
      fleet = await startFleet({ name: "as64500", websocket: ports.websocket });
      controller = await start();
      const setup = await fleet.connect("controller", "setup", life.signal);
      for (const name of ["core1", "ixp1", "probe1"])
        hosts[name] = await makeHost(fleet, name, setup.bus, verifierOf(fleet.bundle), life.signal);
      for (const name of ["core1", "ixp1", "probe1"])
        host(name).say({
          state: "converged",
          resources: { total: 3, ok: 3, managed: { bird: 1 } },
          certificates: [{ name: "bus", not_before: Date.now(), not_after: Date.now() + 7 * 86_400_000 }],
        });
      telling = setInterval(() => {
        for (const name of Object.keys(standing)) if (host(name).bus.connected) stand(name);
      }, 2_000);
      for (const name of Object.keys(standing)) stand(name);
      browser = await startBrowser();
      page = await browser.open();
    });
    test.after(async () => {
      clearInterval(telling);
      await browser?.stop();
      life.abort();
      await controller?.stop();
      await fleet?.stop();
    });

    test("what a browser loads is small, and loads nothing from elsewhere", async () => {
      const names = await readdir(FILES);
      assert.equal(names.sort(), ["icon.svg.gz", "index.html.gz", "page.js.gz", "style.css.gz"]);
      const sizes = await Promise.all(names.map(async (name) => (await stat(join(FILES, name))).size));
      const total = sizes.reduce((sum, size) => sum + size, 0);
      assert.ok(total <= PACKED_BYTES, `${total} bytes`);
      const answers: number[] = [];
      let policy = "";
      for (const path of ["/", "/fleet.json", "/../config.json", "/%2e%2e/config.json", "/nothing.js"])
        answers.push(
          await new Promise<number>((resolve, reject) => {
            // The name in the certificate is checked here, under the CA that ctl dashboard --ca prints.
            const options = {
              ca: fleet.broker_ca.certificate_pem,
              path,
              port: ports.page,
              host: "localhost",
            };
            get({ ...options, agent: false }, (response) => {
              policy ||= String(response.headers["content-security-policy"]);
              response.resume();
              resolve(response.statusCode ?? 0);
            }).once("error", reject);
          }),
        );
      assert.equal(answers, [200, 200, 404, 404, 404]);
      assert.match(policy, /^default-src 'none'; script-src 'self';/);
    });

    test("without a ticket it says how to get one, and a wrong one is refused", async () => {
      const other = await browser.open();
      await other.goto(`https://localhost:${ports.page}/`);
      await other.getByText("ctl dashboard").waitFor();
      await other.goto(`https://localhost:${ports.page}/#${randomBytes(32).toString("base64url")}`);
      await other.reload();
      await other.getByText(/lapsed or was used/).waitFor();
    });

    test("a ticket opens it: three hosts, each with its state; the ticket is gone from the address", async () => {
      const address = await ticket();
      await page.goto(address);
      for (const name of ["core1", "ixp1", "probe1"]) await has(`[data-row="${name}"] [data-tint="green"]`);
      assert.is(new URL(page.url()).hash, "#/");
      await page.reload();
      await has('[data-row="ixp1"] [data-tint="green"]');
      const other = await browser.open();
      await other.goto(address);
      await other.getByText(/lapsed or was used/).waitFor();
    });

    test("a session that goes down is red without a reload, its event is there, and both come back", async () => {
      await page.keyboard.press("2");
      await has('[data-cell="ixp1 upstream"][data-tint="green"]');
      stand("ixp1", false);
      tell("ixp1", { what: "upstream is down: Socket: Connection refused", session: "upstream" });
      await has('[data-cell="ixp1 upstream"][data-tint="red"]');
      await mkdir(PICTURES, { recursive: true });
      await page.screenshot({ path: join(PICTURES, "page-bgp.png") });
      await page.keyboard.press("5");
      await page.getByText("upstream is down: Socket: Connection refused").first().waitFor();
      await page.keyboard.press("1");
      await has('[data-row="ixp1"] [data-tint="red"]');
      await page.screenshot({ path: join(PICTURES, "page-fleet.png") });
      stand("ixp1", true);
      await page.keyboard.press("2");
      await has('[data-cell="ixp1 upstream"][data-tint="green"]');
    });

    test("it fits a telephone, in the dark, and its charts are drawn", async () => {
      for (const at of [0, 1]) {
        say("ixp1", "health", { ...HEALTH, at: Date.now(), cpu_busy: 0.2 + at / 10 });
        await page.waitForTimeout(20);
      }
      const web = { name: "web", method: "http", target: "http://[::1]/", state: "down", since: Date.now() };
      const answers = { up_at: null, ran_at: null, latency_ms: null, why: "ECONNREFUSED", every_ms: 30_000 };
      say("ixp1", "checks", { at: Date.now(), checks: [{ ...web, ...answers }] });
      await page.setViewportSize({ width: 390, height: 800 });
      await page.emulateMedia({ colorScheme: "dark" });
      for (const [view, seen] of [
        ["", '[data-row="ixp1"]'],
        ["bgp", '[data-cell="ixp1 upstream"]'],
        ["host/ixp1", ".chart canvas"],
        ["host/ixp1", '[data-check="web"] [data-tint="red"]'],
        ["events", "[data-event]"],
      ] as const) {
        await page.evaluate((path) => location.assign(`#/${path}`), view);
        await has(seen);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${view || "fleet"} is ${wide} px wider than a telephone`);
        await page.screenshot({
          path: join(PICTURES, `page-telephone-${view.replace("/", "-") || "fleet"}.png`),
        });
      }
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.evaluate(() => location.assign("#/bgp"));
    });

    test("charts begin with the last hours, of hosts that told nothing since the page was opened, too", async () => {
      const { bus, id } = host("probe1");
      const begun = Date.now() - 3 * 3_600_000;
      const keep = (from_ms: number, late: boolean) => {
        const at = Array.from({ length: 30 }, (_, index) => begun + from_ms + index * 60_000);
        const load1 = at.map((_, index) => index / 10);
        const tracks = {
          health: { at, series: { cpu: [0.5], memory: load1.map((each) => each / 4), load1 } },
          bgp: { at, series: { imported: load1.map((each) => each * 1_000), exported: [1], up: [1] } },
        };
        const body = Buffer.from(JSON.stringify({ tracks }));
        return bus.publishStored(subjects.history(id, "probe1"), body, {
          headers: late ? { [LATE_HEADER]: "600000" } : {},
        });
      };
      await keep(0, false);
      await keep(1_800_000, true);
      await page.evaluate(() => location.assign("#/host/probe1"));
      await has('[aria-label="health"] .chart canvas');
      await page.getByText("processors not known now").waitFor();
      await page.getByText(/told later, since it had no broker/).waitFor();
      await page.screenshot({ path: join(PICTURES, "page-host.png") });
      await page.evaluate(() => location.assign("#/bgp"));
      await page.getByText("routes over the last hours").click();
      await has("details .chart canvas");
      await page.screenshot({ path: join(PICTURES, "page-bgp-routes.png") });
    });

    test("without a connection it says since when it is old, and goes on by itself", async () => {
      await fleet.server.halt();
      await has('[data-fresh="cut"]');
      await fleet.server.start();
      await has('[data-fresh="live"]');
      await eventually(() => stand("ixp1", false), WAIT_MS);
      await has('[data-cell="ixp1 upstream"][data-tint="red"]');
    });

    test("nothing that the browser refuses, and no error that nobody caught", () => {
      const expected = /WebSocket connection to|ERR_CONNECTION_REFUSED/;
      assert.equal(
        browser.complaints.filter((each) => !expected.test(each)),
        [],
      );
    });
  },
  { limit_ms: 60_000 },
);
