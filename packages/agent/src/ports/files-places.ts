/**
 * Where a path truly is, and every other path under which the host knows it: links in its parents followed, file systems that are mounted in several
 * places. A round asks it of each of its resources: what those in one directory have in common is asked and worked out once a turn.
 */
import { realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { isMissing, told } from "./files-errors.ts";
import { aliasesIn, aliasesUnder, mountsNow, seenFrom } from "./files-held.ts";
import { sharedInTurn } from "./turn.ts";

export type Places = {
  /** The path with every link in its parent directories followed, as the host sees it; parents that do not exist stand as written. */
  resolve(path: string): Promise<string>;
  /**
   * Every path under which the host knows this one, itself first: links in its parents followed, and other places where its file system is mounted.
   * With `links` the last part is followed too, if it is a link.
   */
  places(path: string, links?: "follow"): Promise<readonly string[]>;
};

/** Errors of what it gives: FAILED when the prefix is not there, or a link leads out of it. */
export function createPlaces(prefix: string): Places {
  const realpathNow = sharedInTurn(realpathOrNull);

  /** Where a directory of the host is on this machine, and where the prefix is; parts that do not exist as written. */
  const directoryNow = sharedInTurn(async (directory: string) => {
    const root = prefix === "" ? "" : await realpathNow(prefix);
    if (root === null) throw new FleetError("FAILED", `${prefix} is not there`);
    let rest = "";
    for (let at = directory; ; at = dirname(at)) {
      const found = await realpathNow(prefix === "" ? at : prefix + at);
      if (found !== null) return { root, true_path: found === "/" ? rest || "/" : found + rest };
      rest = `/${basename(at)}${rest}`;
    }
  });

  const insideOf = async (path: string) => {
    const { root, true_path } = await directoryNow(dirname(path));
    if (root !== "" && true_path !== root && !true_path.startsWith(`${root}/`))
      throw new FleetError("FAILED", `${path} leads out of ${prefix} by a link`);
    return { root, true_path };
  };

  const aliasesNow = sharedInTurn(async (true_path: string) => aliasesUnder(mountsNow(), true_path));

  return {
    resolve: (path) =>
      told(path, async () => {
        const { root, true_path } = await insideOf(path);
        const inside = true_path.slice(root.length);
        return `${inside === "/" ? "" : inside}/${basename(path)}`;
      }),
    places: (path, links) =>
      told(path, async () => {
        const through = links === undefined ? null : await realpathOrNull(prefix + path);
        if (through !== null) {
          const root = prefix === "" ? "" : ((await realpathNow(prefix)) ?? prefix);
          return [...new Set([path, ...seenFrom(root, aliasesIn(mountsNow(), through))])];
        }
        const { root, true_path } = await insideOf(path);
        const aliases = (await aliasesNow(true_path))(basename(path));
        return [...new Set([path, ...seenFrom(root, aliases)])];
      }),
  };
}

async function realpathOrNull(real: string): Promise<string | null> {
  try {
    return await realpath(real);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
