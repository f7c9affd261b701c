/** The page put together: access, what is live, and painting it. */
// Before any schema is made.
import "./no-code.ts";
import { render } from "preact";
import { z } from "zod";
import { dropAccess, openAccess, ticketIn } from "./access.ts";
import { App, Door } from "./app.tsx";
import { Live } from "./live.ts";

const RETRY_MS = 1_000;
const About = z.object({ fleet: z.string(), brokers: z.array(z.string()) });

/** Null before the page is open. */
let live: Live | null = null;

async function begin(place: Element): Promise<void> {
  const { fleet, brokers } = About.parse(await about());
  document.title = `${fleet} · Muster`;
  render(<Door fleet={fleet} words="opening …" />, place);
  const access = await openAccess(brokers, Date.now()).catch((error: Error) => {
    render(<Door fleet={fleet} words={error.message} />, place);
    return undefined;
  });
  if (access === undefined) return;
  if (access === null) return render(<Door fleet={fleet} words={null} />, place);
  const opened = new Live(brokers, access, (frame) => {
    if (frame.over !== null) dropAccess();
    render(<App frame={frame} />, place);
  });
  live = opened;
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") render(<App frame={opened.frame()} />, place);
  });
  await opened.begin().catch((error: Error) => {
    live = null;
    render(<Door fleet={fleet} words={error.message} />, place);
  });
}

/** A network that changes while a page opens is no reason to give up. */
async function about(tries = 5): Promise<unknown> {
  try {
    return await (await fetch("fleet.json", { cache: "no-store" })).json();
  } catch (error) {
    if (tries <= 1) throw error;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    return about(tries - 1);
  }
}

const place = document.getElementById("page");
if (place !== null) {
  // An address that `ctl dashboard` printed, where a page is open already: it goes on as it stands.
  addEventListener("hashchange", ({ oldURL }) => {
    const ticket = ticketIn(location.hash);
    if (ticket === null) return;
    // Nothing is lost by that.
    if (live === null) return location.reload();
    history.replaceState(null, "", new URL(oldURL).hash || "#/");
    live.renewal.take(ticket);
  });
  begin(place).catch((error: Error) => {
    render(<Door fleet="" words={error.message} />, place);
  });
}
