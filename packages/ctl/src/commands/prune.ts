/** `ctl host prune`: what a host keeps though it is no longer declared, volumes and packages; shown, asked about, removed for good. */
import { callOne } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import { splitRef } from "@muster/protocol/resources/index";
import { oneHost } from "../maintenance/host.ts";
import { countText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import { openSession } from "../session/session.ts";

export const prune = defineCommand({
  name: "prune",
  summary: "remove for good what a host keeps though it is no longer declared",
  args: "<host>",
  options: {
    only: { flag: "--only <refs>", help: "a kind, or kind/name, with commas: volume,package/htop" },
  },
  example: `ctl host prune core1                     volumes and packages: shows, asks, removes
ctl host prune core1 --only volume/old -y`,
  async run(context, { args, options }) {
    const session = await openSession(context, { rank: "operator" });
    const connection = await session.connect();
    const host = await oneHost(context, connection, args[0] ?? "");
    const { output, signal } = context;
    output.begin(session.fleet, session.person);
    const { kept } = await callOne(connection, host.id, "prune", { refs: [] }, { signal });
    const words = options.only?.split(",").map((word) => word.trim());
    const meant = (ref: string) =>
      words === undefined || words.some((word) => word === ref || word === splitRef(ref).kind);
    const unknown = words?.filter(
      (word) => !kept.some(({ ref }) => word === ref || word === splitRef(ref).kind),
    );
    const shown = kept.filter(({ ref }) => meant(ref));
    const going = shown.filter(({ removable }) => removable).map(({ ref }) => ref);
    for (const { what } of shown.filter(({ removable }) => removable))
      output.line(`${host.name} ${output.colour.red("-")} ${what}`);
    for (const { what } of shown.filter(({ removable }) => !removable))
      output.line(`${host.name}   stays: ${what}`);
    if (unknown !== undefined && unknown.length > 0)
      throw new FleetError(
        "USAGE",
        `${unknown.join(", ")}: nothing of that is kept on ${host.name}${kept.length === 0 ? "" : `; there are ${kept.map(({ ref }) => ref).join(", ")}`}`,
      );
    if (going.length === 0) {
      output.line(`${host.name}  nothing to remove`);
      output.json({ host: host.name, kept: shown, removed: [], failed: [] });
      return EXIT.done;
    }
    if (!(await output.confirm(`Remove ${countText(going.length, "thing")} of ${host.name} for good?`)))
      return EXIT.failed;
    const progress = output.progress(`${host.name} removes`);
    const done = await callOne(connection, host.id, "prune", { refs: going }, { signal }).finally(() =>
      progress.done(),
    );
    for (const ref of done.removed) output.line(`${host.name}  ${ref} is gone`);
    for (const { ref, error } of done.failed)
      output.line(`${output.colour.red(host.name)}  ${ref} is still there: ${error.detail}`);
    output.json({ host: host.name, kept: shown, removed: done.removed, failed: done.failed });
    if (done.failed.length === 0) return EXIT.done;
    return done.removed.length > 0 ? EXIT.partly : EXIT.failed;
  },
});
