/** `ctl audit`: who asked for what, on whose authority, and what came of it; and whether the record of it is whole. */
import { FleetError } from "@muster/protocol/errors";
import { readAudit, type Stored } from "../audit/read.ts";
import { AuditCheck, askHeads } from "../audit/verify.ts";
import { durationOf } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import { type AuditRow, auditColumns, verdictLines } from "../report/audit.ts";
import { folderHere, hostViews, idsOf } from "../roster/roster.ts";
import { type Connection, openSession } from "../session/session.ts";

const SHOWN = 200;
const SINCE_MS = 86_400_000;

export const audit = defineCommand({
  name: "audit",
  options: {
    host: { flag: "--host <name>", help: "what one host or controller wrote" },
    last: { flag: "--last <n>", help: `how many at most, the newest (default ${SHOWN})` },
    since: {
      flag: "--since <duration>",
      help: "not older than this: 2h (default 1d; with --verify all that is kept)",
    },
    verify: {
      flag: "--verify",
      help: "hold the records against their chains and against what the hosts say; exit 1 for a gap",
    },
    who: { flag: "--who <name>", help: "what one person or program asked for" },
  },
  example: `ctl audit --since 2h --who alice
ctl audit --host core1 -o wide
ctl audit --verify`,
  async run(context, { options }) {
    const { output } = context;
    const back_ms = durationOf("--since", options.since);
    const last = lastOf(options.last);
    const session = await openSession(context, { rank: "operator" });
    const connection = await session.connect();
    const folder = await folderHere(context);
    const ids = idsOf(await hostViews(connection), folder?.pins ?? new Map());
    const writer = options.host === undefined ? null : (ids.get(options.host) ?? null);
    const since = (default_ms: number | null) => {
      const span_ms = back_ms ?? default_ms;
      return span_ms === null ? null : context.now() - span_ms;
    };
    const meant = ({ record }: Stored) =>
      (options.who === undefined || record?.by?.name === options.who) &&
      (options.host === undefined || writer !== null || record?.host === options.host);
    if (options.verify) {
      const hosts = writer === null ? ids : new Map([[options.host ?? "", writer]]);
      return check(connection, { since: since(null), writer, hosts, all: new Set(ids.values()) });
    }
    const rows: AuditRow[] = [];
    await readAudit(connection, { since: since(SINCE_MS), writer }, (stored) => {
      if (stored.record === null || !meant(stored)) return;
      rows.push({ ...stored, record: stored.record });
      if (rows.length > last) rows.shift();
    });
    if (rows.length === 0) output.line("nothing is recorded for that");
    else output.table(rows, auditColumns(output.colour));
    output.json(rows.map(({ record, stored_at, late_ms }) => ({ ...record, stored_at, late_ms })));
    return undefined;

    async function check(
      there: Connection,
      wanted: {
        since: number | null;
        writer: string | null;
        hosts: ReadonlyMap<string, string>;
        all: ReadonlySet<string>;
      },
    ): Promise<number> {
      const heads = await askHeads(there, wanted.hosts);
      const checked = new AuditCheck(wanted.all);
      const own = await readAudit(there, { since: wanted.since, writer: wanted.writer }, (stored) =>
        checked.take(stored),
      );
      const verdict = checked.end(heads, wanted.writer === null ? own : null, wanted.since === null);
      for (const line of verdictLines(verdict, output.colour)) output.line(line);
      output.json(verdict);
      if (verdict.faults.length > 0) return EXIT.failed;
      return verdict.silent.length > 0 ? EXIT.partly : EXIT.done;
    }
  },
});

function lastOf(typed: string | undefined): number {
  if (typed === undefined) return SHOWN;
  const count = Number(typed);
  if (!Number.isInteger(count) || count < 1 || count > 100_000)
    throw new FleetError("USAGE", `--last ${typed}: must be a number from 1 to 100000`);
  return count;
}
