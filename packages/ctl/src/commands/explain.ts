/** `ctl explain`: where each field of a host's resource came from. Needs no log-in and no network. */
import { explain as explainResource } from "../inventory/explain.ts";
import { problemText } from "../inventory/problem.ts";
import { countText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { explanationLines } from "../report/explanation.ts";
import { requireFolder } from "../roster/roster.ts";

export const explain = defineCommand({
  name: "explain",
  args: "<host> [ref]",
  example: `ctl explain ixp1 bird/main
ctl explain ixp1               what Muster keeps on it`,
  async run(context, { args }) {
    const { output } = context;
    const [host = "", ref] = args;
    const { fleet, problems } = await (await requireFolder(context)).load();
    // A folder with mistakes can be explained too, and often has to be.
    if (problems.length > 0) {
      output.note(output.colour.amber(`the folder has ${countText(problems.length, "mistake")}`));
      for (const problem of problems.slice(0, 5)) output.note(problemText(problem));
    }
    const refs =
      ref === undefined
        ? (fleet.hosts.get(host)?.declared.map((each) => `${each.kind}/${each.name}`) ?? [""])
        : [ref];
    const explained = refs.map((each) => explainResource(fleet, host, each));
    for (const [at, each] of explained.entries()) {
      if (at > 0) output.line();
      for (const line of explanationLines(each, output.colour)) output.line(line);
    }
    output.json(ref === undefined ? explained : explained[0]);
    return undefined;
  },
});
