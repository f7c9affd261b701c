/** Owner, group and mode, as the kinds that have them compare and print them. */
import type { Attributes, FileFacts } from "../ports/files.ts";

/** As declared, the mode in four digits. */
export function attributesOf(spec: Attributes): Attributes {
  return { owner: spec.owner, group: spec.group, mode: spec.mode.padStart(4, "0") };
}

/** What differs, for the operator: "owner root → bird, mode 0644 → 0640"; "" when nothing does. */
export function attributeChange(found: Attributes, wanted: Attributes): string {
  return (["owner", "group", "mode"] as const)
    .filter((key) => found[key] !== wanted[key])
    .map((key) => `${key} ${found[key]} → ${wanted[key]}`)
    .join(", ");
}

/** Reads the three out of a step's arguments. */
export function attributeArgs(args: Readonly<Record<string, unknown>>): Attributes {
  return { owner: String(args.owner), group: String(args.group), mode: String(args.mode) };
}

export function pick(facts: FileFacts): Attributes {
  return { owner: facts.owner, group: facts.group, mode: facts.mode };
}

/** "edited by root 03:12" in UTC, from the file's owner and time: the file system does not know more. */
export function editWords(facts: Pick<FileFacts, "owner" | "changed_ms"> | null): string {
  if (facts === null) return "removed by hand";
  return `edited by ${facts.owner} ${new Date(facts.changed_ms).toISOString().slice(11, 16)}`;
}
