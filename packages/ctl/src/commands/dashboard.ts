/** `ctl dashboard`: an address that opens the fleet's web page once, as the person who typed it; the page only looks. */
import { createHash, randomBytes } from "node:crypto";
import { callController } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import { fleetOfFolder } from "../fleet/folder.ts";
import { withNext } from "../output/error.ts";
import { durationText, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { requireProfile } from "../session/profile.ts";
import { openSession } from "../session/session.ts";

/** A page of a log-in that is nearly over is hardly worth the opening. */
const BRIEF_MS = 30 * 60_000;

export const dashboard = defineCommand({
  name: "dashboard",
  options: {
    ca: { flag: "--ca", help: "print the fleet's CAs, which the browser has to know" },
  },
  example: `ctl dashboard                  open what it prints in a browser; each address works once
ctl dashboard --ca > muster-ca.pem    once: import it in the browser as an authority for web sites`,
  async run(context, { options }) {
    if (options.ca) return printCas(context);
    const { output } = context;
    const session = await openSession(context, { rank: "viewer" });
    if (session.invited) throw new FleetError("UNSUPPORTED", "what is live is not for guests: ctl status");
    // Only its hash is told: whoever reads along has no ticket by that.
    const ticket = randomBytes(32).toString("base64url");
    const hash = createHash("sha256").update(ticket).digest("hex");
    const { pages, ends } = await callController(await session.connect(), "ticket", { hash });
    if (pages.length === 0)
      throw withNext(
        new FleetError("UNSUPPORTED", "no controller of this fleet serves the web page"),
        'on the controller\'s server: the ctl init line again, or "dashboard" in its config.json',
      );
    // Behind the #: a browser keeps that to itself.
    const addresses = pages.map((page) => `${page.replace(/\/$/, "")}/#${ticket}`);
    for (const address of addresses) output.line(address);
    const left_ms = session.ends_ms - context.now();
    output.note(
      `opens once, within ${durationText(ends - context.now())}, as ${session.person}; the page only looks, until ${timeText(session.ends_ms)} (${durationText(left_ms)})`,
    );
    output.note("or goes on with one that is open: paste it there");
    if (left_ms < BRIEF_MS)
      output.note(output.colour.amber("the page ends with your log-in: ctl login && ctl dashboard"));
    if (addresses.length > 1)
      output.note("one page by several addresses: take the one that your browser reaches");
    output.note("a browser that does not know the fleet's CA: ctl dashboard --ca");
    output.json({ addresses, ends });
    return undefined;
  },
});

/** Brokers' and services': the page speaks to both. */
async function printCas(context: Context): Promise<undefined> {
  const fleet = context.global.fleet ?? (await fleetOfFolder(context.cwd));
  const { broker_ca, bundle } = await requireProfile(context.home, fleet);
  const cas = [...new Set([broker_ca, ...bundle.broker_ca, ...bundle.services_ca].map((pem) => pem.trim()))];
  for (const pem of cas) context.output.line(pem);
  context.output.json({ cas });
  return undefined;
}
