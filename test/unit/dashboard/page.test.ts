// limit: 120 s
// network: own
/** The web page in a real Chromium on a real broker: opened by a ticket, live without a reload, and true when nothing comes any more. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, stat } from "node:fs/promises";
import { get } from "node:https";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Caller, callController } from "@muster/ports/call";
import { type FleetEvent, LATE_HEADER, subjects, verifierOf } from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import type { TelemetryKind } from "@muster/protocol/telemetry/index";
import * as assert from "uvu/assert";
import { type Page, startBrowser, type TestBrowser } from "../../kit/browser.ts";
import { freePort } from "../../kit/child.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { makeHost, order, signRollout, type TestHost } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";
import { CHECK, collected, HEALTH, MEASURED, sessions } from "./told.ts";

const FILES = fileURLToPath(new URL("../../../dist/dashboard", import.meta.url));
const PICTURES = fileURLToPath(new URL("../../../build/pictures", import.meta.url));
const PACKED_BYTES = 200_000;
const WAIT_MS = 60_000;
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
    const say = (name: string, kind: TelemetryKind, sample: object) =>
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
    /** Hosts tell what they are again and again, or they would be silent before a slow machine has looked. */
    const standing: Record<string, boolean> = { core1: true, ixp1: true, probe1: true };
    const stand = (name: string, up = standing[name] ?? true) => {
      standing[name] = up;
      host(name).say();
      say(name, "bgp", sessions(up));
    };
    let telling: NodeJS.Timeout;
    let calling: Promise<Caller> | undefined;
    const operator = () => {
      calling ??= Promise.all([
        fleet.connect("operator", "alice", life.signal),
        fleet.person("alice", "operator"),
      ]).then(([{ bus }, signer]) => ({ bus, signer, now: Date.now }));
      return calling;
    };
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

    test("a host's page has all that its collectors tell, before and after it was opened", async () => {
      const told = collected(Date.now());
      for (const kind of ["containers", "services", "certificates"] as const) say("ixp1", kind, told[kind]);
      host("ixp1").say({
        held: [{ ref: "file//etc/motd", why: "by hand for now", by: "alice", until: null }],
        drift: [
          { ref: "bird/main", what: "edited by root 03:12", since: Date.now() - 60_000, action: "left" },
        ],
      });
      await eventually(async () => {
        const last = await callController(await operator(), "last", {
          ...{ kind: "certificates", host: "ixp1", after: null, limit: 5 },
        });
        assert.is(last.values.length, 1);
      }, WAIT_MS);
      await page.evaluate(() => location.assign("#/host/ixp1"));
      await has('[data-of="container web"] [data-tint="red"]');
      await has('[data-of="service bird.service"] [data-tint="green"]');
      await page.getByText("exited, code 137, out of memory").waitFor();
      await page.locator('[data-about="containers/web"]').getByText("ctl logs ixp1 container/web").waitFor();
      await page.locator('[data-kind="resources"]').getByText("edited by hand, left").waitFor();
      await page.locator('[data-kind="resources"]').getByText("held by alice").waitFor();
      for (const kind of ["packages", "wireguard"] as const) say("ixp1", kind, told[kind]);
      await has('[data-of^="tunnel wg-core1 zyx"] [data-tint="red"]');
      await has('[data-of="package bird2"] [data-tint="red"]');
      await page.getByText(/packages: 1 update, 1 of them security/).waitFor();
      await page.screenshot({ path: join(PICTURES, "page-host-collected.png"), fullPage: true });
      await page.keyboard.press("4");
      await has('[data-row="ixp1 edge /etc/ssl/edge.pem"] [data-tint="amber"]');
      const [first] = await page.locator("[data-row]").all();
      assert.is(
        await first?.getAttribute("data-row"),
        "ixp1 edge /etc/ssl/edge.pem",
        "what ends first is first",
      );
      await page.screenshot({ path: join(PICTURES, "page-certificates.png") });
      host("ixp1").say({ held: [], drift: [] });
    });

    test("a change that goes wrong is seen with who ordered it, its batches, and why it was undone", async () => {
      const core1 = host("core1");
      core1.answer = "undone";
      core1.say({ detail: "upstream imported 182,301, now 12" });
      await page.keyboard.press("3");
      const alice = await fleet.person("alice");
      const ids = Object.fromEntries(Object.entries(hosts).map(([name, { id }]) => [name, id]));
      const draft = { generation: 1, waves: [["core1"], ["ixp1", "probe1"]] };
      await order(await operator(), signRollout(fleet, alice, ids, draft));
      await has('[data-rollout="1"][data-state="failed"]');
      const change = page.locator('[data-rollout="1"]');
      await change.getByText(/^alice, .*a test/).waitFor();
      await change.getByText(/batch 2 of 2/).waitFor();
      await has('[data-of="generation 1 core1"] [data-tint="red"]');
      await change
        .getByText(/upstream imported 182,301, now 12/)
        .first()
        .waitFor();
      await page.screenshot({ path: join(PICTURES, "page-changes.png") });
      // What was ordered says where hosts belong, and the page hears of it.
      await page.evaluate(() => location.assign("#/?by=text"));
      await has('[data-row="group one"]');
    });

    test("what fires is there, and what a person silenced, with why and until when", async () => {
      const caller = await operator();
      await page.keyboard.press("6");
      await has('[data-alert="core1 change"] [data-tint="red"]');
      await callController(caller, "silence", {
        ...{ selector: "core1", hosts: ["core1"], about: ["*"], why: "switch swap", for_ms: 3_600_000 },
      });
      await page.locator('[data-of^="silence "]').getByText("switch swap").waitFor({ timeout: WAIT_MS });
      await page.locator('[data-alert="core1 change"]').getByText(/alice/).waitFor({ timeout: WAIT_MS });
      await page.screenshot({ path: join(PICTURES, "page-alerts.png") });
      host("core1").say({ state: "converged", detail: "" });
    });

    test("who goes down with whom, of the week before too", async () => {
      for (const ago_ms of [7_200_000, 3_600_000])
        for (const [name, session, late_ms] of [
          ["ixp1", "upstream", 0],
          ["core1", "ixp1", 4_000],
        ] as const)
          tell(name, { at: Date.now() - ago_ms + late_ms, session, what: `session ${session} went down` });
      await page.keyboard.press("2");
      await has('[data-of="pair core1 ixp1 with ixp1 upstream"]');
      await page.locator('[aria-label="flaps"]').getByText("2 of 2 times").waitFor();
      await page.screenshot({ path: join(PICTURES, "page-bgp-falls.png"), fullPage: true });
    });

    test("events of before are asked for, and the audit is said to be for others", async () => {
      await page.keyboard.press("5");
      await page.getByLabel("since").selectOption("168");
      await page.getByLabel("kind").selectOption("rollout");
      await page.getByPlaceholder(/words/).fill("alice");
      await has('[data-event="rollout"]');
      await page.getByText(/The audit itself.*is for operators/).waitFor();
      await page.screenshot({ path: join(PICTURES, "page-events.png") });
      await page.getByPlaceholder(/words/).fill("");
    });

    test("it fits a telephone, in the dark, and its charts are drawn", async () => {
      for (const at of [0, 1]) {
        say("ixp1", "health", { ...HEALTH, at: Date.now(), cpu_busy: 0.2 + at / 10 });
        await page.waitForTimeout(20);
      }
      say("ixp1", "checks", { at: Date.now(), checks: [{ ...CHECK, state: "down", why: "ECONNREFUSED" }] });
      await page.setViewportSize({ width: 390, height: 800 });
      await page.emulateMedia({ colorScheme: "dark" });
      for (const [view, seen] of [
        ["", '[data-row="ixp1"]'],
        ["bgp", '[data-cell="ixp1 upstream"]'],
        ["host/ixp1", ".chart canvas"],
        ["host/ixp1", '[data-of="check web"] [data-tint="red"]'],
        ["host/ixp1", '[data-of="container web"]'],
        ["changes", '[data-rollout="1"]'],
        ["certificates", '[data-row="ixp1 edge /etc/ssl/edge.pem"]'],
        ["alerts", '[data-of^="silence "]'],
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
          health: {
            at,
            series: { cpu: [0.5], memory: load1.map((each) => each / 4), load1, "disk_used /": [0.3] },
          },
          bgp: {
            at,
            series: {
              ...{ imported: load1.map((each) => each * 1_000), exported: [1], up: [1] },
              "imported upstream": load1.map((each) => each * 1_000),
            },
          },
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
      const of = page.locator('[aria-label="health"]');
      assert.is(await of.getByText(/^disk/).count(), 0, "no disk of which it tells nothing");
      say("probe1", "health", { ...HEALTH, at: Date.now() });
      await of.locator(".chart", { hasText: "disk / used 40 %" }).locator("canvas").waitFor();
      await of.locator(".chart", { hasText: "load over a minute 0.20" }).locator("canvas").waitFor();
      const facts = () => of.locator(".inline li").allTextContents();
      assert.equal(await facts(), ["/ 40 % full", "load 0.20 0.30 0.40", "up 1 d"]);
      say("probe1", "health", { ...HEALTH, ...MEASURED, at: Date.now() });
      await of.getByText("clock chrony").waitFor();
      assert.equal(await facts(), [
        "/ 40 % full, full in 1 d 4 h if it goes on like this",
        ...["load 0.20 0.30 0.40", "up 1 d", "2 OOM kills since the start", "clock chrony, -0.12 ms"],
        "cpu 63 °C of 100, nvme 42 °C",
      ]);
      await page.screenshot({ path: join(PICTURES, "page-host.png") });
      await page.getByText("routes of each session").click();
      await has('[data-host="probe1"] details .chart canvas');
      await page.screenshot({ path: join(PICTURES, "page-host-routes.png"), fullPage: true });
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
      const expected = /WebSocket connection to|ERR_CONNECTION_REFUSED|ERR_NETWORK_CHANGED/;
      assert.equal(
        browser.complaints.filter((each) => !expected.test(each)),
        [],
      );
    });
  },
  { limit_ms: 60_000 },
);
