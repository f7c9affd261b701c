/** The fleet as of one instant: every host judged, and the sessions of those that are heard. Pure. */
import type { FleetModel } from "./model.ts";
import type { SessionRow } from "./sessions.ts";
import { type HostStatus, statusOf } from "./status.ts";

export type Seen = { readonly hosts: readonly HostStatus[]; readonly sessions: readonly SessionRow[] };

/** Judged once a frame. */
export function seen(model: FleetModel, now_ms: number): Seen {
  const hosts = model.hosts(now_ms).map((known) => statusOf(known, now_ms));
  const sessions = hosts.flatMap(({ known, state }) =>
    // What a silent host said of its sessions is not shown as if it were so now.
    state === "silent" ? [] : (known.bgp?.sessions ?? []).map((session) => ({ host: known.name, session })),
  );
  return { hosts, sessions };
}
