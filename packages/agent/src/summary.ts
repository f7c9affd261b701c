/** The convergence sample of a round, pure: what state the host is in, and what a person should read. */
import type { Convergence, Manifest } from "@muster/protocol";
import type { Applied } from "./apply.ts";
import type { Round } from "./round.ts";

const DETAIL_LIMIT = 4_000;

export function summarise(
  round: Round,
  applied: Applied,
  manifest: Manifest,
  told: { since(ref: string): number; returned_generation: number | null },
): Partial<Omit<Convergence, "at" | "since">> {
  const failed = new Map<string, { what: string; code: string }>();
  for (const each of applied.failures) failed.set(each.ref, { what: each.what, code: each.code });
  const waiting = new Map(round.planned.waiting.map(({ ref, why }) => [ref, why]));
  for (const { ref, decision, observed } of round.looked) {
    if (failed.has(ref)) continue;
    if (decision.action === "keep" && decision.error !== "HELD")
      failed.set(ref, { what: decision.why, code: decision.error });
    else if ("error" in observed)
      failed.set(ref, { what: observed.error.message, code: observed.error.code });
    else if (decision.action !== "keep" && waiting.has(ref))
      failed.set(ref, { what: waiting.get(ref) ?? "", code: "UNSUPPORTED" });
  }
  for (const { ref, why } of round.planned.unwell)
    if (!failed.has(ref)) failed.set(ref, { what: why, code: "FAILED" });
  const held = round.looked.filter(({ decision }) => decision.action === "keep" && decision.error === "HELD");
  const managed: Record<string, number> = {};
  for (const { resource } of round.looked) managed[resource.kind] = (managed[resource.kind] ?? 0) + 1;
  const troubles = [...failed].slice(0, 200).map(([ref, { what }]) => ({
    ref,
    what: what.slice(0, 2_000),
    since: told.since(ref),
  }));
  const [first] = failed;
  const undone = [...failed.values()].some(({ code }) => code === "UNDONE");
  // As of this round: the word to return may have come in its middle, and nothing of that is done yet.
  const returned = told.returned_generation !== null;
  const convergence: Convergence["state"] = undone
    ? "undone"
    : failed.size > 0
      ? "failed"
      : returned
        ? "returned"
        : "converged";
  const more = failed.size > 1 ? ` (and ${failed.size - 1} more)` : "";
  const detail =
    first !== undefined
      ? `${first[1].code === "UNDONE" ? "" : `${first[0]}: `}${first[1].what}${more}`
      : returned
        ? `generation ${manifest.generation}, returned to the content of ${told.returned_generation}`
        : held.length > 0
          ? `${held.length} held`
          : "";
  return {
    state: convergence,
    generation: manifest.generation,
    content_hash: round.plan.content_hash,
    release: manifest.release.id,
    detail: detail.slice(0, DETAIL_LIMIT),
    error: first?.[1].code ?? null,
    resources: { total: round.looked.length, ok: round.looked.length - failed.size - held.length, managed },
    troubles,
    drift: round.plan.drift.slice(0, 200),
    ...(round.plan.steps.length > 0 ? { last_apply_ms: applied.took_ms } : {}),
  };
}
