/**
 * `ctl explain`: of one resource where each field comes from, what it renders to, what the host has, and why it would change. The folder's part needs no
 * log-in and no network; the host is asked unless `--offline` says not to.
 */
import { FleetError } from "@muster/protocol/errors";
import type { Planned } from "../apply/plans.ts";
import { type Explanation, explain as explainResource } from "../inventory/explain.ts";
import type { LoadedFleet } from "../inventory/fleet.ts";
import { problemText } from "../inventory/problem.ts";
import { yamlText } from "../inventory/yaml.ts";
import { errorLines } from "../output/error.ts";
import { countText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { explanationLines, hostLines, renderedLines } from "../report/explanation.ts";
import { type FolderHere, requireFolder } from "../roster/roster.ts";

export const explain = defineCommand({
  name: "explain",
  args: "<host> [ref]",
  options: { offline: { flag: "--offline", help: "the folder only: the host is not asked" } },
  example: `ctl explain ixp1 bird/main            where it is declared, what it becomes, what ixp1 has
ctl explain ixp1 bird/main --offline  without asking ixp1
ctl explain ixp1                      where everything comes from that Muster keeps on it`,
  async run(context, { args, options }) {
    const { output } = context;
    const [host = "", ref] = args;
    const folder = await requireFolder(context);
    const loaded = await folder.load();
    const { fleet, problems } = loaded;
    // A folder with mistakes can be explained too, and often has to be.
    if (problems.length > 0) {
      output.note(output.colour.amber(`the folder has ${countText(problems.length, "mistake")}`));
      for (const problem of problems.slice(0, 5)) output.note(problemText(problem));
    }
    if (ref === undefined) {
      const declared = fleet.hosts.get(host)?.declared.map((each) => `${each.kind}/${each.name}`) ?? [""];
      const explained = declared.map((each) => explainResource(fleet, host, each));
      for (const [at, each] of explained.entries()) {
        if (at > 0) output.line();
        for (const line of explanationLines(each, output.colour)) output.line(line);
      }
      output.json(explained);
      return undefined;
    }
    const explained = explainResource(fleet, host, ref);
    for (const line of explanationLines(explained, output.colour)) output.line(line);
    const rendered = fleet.hosts.get(host)?.resources.find((each) => `${each.kind}/${each.name}` === ref);
    if (rendered !== undefined)
      for (const line of renderedLines(yamlText(rendered.spec), `ctl render ${host} --only ${ref}`, output))
        output.line(line);
    const asked =
      options.offline || problems.length > 0 ? null : await ask(context, folder, loaded, explained);
    if (problems.length > 0 && !options.offline)
      output.note(`${host} is not asked while the folder has mistakes: ctl plan lists them`);
    if (asked !== null)
      for (const line of hostLines(host, asked, output.colour, output.form === "wide")) output.line(line);
    output.json({
      ...explained,
      spec: rendered?.spec ?? null,
      host_says: asked === null ? null : saysJson(asked),
    });
    return asked === null ? undefined : exitOf(context, asked);
  },
});

/** An error does not take away what the folder says. */
async function ask(
  context: Context,
  folder: FolderHere,
  loaded: LoadedFleet,
  { host, ref }: Explanation,
): Promise<Planned | FleetError | "not enrolled"> {
  try {
    const { planOfResource } = await import("../apply/resource.ts");
    return (await planOfResource(context, folder, loaded, host, ref)) ?? "not enrolled";
  } catch (error) {
    if (error instanceof FleetError && error.code !== "CANCELLED") return error;
    throw error;
  }
}

function saysJson(asked: Planned | FleetError | "not enrolled"): unknown {
  if (asked === "not enrolled") return { state: asked };
  if (asked instanceof FleetError) return { state: "not asked", error: asked.toReply() };
  const { plan } = asked;
  if (plan === null) return { state: "silent" };
  if (plan instanceof FleetError) return { state: "refused", error: plan.toReply() };
  return { state: plan.steps.length === 0 ? "agrees" : "differs", plan };
}

/** 3 when it would change, 5 when the host is silent. */
function exitOf({ output }: Context, asked: Planned | FleetError | "not enrolled"): number {
  if (asked === "not enrolled") return EXIT.failed;
  if (asked instanceof FleetError) {
    for (const line of errorLines(asked, output.colour)) output.note(line);
    return asked.exit;
  }
  if (asked.plan === null) return EXIT.unreachable;
  if (asked.plan instanceof FleetError || (asked.plan.refused ?? []).length > 0) return EXIT.failed;
  return asked.plan.steps.length === 0 ? EXIT.done : EXIT.changes;
}
