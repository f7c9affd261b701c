/** `ctl host rename` in the fleet folder: hosts.yml, the host's own files, and its pin. What is done is found done. */
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { writeChanged } from "../fleet/disk.ts";
import { type Pins, savePins } from "../fleet/pins.ts";
import { readFolder } from "../inventory/folder.ts";
import { type Place, Problems, placeText, problemText } from "../inventory/problem.ts";
import { mentionsOf, renameInHosts } from "../inventory/rename.ts";

export type Names = { readonly from: string; readonly to: string };

type Plan = {
  /** Path below the root → its new text. */
  readonly texts: ReadonlyMap<string, string>;
  /** Paths below the root: old, new. */
  readonly moves: readonly (readonly [string, string])[];
};

/** What would change. Errors: INVENTORY where hosts.yml cannot be read, or the host comes from a range; CONFLICT where the new name is used. */
export async function planFolder(root: string, names: Names): Promise<Plan> {
  const problems = new Problems();
  const { files } = await readFolder(root, problems);
  const { from, to } = names;
  const texts = new Map<string, string>();
  for (const file of ["hosts.yml", "hosts.yaml"]) {
    const text = files.get(file);
    if (text == null) continue;
    const done = renameInHosts(file, text, names, problems);
    if (done.changed > 0 && done.taken)
      throw new FleetError("CONFLICT", `${file} has a host or a group ${to} already`);
    const [range] = done.ranges;
    if (range !== undefined)
      throw new FleetError(
        "INVENTORY",
        `\n${placeText(range)}: ${from} comes from this range: take it out, and give it a line of its own`,
      );
    if (done.changed > 0) texts.set(file, done.text);
  }
  if (problems.size > 0)
    throw new FleetError("INVENTORY", `\n${problems.list().map(problemText).join("\n")}`);
  const own = new RegExp(`^(host_vars|resources)/${from}(?=$|/|\\.ya?ml$|\\.json$)`);
  const moves = [...files.keys()].flatMap((path) => {
    const next = path.replace(own, `$1/${to}`);
    return next === path ? [] : [[path, next] as const];
  });
  const both = moves.find(([, next]) => files.has(next));
  if (both !== undefined)
    throw new FleetError("CONFLICT", `${both[0]} and ${both[1]} are both there: keep one`);
  return { texts, moves };
}

/** Does it. Returns what was changed, and where the old name still stands. */
export async function renameInFolder(
  root: string,
  pins: Pins,
  id: string,
  names: Names,
): Promise<{ changed: readonly string[]; mentions: readonly Place[] }> {
  const { texts, moves } = await planFolder(root, names);
  const changed: string[] = [];
  for (const [file, text] of texts) if (await writeChanged(join(root, file), text, 0o644)) changed.push(file);
  for (const [path, next] of directoriesOf(moves)) {
    await rename(join(root, path), join(root, next));
    changed.push(next);
  }
  const kept = [...pins].filter(([name]) => name !== names.from && name !== names.to);
  const pinned = pins.has(names.from) || pins.has(names.to);
  if (pinned && (await savePins(root, new Map([...kept, [names.to, id]])))) changed.push("hosts.lock");
  const { files } = await readFolder(root, new Problems());
  return { changed, mentions: mentionsOf(names.from, files) };
}

/** A directory of the host's own goes as one. */
function directoriesOf(moves: Plan["moves"]): Plan["moves"] {
  const short = ([old, next]: readonly [string, string]) =>
    [old.split("/").slice(0, 2).join("/"), next.split("/").slice(0, 2).join("/")] as const;
  return [...new Map(moves.map(short))];
}
