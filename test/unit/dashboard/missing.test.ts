// limit: 120 s
// network: own
/** A host that an apply declared and no machine joined as, on the page: red with its next command, below its group, from then on and until it joins. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { callController } from "@muster/ports/call";
import { seal, storeEnvelope, verifierOf } from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import { DECLARED_SUBJECT, type Declared } from "@muster/protocol/declared";
import * as assert from "uvu/assert";
import { startBrowser, type TestBrowser } from "../../kit/browser.ts";
import { freePort } from "../../kit/child.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { makeHost } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";

const FILES = fileURLToPath(new URL("../../../dist/dashboard", import.meta.url));
const WAIT_MS = 60_000;

suite(
  "a missing host on the page",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let browser: TestBrowser;

    test.before(async () => {
      const ports = { page: await freePort(), websocket: await freePort() };
      fleet = await startFleet({ name: "as64500", websocket: ports.websocket });
      controller = await startController(fleet, {
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
      browser = await startBrowser();
    });
    test.after(async () => {
      await browser?.stop();
      life.abort();
      await controller?.stop();
      await fleet?.stop();
    });

    test("it is red as soon as it is declared, on the page that is open, and green when it has joined", async () => {
      const signer = await fleet.person("alice");
      const { bus } = await fleet.connect("operator", "alice", life.signal);
      const alice = { bus, signer, now: Date.now };
      const word = randomBytes(32).toString("base64url");
      const { pages } = await callController(alice, "ticket", { hash: sha256(Buffer.from(word)) });
      const page = await browser.open();
      await page.goto(`${pages[0]}/#${word}`);
      const declared: Declared = {
        ...{ v: 1, fleet: fleet.name, version: 1 },
        hosts: { probe9: { groups: ["probe"], since: Date.now() - 3_600_000 } },
      };
      const body = Buffer.from(JSON.stringify(declared));
      const document = storeEnvelope(seal(DECLARED_SUBJECT, body, signer, Date.now()));
      await callController(alice, "declare", { document });
      const has = (selector: string) =>
        page.waitForSelector(selector, { timeout: WAIT_MS, state: "attached" });
      await has('[data-row="group probe"] [data-tint="red"]');
      await has('[data-row="probe9"] [data-tint="red"]');
      await page.evaluate(() => location.assign("#/host/probe9"));
      await has('[data-host="probe9"][data-state="not enrolled"] [data-about="joined"]');
      const trouble = await page.locator('[data-about="joined"]').textContent();
      assert.match(trouble ?? "", /never joined; declared since .* \(1 h.*\) ctl join probe9$/);
      assert.is(await page.locator('[data-host="probe9"] h2').allTextContents().then(String), "events");
      const setup = await fleet.connect("controller", "setup", life.signal);
      const host = await makeHost(fleet, "probe9", setup.bus, verifierOf(fleet.bundle), life.signal);
      host.say({ state: "converged" });
      await has('[data-host="probe9"][data-state="converged"]');
      assert.is(await page.locator('[data-about="joined"]').count(), 0);
    });
  },
  { limit_ms: 60_000 },
);
