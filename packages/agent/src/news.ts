/** The events of a round: each thing is told once, until it changes. */
import type { Manifest } from "@muster/protocol";
import type { Applied } from "./apply.ts";
import type { Events } from "./events.ts";
import type { Round } from "./round.ts";

export class News {
  readonly #events: Pick<Events, "tell">;
  /** What was told and still holds, by kind of event and resource. */
  #told: ReadonlyMap<string, string> = new Map();

  constructor(events: Pick<Events, "tell">) {
    this.#events = events;
  }

  tell(round: Round, applied: Applied, manifest: Manifest): void {
    const events = this.#events;
    for (const looked of round.looked) {
      const { ref, decision } = looked;
      if (decision.action !== "correct") continue;
      const good = applied.done.includes(ref);
      const steps = round.plan.steps.filter((step) => step.ref === ref);
      const diff = steps.flatMap((step) => step.diff ?? []).join("");
      events.tell({
        kind: "drift",
        severity: good ? "warning" : "error",
        what: `${ref} ${editWords(looked)}: ${good ? "put back" : "could not be put back"}`,
        ref,
        ...(diff === "" ? {} : { diff: diff.slice(0, 65_536) }),
      });
    }
    const news = new Map<string, string>();
    for (const drift of round.plan.drift) news.set(`drift ${drift.ref}`, `${drift.ref} ${drift.what}: left`);
    for (const { ref, concern } of round.looked)
      if (concern !== null) news.set(`concern ${ref}`, `${ref}: ${concern}`);
    for (const failure of applied.failures)
      news.set(`resource ${failure.ref}`, `${failure.ref}: ${failure.what}`);
    for (const { ref, why } of round.planned.unwell) news.set(`resource ${ref}`, `${ref}: ${why}`);
    for (const { ref, decision } of round.looked) {
      // A hold is told by who made it, an undone change by its guard.
      if (decision.action === "keep" && decision.error !== "HELD" && decision.error !== "UNDONE")
        news.set(`resource ${ref}`, `${ref}: ${decision.why}`);
    }
    for (const [key, what] of news) {
      if (this.#told.get(key) === what) continue;
      const [kind = "", ref = ""] = [key.slice(0, key.indexOf(" ")), key.slice(key.indexOf(" ") + 1)];
      const undone = applied.undone.find((each) => each.ref === ref);
      if (undone !== undefined) {
        const seconds = Math.round(undone.took_ms / 1_000);
        const what = `${ref} was undone after ${seconds} s: ${undone.why}`;
        events.tell({ kind: "guard", severity: "error", what, ref });
      } else
        events.tell({
          kind: kind === "drift" ? "drift" : "resource",
          severity: kind === "resource" ? "error" : "warning",
          what,
          ref,
        });
    }
    const changed = applied.done.length;
    this.#told = news;
    if (
      changed > 0 &&
      round.looked.some((each) => each.decision.action === "apply" && applied.done.includes(each.ref))
    ) {
      events.tell({
        kind: "convergence",
        severity: "info",
        what: `generation ${manifest.generation}: ${changed} resources changed in ${applied.took_ms} ms${applied.failures.length > 0 ? `, ${applied.failures.length} failed` : ""}`,
      });
    }
  }
}

const editWords = (looked: Round["looked"][number]) =>
  looked.edited_what === "" ? "was changed by hand" : looked.edited_what;
