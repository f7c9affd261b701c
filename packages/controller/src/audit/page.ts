/** `ctl.audit`: what stream AUDIT holds, in pages. Records come as they were stored: it is the reader who holds them against their chains. */
import type { Bus } from "@muster/ports/bus";
import type { AuditHead } from "@muster/protocol/audit";
import type { ControlReply, ControlRequest } from "@muster/protocol/control/index";
import { lateMs } from "@muster/protocol/streams";
import { recordIn } from "./record.ts";

/** A reply must fit into one message of 1 MiB. */
const REPLY_BYTES = 700_000;
/** Several times the largest that Muster writes. */
const RECORD_BYTES = 32_000;

type Page = ControlReply<"audit">;
type Shown = Page["records"][number]["record"];

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
    const shown = shownOf(message.body);
    bytes += shown.bytes + 256;
    if (last !== undefined && (records.length >= request.limit || bytes > REPLY_BYTES)) return reply(last.at);
    records.push({
      at: message.seq,
      stored_at: message.stored_at,
      subject_of: message.subject.split(".")[1] ?? "",
      late_ms: lateMs(message.headers),
      record: shown.record,
    });
  }
  return reply(null);
}

/** With the bytes that it takes in an answer. What is larger than any record is shown by its beginning, as text: it would keep those after it from being read. */
function shownOf(body: Uint8Array): { record: Shown; bytes: number } {
  const record = recordIn(body) as Shown;
  const bytes = bytesOf(record);
  if (bytes <= RECORD_BYTES) return { record, bytes };
  const text = Buffer.from(body).toString().slice(0, 1_000);
  return { record: text, bytes: bytesOf(text) };
}

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
