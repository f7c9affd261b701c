/**
 * Hosts and groups by hosts.yml alone, for commands that need no more. Of a large fleet the result is kept beside the person's profile under the text's
 * hash: reading a thousand hosts takes longer than asking a controller about them (200 ms against 100). Losing it costs time and nothing else.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readText, writeText } from "../fleet/disk.ts";
import type { Selectable } from "../inventory/selectors.ts";

export type Declared = { readonly hosts: readonly Selectable[]; readonly groups: readonly string[] };

/** Smaller ones are read as fast as they are looked up. */
const WORTH_BYTES = 16_384;

const Kept = z.strictObject({
  hash: z.string(),
  hosts: z.array(z.tuple([z.string(), z.array(z.string())])),
  groups: z.array(z.string()),
});

/** Null where the file is not there or has mistakes. `home` is where profiles are. */
export async function declaredAtAGlance(root: string, home: string): Promise<Declared | null> {
  const text = await readText(join(root, "hosts.yml"));
  if (text === null) return null;
  if (text.length < WORTH_BYTES) return read(text);
  const hash = createHash("sha256").update(text).digest("hex");
  const place = createHash("sha256").update(root).digest("hex").slice(0, 16);
  const file = join(home, ".hosts", `${place}.json`);
  const kept = await lookUp(file, hash);
  if (kept !== null) return kept;
  const declared = await read(text);
  if (declared !== null) await keep(file, hash, declared);
  return declared;
}

async function read(text: string): Promise<Declared | null> {
  const [{ groupNamesOf, readHosts }, { readYaml }, { Problems }] = await Promise.all([
    import("../inventory/hosts.ts"),
    import("../inventory/yaml.ts"),
    import("../inventory/problem.ts"),
  ]);
  const problems = new Problems();
  const inventory = readHosts(readYaml("hosts.yml", text, "ansible", problems), problems);
  if (problems.size > 0) return null;
  const hosts = [...inventory.hosts.values()].map((host) => ({
    name: host.name,
    groups: groupNamesOf(inventory, host),
    labels: {},
  }));
  return { hosts, groups: [...inventory.groups.keys()] };
}

async function lookUp(file: string, hash: string): Promise<Declared | null> {
  try {
    const kept = Kept.parse(JSON.parse(await readFile(file, "utf8")));
    if (kept.hash !== hash) return null;
    const hosts = kept.hosts.map(([name, groups]) => ({ name, groups, labels: {} }));
    return { hosts, groups: kept.groups };
  } catch {
    // Not there, or not ours: hosts.yml is read.
    return null;
  }
}

async function keep(file: string, hash: string, { hosts, groups }: Declared): Promise<void> {
  try {
    await writeText(
      file,
      JSON.stringify({ hash, hosts: hosts.map(({ name, groups: of }) => [name, of]), groups }),
    );
  } catch {
    // A read-only home, a full disk: the next run reads again.
  }
}
