/** A real Chromium without a screen, for the web page: one page a test, its errors kept. */
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { temporaryDirectory } from "./child.ts";

export type { Page } from "playwright-core";

export type TestBrowser = {
  /** A new page in a profile of its own. */
  open(): Promise<Page>;
  /** What pages complained of: errors that nobody caught, and whatever the browser refused them. */
  readonly complaints: string[];
  stop(): Promise<void>;
};

/** Of whatever a test waits for without a limit of its own. */
const WAIT_MS = 60_000;
const SIZE = { width: 1280, height: 900 };

/**
 * Certificates are not judged here: who serves them is tried without a browser.
 */
export async function startBrowser(): Promise<TestBrowser> {
  const { path, release } = await temporaryDirectory("chromium");
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    // The tests may run as root, and in containers with a small /dev/shm.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
    env: { ...process.env, HOME: path, XDG_CONFIG_HOME: path, XDG_CACHE_HOME: path },
  });
  const complaints: string[] = [];
  const contexts: BrowserContext[] = [];
  return {
    complaints,
    async open() {
      const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: SIZE });
      contexts.push(context);
      context.setDefaultTimeout(WAIT_MS);
      const page = await context.newPage();
      page.on("pageerror", (error) => complaints.push(String(error)));
      page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
      });
      return page;
    },
    async stop() {
      for (const context of contexts) await context.close();
      await browser.close();
      await release();
    },
  };
}
