/** Whom an `rpc.all` request is for: judged by each agent against the groups and labels of its own signed manifest. */
import { z } from "zod";
import { GroupName, HostId } from "../names.ts";

export const Filter = z.strictObject({
  ids: z.array(HostId).max(10_000).optional(),
  groups: z.array(GroupName).max(256).optional().describe("In any of these."),
  labels: z.record(z.string(), z.string()).optional().describe("All of these."),
});
export type Filter = z.infer<typeof Filter>;

/** Whether a host is meant: every part that is given must fit. */
export function fits(
  filter: Filter,
  host: { id: string; groups: readonly string[]; labels: Readonly<Record<string, string>> },
): boolean {
  const { ids, groups, labels } = filter;
  return (
    (ids === undefined || ids.includes(host.id)) &&
    (groups === undefined || groups.some((group) => host.groups.includes(group))) &&
    (labels === undefined || Object.entries(labels).every(([label, value]) => host.labels[label] === value))
  );
}
