/** Plans of many hosts as one difference for a person: what changes where, why, what it does, and what guards it. Pure. */

import { FleetError } from "@muster/protocol/errors";
import type { Plan, Step } from "@muster/protocol/plan";
import type { Planned } from "../apply/plans.ts";
import type { Pending, Scope } from "../apply/scope.ts";
import type { Colour } from "../output/colour.ts";
import { countText, listText, windowText } from "../output/words.ts";

const INDENT = "     ";
/** Lines of one difference that are shown; `--json` has all of it. */
const DIFF_LINES = 60;

/** Lines of the whole plan; hosts with the same lines stand together. */
export function planLines(
  planned: readonly Planned[],
  scope: Pick<Scope, "pending" | "not_enrolled">,
  colour: Colour,
): string[] {
  const blocks = new Map<string, { names: string[]; lines: string[] }>();
  const agree: string[] = [];
  // Hosts that plan alike share their steps: of those the lines are made once.
  const stepsLines = new Map<readonly Step[], readonly string[]>();
  const changesOf = (steps: readonly Step[]) => {
    const lines = stepsLines.get(steps) ?? grouped(steps).flatMap((each) => stepLines(each, colour));
    stepsLines.set(steps, lines);
    return lines;
  };
  for (const each of planned) {
    const lines = hostLines(each, changesOf, colour);
    if (lines.length === 0) agree.push(each.target.name);
    if (lines.length === 0) continue;
    const text = lines.join("\n");
    const block = blocks.get(text);
    if (block === undefined) blocks.set(text, { names: [each.target.name], lines });
    else block.names.push(each.target.name);
  }
  const told = [...blocks.values()].flatMap(({ names, lines }) =>
    lines.map((line) => (line.startsWith(INDENT) ? line : `${colour.bold(listText(names))} ${line}`)),
  );
  const same =
    agree.length > 0 ? [`${countText(agree.length, "host")} as in the folder: ${listText(agree)}`] : [];
  return [...told, ...same, ...notEnrolledLines(scope.not_enrolled, colour), ...pendingLines(scope.pending)];
}

/** Names what a command leaves out. */
export function pendingLines(pending: readonly Pending[]): string[] {
  if (pending.length === 0) return [];
  return [`also pending: ${listText(pending.map(({ name, count }) => `${name} (${count})`))}`];
}

export function notEnrolledLines(names: readonly string[], colour: Colour): string[] {
  if (names.length === 0) return [];
  const next = names.length === 1 ? names[0] : names.slice(0, 8).join(" ");
  return [`${colour.amber("not enrolled")}  ${listText(names)}: skipped      ctl join ${next}`];
}

function hostLines(
  planned: Planned,
  changesOf: (steps: readonly Step[]) => readonly string[],
  colour: Colour,
): string[] {
  const { target, plan } = planned;
  const held = target.desired.held_back.map(
    ({ ref, why }) => `${INDENT}${colour.amber("held")}     ${ref}: ${why}`,
  );
  if (plan === null) {
    const what = target.changed ? "its change waits for it" : "nothing is changed for it";
    return [`${colour.red("SILENT")}   it did not answer; ${what}      ctl status`, ...held];
  }
  const refused = plan instanceof FleetError ? [plan] : (plan.refused ?? []).map(refusalText);
  const words = refused.map((why) => `${colour.red("REFUSED")}  ${told(why)}; nothing is sent to it`);
  if (plan instanceof FleetError || words.length > 0) return [...words, ...held];
  const changes = changesOf(plan.steps);
  const more = [...aboutLines(plan), ...held, ...restLines(plan, colour)];
  if (changes.length > 0) return [...changes, ...more];
  if (target.changed) return [`~ nothing to do there, and the new state is signed for it`, ...more];
  const worth = [...held, ...restLines(plan, colour)];
  return worth.length === 0 ? [] : ["= nothing to do", ...worth];
}

const told = (why: FleetError | string) =>
  (typeof why === "string" ? why : why.message).replaceAll("\n", " ");
const refusalText = ({ ref, error }: NonNullable<Plan["refused"]>[number]) =>
  `${ref}: ${FleetError.fromReply(error).message}`;

/** Steps of one resource that follow each other. */
function grouped(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    if (last?.[0]?.ref === step.ref) last.push(step);
    else groups.push([step]);
  }
  return groups;
}

function stepLines(steps: readonly Step[], colour: Colour): string[] {
  const [first] = steps;
  if (first === undefined) return [];
  const sign = steps.some((step) => step.action === "remove")
    ? colour.red("-")
    : steps.some((step) => step.args.makes === true)
      ? colour.green("+")
      : colour.amber("~");
  const whys = [...new Set(steps.map((step) => (step.why === "" ? step.action : step.why)))].join("; ");
  const effects = [...new Set(steps.flatMap((step) => step.effect ?? []))];
  const once = steps.some(
    (step) => !step.reversible && step.action !== "reload" && step.action !== "restart",
  );
  return [
    `${sign} ${first.ref}  ${whys}`,
    ...steps.flatMap((step) => diffLines(step.diff ?? "", colour)),
    ...effects.map((effect) => `${INDENT}${effect}`),
    ...(once ? [`${INDENT}${colour.amber("cannot be undone")}`] : []),
  ];
}

/** The changed lines of a difference, without hunk heads and what is around. */
export function diffLines(diff: string, colour: Colour): string[] {
  const changed = diff.split("\n").filter((line) => /^[+-]/.test(line) || line.startsWith("("));
  const shown = changed.slice(0, DIFF_LINES).map((line) => {
    const text = `${line.slice(0, 1)}  ${line.slice(1)}`.trimEnd();
    const paint = line.startsWith("-") ? colour.red : line.startsWith("+") ? colour.green : null;
    return `${INDENT}  ${paint === null ? line : paint(text)}`;
  });
  const more = changed.length - shown.length;
  return more > 0 ? [...shown, `${INDENT}  (${countText(more, "more line")}: --json)`] : shown;
}

function aboutLines(plan: Plan): string[] {
  const notes = plan.notes.length > 0 ? [`${INDENT}${plan.notes.join("; ")}`] : [];
  return [...notes, ...(plan.guard === null ? [] : [`${INDENT}${guardText(plan.guard)}`])];
}

/** `guard 60 s: upstream, core1 up; imports within 10 %; ssh; a new bus connection`. */
function guardText(guard: NonNullable<Plan["guard"]>): string {
  const sessions = guard.sessions.length > 0 ? [`${listText(guard.sessions)} up`, "imports within 10 %"] : [];
  // The host may say itself what it holds the sessions to.
  const also = guard.also.filter((probe) => !sessions.includes(probe));
  return `guard ${windowText(guard.window_ms)}: ${[...sessions, ...also].join("; ")}`;
}

function restLines(plan: Plan, colour: Colour): string[] {
  return [
    ...plan.drift.map(
      (drift) => `${INDENT}${colour.amber("drift")}    ${drift.ref}: ${drift.what}${driftText(drift.action)}`,
    ),
    ...plan.waiting.map(({ ref, why }) => `${INDENT}${colour.amber("waiting")}  ${ref}: ${why}`),
    ...plan.left.map(({ ref, why }) => `${INDENT}left     ${ref}: ${why}`),
  ];
}

const driftText = (action: Plan["drift"][number]["action"]) =>
  action === "corrected" ? "; it is put back" : "; left as it is, ctl apply --overwrite replaces it";
