/** `ctl hosts`: the folder and the records side by side: who is declared, who is enrolled, since when, and under which key. */

import { hostFingerprint } from "@muster/protocol/names";
import type { HostRecord } from "@muster/protocol/record";
import type { Column } from "../output/table.ts";
import { listText, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { pick, tellUnknown } from "../roster/facts.ts";
import { folderHere, groupsOf, hostViews, selectable } from "../roster/roster.ts";
import { openSession } from "../session/session.ts";

type Row = {
  readonly name: string;
  readonly groups: readonly string[];
  readonly in_folder: boolean | null;
  readonly record: HostRecord | null;
  readonly pinned: string | null;
};

const COLUMNS: Column<Row>[] = [
  { title: "HOST", value: (row) => row.name },
  { title: "GROUPS", value: (row) => listText(row.groups) },
  { title: "FOLDER", value: (row) => (row.in_folder === null ? "-" : row.in_folder ? "yes" : "no") },
  {
    title: "ENROLLED",
    value: (row) => (row.record === null ? "not enrolled" : timeText(row.record.enrolled_at)),
  },
  { title: "BY", value: (row) => row.record?.enrolled_by ?? "-" },
  { title: "SYSTEM", value: (row) => row.record?.os ?? "-" },
  { title: "AGENT", value: (row) => row.record?.agent_version ?? "-" },
  { title: "KEY", value: (row) => keyText(row) },
  { title: "ID", value: (row) => row.record?.id ?? row.pinned ?? "-", wide: true },
];

function keyText({ record, pinned }: Row): string {
  if (record === null) return pinned === null ? "-" : "pinned";
  if (pinned === null) return `${hostFingerprint(record.id).slice(0, 15)}… not pinned`;
  return pinned === record.id ? "pinned" : "NOT THE PINNED ONE";
}

export const hosts = defineCommand({
  name: "hosts",
  args: "[selector]",
  example: `ctl hosts
ctl hosts -o wide        with the keys`,
  async run(context, { args }) {
    const { output } = context;
    const session = await openSession(context, { rank: "viewer" });
    const [folder, { views }] = await Promise.all([folderHere(context), session.connect().then(hostViews)]);
    const declared = folder === null ? null : (await folder.load()).fleet;
    const in_folder = [...(declared?.hosts.values() ?? [])];
    const strangers = [...views.values()]
      .filter((view) => !declared?.hosts.has(view.record.name))
      .map(selectable);
    const all = [...in_folder, ...strangers];
    const groups = [...new Set([...(declared?.inventory.groups.keys() ?? []), ...groupsOf(views)])];
    const choice = {
      hosts: all,
      groups,
      connection: () => session.connect(),
      ids: async () => new Map([...views].map(([name, view]) => [name, view.record.id])),
    };
    const picked =
      all.length === 0 ? { names: [], unknown: [] } : await pick(context, choice, args[0] ?? "all");
    tellUnknown(context, picked);
    const { names } = picked;
    const rows = names.map((name): Row => {
      const record = views.get(name)?.record ?? null;
      return {
        name,
        groups: declared?.hosts.get(name)?.groups ?? record?.groups ?? [],
        in_folder: declared === null ? null : declared.hosts.has(name),
        record,
        pinned: folder?.pins.get(name) ?? null,
      };
    });
    if (rows.length === 0) output.line("no hosts yet      ctl join NAME");
    else output.table(rows, COLUMNS);
    output.json(rows);
    // Another machine under a pinned name is the one thing here that is wrong by itself.
    return rows.some((row) => row.record !== null && row.pinned !== null && row.pinned !== row.record.id)
      ? 1
      : 0;
  },
});
