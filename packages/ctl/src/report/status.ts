/** How hosts stand, as a table, as lines with what is wrong, and for scripts. Pure. */
import type { HostStatus } from "@muster/view/status";
import type { Colour } from "../output/colour.ts";
import type { Column } from "../output/table.ts";
import { durationText, listText } from "../output/words.ts";

export function statusColumns(now_ms: number, colour: Colour): Column<HostStatus>[] {
  const paint = { red: colour.red, amber: colour.amber, green: colour.green, grey: colour.dim };
  return [
    { title: "HOST", value: ({ known }) => known.name },
    { title: "GROUPS", value: ({ known }) => listText(known.groups) },
    { title: "STATE", value: (row) => paint[row.tint](row.word) },
    {
      title: "GENERATION",
      value: ({ known }) => String(known.convergence?.generation ?? "-"),
      align: "right",
    },
    {
      title: "SESSIONS",
      value: ({ sessions, known }) => {
        if (sessions === null) return known.bgp === null || known.silent ? "-" : colour.red("?");
        const text = `${sessions.up}/${sessions.expected}`;
        if (sessions.up === sessions.expected) return text;
        return sessions.up + (sessions.drained ?? 0) < sessions.expected
          ? colour.red(text)
          : colour.amber(text);
      },
      align: "right",
    },
    {
      title: "CERTIFICATES",
      value: ({ soonest }) =>
        soonest === null
          ? "-"
          : soonest.not_after <= now_ms
            ? colour.red("ended")
            : durationText(soonest.not_after - now_ms),
      align: "right",
    },
    { title: "AGENT", value: ({ known }) => known.agent_version ?? "-" },
    {
      title: "HEARD",
      value: ({ known }) => (known.heard_at === null ? "never" : durationText(now_ms - known.heard_at)),
      align: "right",
      wide: true,
    },
    { title: "ID", value: ({ known }) => known.id ?? "-", wide: true },
  ];
}

/** Lines below the table: red ones first, each with the next command. */
export function troubleLines(rows: readonly HostStatus[], colour: Colour): string[] {
  const all = rows.flatMap((row) => row.troubles.map((trouble) => ({ name: row.known.name, ...trouble })));
  return (["red", "amber"] as const).flatMap((tint) =>
    all
      .filter((each) => each.tint === tint)
      .map(({ name, what, next }) => `${colour[tint](name)}  ${what.replaceAll("\n", " ")}      ${next}`),
  );
}

/** 0 all fine, 1 something is red, 5 nothing answered. */
export function statusExit(rows: readonly HostStatus[]): number {
  const enrolled = rows.filter((row) => row.known.enrolled);
  if (enrolled.length > 0 && enrolled.every((row) => row.state === "silent")) return 5;
  return rows.some((row) => row.tint === "red" || row.troubles.some((trouble) => trouble.tint === "red"))
    ? 1
    : 0;
}

/** For scripts. */
export function statusJson(row: HostStatus): object {
  const { known, state, sessions, troubles, tint } = row;
  return {
    host: known.name,
    id: known.id,
    groups: known.groups,
    state,
    colour: tint,
    heard_at: known.heard_at,
    since: known.convergence?.since ?? null,
    generation: known.convergence?.generation ?? null,
    content_hash: known.convergence?.content_hash ?? null,
    signed_generation: known.signed_generation,
    detail: known.convergence?.detail ?? "",
    error: known.convergence?.error ?? null,
    sessions,
    certificates: Object.fromEntries(
      known.certificates.map(({ name, not_after }) => [name, new Date(not_after).toISOString()]),
    ),
    agent_version: known.agent_version,
    last_apply_ms: known.convergence?.last_apply_ms ?? null,
    drift: known.convergence?.drift ?? [],
    held: known.convergence?.held ?? [],
    drained: known.convergence?.drained ?? null,
    troubles,
  };
}
