/** The page put together: access, what is live, and painting it. */
// Before any schema is made.
import "./no-code.ts";
import { render } from "preact";
import { z } from "zod";
import { dropAccess, openAccess } from "./access.ts";
import { App, Door } from "./app.tsx";
import { Live } from "./live.ts";

const About = z.object({ fleet: z.string(), brokers: z.array(z.string()) });

async function begin(place: Element): Promise<void> {
  const answer = await fetch("fleet.json", { cache: "no-store" });
  const { fleet, brokers } = About.parse(await answer.json());
  document.title = `${fleet} · Muster`;
  render(<Door fleet={fleet} words="opening …" />, place);
  const access = await openAccess(brokers, Date.now()).catch((error: Error) => {
    render(<Door fleet={fleet} words={error.message} />, place);
    return undefined;
  });
  if (access === undefined) return;
  if (access === null) return render(<Door fleet={fleet} words={null} />, place);
  const live = new Live(brokers, access, (frame) => {
    if (frame.over !== null) dropAccess();
    render(<App frame={frame} />, place);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") render(<App frame={live.frame()} />, place);
  });
  await live.begin().catch((error: Error) => {
    render(<Door fleet={fleet} words={error.message} />, place);
  });
}

const place = document.getElementById("page");
if (place !== null)
  begin(place).catch((error: Error) => {
    render(<Door fleet="" words={error.message} />, place);
  });
