/** The files of kind `bird`: where they lie, whose they are, what the configuration includes, and the candidate for BIRD's own check. */
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { contentHash, sha256 } from "@muster/protocol/canonical";
import { type DeclaredBird, declaredSessions, MUSTER_INCLUDE } from "../bird/declared.ts";
import type { Attributes, Files } from "../ports/files.ts";
import type { Ports } from "../ports/index.ts";
import type { CheckResult } from "../ports/routing.ts";

export const BIRD_DIRECTORY = "/etc/bird";
/** What the next boot loads. Only a confirmed configuration gets here. */
export const BOOT_FILE = `${BIRD_DIRECTORY}/bird.conf`;
export const MUSTER_FILE = MUSTER_INCLUDE;
export const musterText = (drained: boolean) =>
  `# Written by Muster: true while this host is drained.\ndefine muster_drain = ${drained};\n`;
/** What a muster.conf says. */
export const saysDrained = (text: string) => /^\s*define\s+muster_drain\s*=\s*true\s*;/m.test(text);
/** Debian's; the agent writes, BIRD reads, and passwords stand in it. */
export const FRESH_ATTRIBUTES: Attributes = { owner: "root", group: "bird", mode: "0640" };
export const CONFIG_BYTES = 1024 * 1024;

/** The path that is loaded unconfirmed, and the one it gets when its confirmation begins. */
export const versionedFile = (generation: number) => `${BIRD_DIRECTORY}/bird.${generation}.conf`;
export const confirmingFile = (generation: number) =>
  `${BIRD_DIRECTORY}/.muster-confirming.${generation}.conf`;
const LEFTOVER = /^(bird\.\d+\.conf|\.muster-(check|confirming)\..*\.conf)$/;

const INCLUDES_LIMIT = 200;
const INCLUDED_BYTES = 4 * 1024 * 1024;
const PATTERN = /[*?[]/;

/** Every text that the configuration includes, by the path or pattern as written; null = cannot be had. */
export type Includes = Readonly<Record<string, string | null>>;

/** Reads included files, those of included files too. Bounded; what is beyond is null. */
export async function readIncludes(text: string, files: Files): Promise<Includes> {
  const found: Record<string, string | null> = {};
  let bytes = 0;
  for (;;) {
    const missing = declaredSessions(text, (path) => found[path] ?? null).includes.filter(
      (path) => !(path in found),
    );
    if (missing.length === 0) return found;
    for (const path of new Set(missing)) {
      const within = Object.keys(found).length < INCLUDES_LIMIT && bytes < INCLUDED_BYTES;
      const read = within ? await readIncluded(path, files) : null;
      bytes += read?.length ?? 0;
      found[path] = read;
    }
  }
}

/** Whether all that was included is still what it was. */
export async function stillSo(includes: Includes, files: Files): Promise<boolean> {
  const now = await Promise.all(Object.keys(includes).map((path) => readIncluded(path, files)));
  return Object.values(includes).every((text, at) => text === now[at]);
}

/** What stands in a text with its includes. */
export function declaredIn(text: string, includes: Includes): DeclaredBird {
  return declaredSessions(text, (path) => includes[path] ?? null);
}

/**
 * Included files that cannot be had: BIRD refuses the whole then, and goes on with what it has. A pattern that nothing matches is fine with it; muster.conf declares
 * no session, and comes with the first apply.
 */
export function missingIn(includes: Includes): string[] {
  return Object.keys(includes)
    .filter((path) => includes[path] === null && !PATTERN.test(path))
    .map(absolute)
    .filter((path) => path !== MUSTER_FILE);
}

/** The names that an include may mean, on disk. */
export function includedPaths(includes: Includes): string[] {
  return Object.keys(includes).map(absolute);
}

/**
 * Whether this host's own BIRD takes the text: written beside the boot file, since relative includes count from there, and removed again.
 * An answer is remembered as long as text, includes and BIRD are the same. BIRD's words name the file `bird.conf`.
 */
export async function checkConfig(
  text: string,
  about: { readonly version: string; readonly includes: Includes; readonly attributes: Attributes },
  { files, routing }: Pick<Ports, "files" | "routing">,
  signal: AbortSignal,
): Promise<CheckResult> {
  const key = contentHash({ text: sha256(text), version: about.version, includes: about.includes });
  const known = routing.checked(key);
  if (known !== null) return named(known);
  const has_constant = about.includes[MUSTER_FILE] !== null;
  // The drain constant is written by the first apply; a plan must not write it.
  const checked = has_constant ? text : text.replaceAll(MUSTER_LINE, "define muster_drain = false;");
  const candidate = `${BIRD_DIRECTORY}/.muster-check.${randomBytes(6).toString("hex")}.conf`;
  try {
    await files.replace(candidate, Buffer.from(checked), about.attributes);
    return named(await routing.check(files.real(candidate), key, signal));
  } finally {
    await files.remove(candidate);
  }
}

/** A remembered answer names the candidate of its own time. */
const named = (result: CheckResult): CheckResult =>
  result.ok ? result : { ok: false, words: result.words.replace(CANDIDATE, "bird.conf") };
const CANDIDATE = /[^\s"':]*\/\.muster-check\.[0-9a-f]+\.conf/g;

/** BIRD's words with the file called by the name that people know. */
export function nameBootFile(words: string, real: string): string {
  return words.replaceAll(real, "bird.conf");
}

/** Removes versioned files and candidates of changes that are over. */
export async function removeLeftovers(files: Files): Promise<void> {
  for (const name of await files.list(BIRD_DIRECTORY)) {
    if (LEFTOVER.test(name)) await files.remove(`${BIRD_DIRECTORY}/${name}`);
  }
}

const MUSTER_LINE = /include\s+"\/etc\/bird\/muster\.conf"\s*;/g;

async function readIncluded(path: string, files: Files): Promise<string | null> {
  const target = absolute(path);
  if (!PATTERN.test(target)) return readText(target, files);
  const directory = dirname(target);
  const pattern = globPattern(target.slice(directory.length + 1));
  const texts: string[] = [];
  for (const name of (await files.list(directory)).slice(0, INCLUDES_LIMIT * 10)) {
    if (!pattern.test(name) || texts.length >= INCLUDES_LIMIT) continue;
    texts.push((await readText(`${directory}/${name}`, files)) ?? "");
  }
  return texts.length === 0 ? null : texts.join("\n");
}

async function readText(path: string, files: Files): Promise<string | null> {
  const facts = await files.facts(path);
  if (facts === null || facts.type === "directory" || facts.type === "other") return null;
  if (facts.size_bytes > CONFIG_BYTES) return null;
  return (await files.read(path, INCLUDED_BYTES, "follow"))?.toString("utf8") ?? null;
}

const absolute = (path: string) => (path.startsWith("/") ? path : `${BIRD_DIRECTORY}/${path}`);

/** As glob(7) reads one name: no pattern takes a leading dot. */
function globPattern(name: string): RegExp {
  const body = name
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".")
    .replaceAll("[!", "[^");
  return new RegExp(`^(?!\\.)${body}$`);
}
