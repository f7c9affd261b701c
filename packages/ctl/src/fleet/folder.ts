/** Which fleet the folder is of that the person stands in. Reads one line of muster.yml: a command that needs no more should not load it all. */
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { findFleetFolder } from "../inventory/folder.ts";
import { readText } from "./disk.ts";

/** The fleet's name as muster.yml says it, or null when there is no folder around, or no name in it that can be read at a glance. */
export async function fleetOfFolder(cwd: string): Promise<string | null> {
  const root = await findFleetFolder(cwd);
  if (root === null) return null;
  const text = await readText(join(root, "muster.yml"));
  return /^fleet:[ \t]*["']?([a-z0-9][a-z0-9-]{0,30})["']?[ \t]*(#.*)?$/m.exec(text ?? "")?.[1] ?? null;
}

/**
 * Refuses names that the folder around `cwd` does not have in hosts.yml; without a folder every name will do.
 * Errors: NOT_FOUND with what may have been meant; INVENTORY when hosts.yml cannot be read.
 */
export async function checkHosts(cwd: string, names: readonly string[]): Promise<void> {
  const root = await findFleetFolder(cwd);
  if (root === null || names.length === 0) return;
  const [{ readHosts }, { readYaml }, { Problems, problemText, suggest }] = await Promise.all([
    import("../inventory/hosts.ts"),
    import("../inventory/yaml.ts"),
    import("../inventory/problem.ts"),
  ]);
  const file = (await readText(join(root, "hosts.yml"))) === null ? "hosts.yaml" : "hosts.yml";
  const text = await readText(join(root, file));
  if (text === null) throw new FleetError("NOT_FOUND", `${root} has no hosts.yml`);
  const problems = new Problems();
  const { hosts } = readHosts(readYaml(file, text, "ansible", problems), problems);
  if (problems.size > 0)
    throw new FleetError("INVENTORY", `\n${problems.list().map(problemText).join("\n")}`);
  const unknown = names.filter((name) => !hosts.has(name));
  if (unknown.length > 0) {
    const list = unknown.map((name) => `${name}${suggest(name, hosts.keys())}`).join(", ");
    throw new FleetError("NOT_FOUND", `${list}: not in ${file}, which says what the fleet consists of`);
  }
}

/** Prefixes that some host of the folder announces (variable `announce`); none without a folder, or where it cannot be read. */
export async function announcedNetworks(cwd: string): Promise<string[]> {
  const root = await findFleetFolder(cwd);
  if (root === null) return [];
  const { readdir } = await import("node:fs/promises");
  const networks = new Set<string>();
  for (const folder of ["host_vars", "group_vars"]) {
    const names = await readdir(join(root, folder)).catch(() => []);
    for (const name of names) {
      const text = (await readText(join(root, folder, name)).catch(() => null)) ?? "";
      // A hint for a warning: the loader's exact reading is not worth failing `ctl init` for.
      for (const block of text.match(/^announce:.*(\n[ \t-].*)*/gm) ?? []) {
        for (const [network] of block.matchAll(/[0-9A-Fa-f:.]+\/\d{1,3}/g)) networks.add(network);
      }
    }
  }
  return [...networks];
}
