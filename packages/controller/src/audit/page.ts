/** `ctl.audit`: what stream AUDIT holds, in pages. Records come as they were stored: it is the reader who holds them against their chains. */
import type { Bus } from "@muster/ports/bus";
import type { AuditHead } from "@muster/protocol/audit";
import type { ControlReply, ControlRequest } from "@muster/protocol/control/index";
import { lateMs } from "@muster/protocol/streams";

/** A reply must fit into one message of 1 MiB. */
const REPLY_BYTES = 700_000;

type Page = ControlReply<"audit">;

export async function auditPage(
  bus: Pick<Bus, "readAll">,
  request: ControlRequest<"audit">,
  own: { readonly id: string; readonly head: AuditHead },
): Promise<Page> {
  const filter = request.writer === null ? "audit.>" : `audit.${request.writer}.*`;
  const from =
    request.after > 0 || request.since === null
      ? { from_seq: request.after + 1 }
      : { from_time_ms: request.since };
  const records: Page["records"] = [];
  let bytes = 0;
  const reply = (next: number | null): Page => ({
    records,
    next,
    own: { writer: own.id, seq: own.head.seq, hash: own.head.hash },
  });
  for await (const message of bus.readAll("AUDIT", filter, from)) {
    const last = records.at(-1);
    bytes += message.body.length + 256;
    if (last !== undefined && (records.length >= request.limit || bytes > REPLY_BYTES)) return reply(last.at);
    records.push({
      at: message.seq,
      stored_at: message.stored_at,
      subject_of: message.subject.split(".")[1] ?? "",
      late_ms: lateMs(message.headers),
      record: jsonOf(message.body),
    });
  }
  return reply(null);
}

/** What is no JSON is shown as the text that it is. */
function jsonOf(body: Uint8Array): Page["records"][number]["record"] {
  const text = Buffer.from(body).toString();
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(0, 1_000);
  }
}
