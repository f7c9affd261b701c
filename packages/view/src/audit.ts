/** A record of the audit in words, as `ctl audit` and the web page say it. Pure. */
import type { AuditRecord } from "@muster/protocol/audit";

/** Who it was. Of what was done on a host itself: whom its own log-in says it was. */
export function auditWho({ by, kind, from }: Pick<AuditRecord, "by" | "kind" | "from">): string {
  const [, local] = /^this host: (.+)$/.exec(from) ?? [];
  if (by === null) return kind === "act" && local !== undefined ? `${local} (on the host)` : "-";
  return by.kit ? `${by.name} (recovery kit)` : `${by.name} (${by.rank})`;
}

export const auditResult = ({ result, code }: Pick<AuditRecord, "result" | "code">): string =>
  code === null ? result : `${result} ${code}`;

/** Whether what was asked for was not done. */
export const auditFailed = ({ result }: Pick<AuditRecord, "result">): boolean =>
  result === "refused" || result === "failed";

export const auditTarget = ({ target, more }: Pick<AuditRecord, "target" | "more">): string =>
  `${target}${more === 0 ? "" : ` (and ${more} more like it)`}`;
