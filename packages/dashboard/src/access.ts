/**
 * The page's access to the bus: got for a ticket, kept for this tab alone, over when its time is up, and gone on with by another ticket of the same person. The
 * keys are made here and never leave the page.
 */
import { FleetError } from "@muster/protocol/errors";
import { type Access, redeem } from "./bus.ts";

const KEPT = "muster-access";
const TICKET = /^(?:\S*#)?([A-Za-z0-9_-]{43})$/;

/** The ticket in an address that `ctl dashboard` printed, in what stands behind its #, or by itself; null: there is none. */
export const ticketIn = (text: string): string | null => TICKET.exec(text.trim())?.[1] ?? null;

/** Null: there is none, and the person has to ask for a ticket. Errors: why the ticket was not taken. */
export async function openAccess(brokers: readonly string[], now_ms: number): Promise<Access | null> {
  const ticket = ticketIn(location.hash);
  if (ticket === null) return kept(now_ms);
  // Neither a bookmark nor the history shall have it.
  history.replaceState(null, "", "#/");
  const access = await redeem(brokers, ticket);
  keepAccess(access);
  return access;
}

/** Shows another ticket to go on as the same person. Errors: INVALID for what is no ticket, NOT_ALLOWED for one of somebody else or of another fleet, and those of `redeem`. */
export async function nextAccess(brokers: readonly string[], before: Access, text: string): Promise<Access> {
  const ticket = ticketIn(text);
  if (ticket === null)
    throw new FleetError("INVALID", "that is no ticket: paste the whole address that ctl dashboard printed");
  const access = await redeem(brokers, ticket);
  if (access.fleet !== before.fleet)
    throw new FleetError(
      "NOT_ALLOWED",
      `that ticket is of fleet ${access.fleet}, and this page shows ${before.fleet}`,
    );
  if (access.person !== before.person)
    throw new FleetError(
      "NOT_ALLOWED",
      `that ticket is ${access.person}'s, and this page is ${before.person}'s: open a page of your own with another`,
    );
  return access;
}

export function keepAccess(access: Access): void {
  sessionStorage.setItem(KEPT, JSON.stringify(access));
}

export function dropAccess(): void {
  sessionStorage.removeItem(KEPT);
}

function kept(now_ms: number): Access | null {
  const text = sessionStorage.getItem(KEPT);
  if (text === null) return null;
  const access = JSON.parse(text) as Access;
  return access.expires > now_ms ? access : null;
}
