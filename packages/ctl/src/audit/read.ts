/** The audit as the controllers hand it over: page after page, each record beside its place in the stream. */
import { callController } from "@muster/ports/call";
import { AuditRecord } from "@muster/protocol/audit";
import type { ControlReply } from "@muster/protocol/control/index";
import type { Connection } from "../session/session.ts";

const PAGE = 2_000;

/** `record` is null for what is none: somebody's message under a writer's subject. */
export type Stored = {
  readonly at: number;
  readonly stored_at: number;
  readonly writer: string;
  readonly late_ms: number;
  readonly record: AuditRecord | null;
};

export type Own = ControlReply<"audit">["own"];

/** Hands each record to `take`, in the stream's order. Resolves with what the answering controller says of its own. Errors: those of the bus. */
export async function readAudit(
  connection: Connection,
  wanted: { readonly since: number | null; readonly writer: string | null },
  take: (stored: Stored) => void,
): Promise<Own> {
  let after = 0;
  for (;;) {
    const page: ControlReply<"audit"> = await callController(connection, "audit", {
      ...wanted,
      after,
      limit: PAGE,
    });
    for (const { at, stored_at, subject_of, late_ms, record } of page.records) {
      const parsed = AuditRecord.safeParse(record);
      take({ at, stored_at, writer: subject_of, late_ms, record: parsed.success ? parsed.data : null });
    }
    if (page.next === null) return page.own;
    after = page.next;
  }
}
