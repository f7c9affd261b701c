/** How many hosts there are, and how many of each colour. */
import type { Judged } from "@muster/view/judge";
import type { Tint } from "@muster/view/status";
import { countText } from "@muster/view/words";
import { State } from "./state.tsx";

const TINTS = ["red", "amber", "grey", "green"] as const;

export function Counts({ hosts }: { hosts: readonly Pick<Judged, "worst">[] }) {
  const counts: Record<Tint, number> = { red: 0, amber: 0, grey: 0, green: 0 };
  for (const { worst } of hosts) counts[worst] += 1;
  return (
    <span class="counts">
      {countText(hosts.length, "host")}
      {TINTS.map((tint) =>
        counts[tint] === 0 ? null : <State key={tint} tint={tint} word={String(counts[tint])} />,
      )}
    </span>
  );
}
