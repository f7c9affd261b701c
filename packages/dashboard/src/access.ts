/**
 * The page's access to the bus: got once for a ticket, kept for this tab alone, over when its time is up. The key is made here and never leaves the page.
 */
import { type Access, redeem } from "./bus.ts";

const KEPT = "muster-access";
const TICKET = /^#([A-Za-z0-9_-]{43})$/;

/** Null: there is none, and the person has to ask for a ticket. Errors: why the ticket was not taken. */
export async function openAccess(brokers: readonly string[], now_ms: number): Promise<Access | null> {
  const ticket = TICKET.exec(location.hash)?.[1];
  if (ticket === undefined) return kept(now_ms);
  // Neither a bookmark nor the history shall have it.
  history.replaceState(null, "", "#/");
  const access = await redeem(brokers, ticket);
  sessionStorage.setItem(KEPT, JSON.stringify(access));
  return access;
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
