/** `ctl.events`: what stream EVENT holds from a time on, without a consumer. Of more than asked for the newest count. */
import type { Bus, StoredMessage } from "@muster/ports/bus";
import { FleetEvent, lateMs, patterns } from "@muster/protocol";
import type { ControlReply, ControlRequest } from "@muster/protocol/control/index";
import { FleetError, parseJson } from "@muster/protocol/errors";

const DAY_MS = 86_400_000;
/** A reply must fit into one message of 1 MiB. */
const REPLY_BYTES = 700_000;
const SCANNED = 200_000;

type Kept = ControlReply<"events">["events"][number];

/** Without `since` the last day. */
export async function eventsReply(
  bus: Pick<Bus, "readAll">,
  request: ControlRequest<"events">,
  now_ms: number,
  sees: (host: string) => boolean = () => true,
  shown: (event: FleetEvent) => FleetEvent | null = (event) => event,
): Promise<ControlReply<"events">> {
  const filter = patterns.event(request.host ?? "*", request.kind ?? "*");
  const from_time_ms = request.since ?? now_ms - DAY_MS;
  const kept: { event: Kept; bytes: number }[] = [];
  let bytes = 0;
  let scanned = 0;
  for await (const message of bus.readAll("EVENT", filter, { from_time_ms })) {
    if (++scanned > SCANNED) break;
    const event = read(message);
    const said = event !== null && sees(event.host) ? shown(event.event) : null;
    if (event === null || said === null) continue;
    kept.push({ event: { ...event, event: said }, bytes: message.body.length + 256 });
    bytes += message.body.length + 256;
    while (kept.length > request.limit || (bytes > REPLY_BYTES && kept.length > 1))
      bytes -= kept.shift()?.bytes ?? 0;
  }
  return { events: kept.map(({ event }) => event) };
}

/** Null for what is no event: readers are tolerant. */
function read({ subject, body, headers }: StoredMessage): Kept | null {
  const [, id = "", host = ""] = subject.split(".");
  try {
    const late_ms = lateMs(headers);
    return { id, host, event: parseJson(FleetEvent, body, subject), ...(late_ms > 0 && { late_ms }) };
  } catch (error) {
    if (error instanceof FleetError) return null;
    throw error;
  }
}

/** What somebody who was invited is told: no differences of files, and nothing of commands. */
export function forGuests(event: FleetEvent): FleetEvent | null {
  if (event.kind === "exec") return null;
  const { diff, ...rest } = event;
  return rest;
}
