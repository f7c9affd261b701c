/**
 * A container's files on the host: `/var/lib/muster/containers/NAME/SLOT/…`, mounted read-only. A container has one slot for its life, so that the
 * one which is kept while another takes over still has its own files. Files are replaced one by one, by rename; the container is told after.
 */
import { BLOB_BYTES } from "@muster/protocol/blob";
import { contentHash } from "@muster/protocol/canonical";
import type { Container } from "@muster/protocol/resources/container";
import type { Blobs } from "../ports/blobs.ts";
import type { Files } from "../ports/files.ts";
import { type FileState, filesOf, identityOf } from "./container-identity.ts";

const ROOT = "/var/lib/muster/containers";
const OWNER = { owner: "root", group: "root" } as const;
const FOLDER = { ...OWNER, mode: "0755" } as const;
const EMPTY = new Uint8Array();

const homeOf = (name: string) => `${ROOT}/${name}`;
const loadedFile = (name: string) => `${homeOf(name)}/loaded`;

/** The slot of a new container of this spec. */
export const slotOf = (spec: Container): string =>
  contentHash({ identity: identityOf(spec), files: filesOf(spec) }).slice(0, 16);

/** Where a path of the container lies on the host. */
export function placeOf(name: string, slot: string, spec: Pick<Container, "files">, path: string): string {
  const target = Object.keys(spec.files).find((each) => path === each || path.startsWith(`${each}/`)) ?? path;
  return `${folderOf(name, slot, target)}${path.slice(target.length)}`;
}

const folderOf = (name: string, slot: string, target: string) =>
  `${homeOf(name)}/${slot}/${target.slice(1).replaceAll("%", "%25").replaceAll("/", "%")}`;

/** Real directory of each target. */
export const foldersOf = (name: string, slot: string, spec: Container, files: Files): Map<string, string> =>
  new Map(Object.keys(spec.files).map((target) => [target, files.real(folderOf(name, slot, target))]));

/** What stands in a slot, by the path in the container. */
export async function readSlot(
  name: string,
  slot: string,
  spec: Container,
  files: Files,
): Promise<Record<string, FileState>> {
  const found: Record<string, FileState> = {};
  const walk = async (directory: string, inner: string): Promise<void> => {
    for (const each of await files.list(directory)) {
      const at = `${directory}/${each}`;
      const looked = await files.look(at, BLOB_BYTES);
      if (looked === null) continue;
      const { facts, sha256 } = looked;
      if (facts.type === "directory") await walk(at, `${inner}/${each}`);
      else {
        const held = facts.type === "file" ? (sha256 ?? "too large") : facts.type;
        found[`${inner}/${each}`] = { sha256: held, mode: facts.mode };
      }
    }
  };
  for (const target of Object.keys(spec.files)) await walk(folderOf(name, slot, target), target);
  return found;
}

/** What is to stand at a path: its content, and what tells whether it stands there already. */
export type SlotFile = FileState & { readonly content: Uint8Array | AsyncIterable<Uint8Array> };
export type SlotFiles = ReadonlyMap<string, SlotFile>;

/** What stands in a slot and is about to change, to be put back; the rest by its hash alone. */
export async function keepSlot(
  name: string,
  slot: string,
  spec: Container,
  files: Files,
): Promise<SlotFiles> {
  const wanted = filesOf(spec);
  const kept = new Map<string, SlotFile>();
  for (const [path, state] of Object.entries(await readSlot(name, slot, spec, files))) {
    const stays = wanted[path]?.sha256 === state.sha256;
    const bytes = stays ? EMPTY : await files.read(placeOf(name, slot, spec, path), BLOB_BYTES);
    if (bytes !== null) kept.set(path, { ...state, content: bytes });
  }
  return kept;
}

/** Writes a slot as declared: what differs, and away with what is more. */
export async function writeSlot(
  name: string,
  slot: string,
  spec: Container,
  wanted: SlotFiles,
  files: Files,
): Promise<void> {
  const there = await readSlot(name, slot, spec, files);
  for (const target of Object.keys(spec.files))
    await makeDirectories(files, folderOf(name, slot, target), homeOf(name));
  for (const [path, { content, mode, sha256 }] of wanted) {
    const at = placeOf(name, slot, spec, path);
    const same = there[path]?.sha256 === sha256;
    if (same && there[path]?.mode === mode) continue;
    await makeDirectories(files, at.slice(0, at.lastIndexOf("/")), homeOf(name));
    if (same) await files.setAttributes(at, { ...OWNER, mode });
    else await files.replace(at, content, { ...OWNER, mode });
  }
  for (const path of Object.keys(there))
    if (!wanted.has(path)) await files.remove(placeOf(name, slot, spec, path));
}

async function makeDirectories(files: Files, directory: string, home: string): Promise<void> {
  const parts = directory.slice(home.length).split("/").filter(Boolean);
  const above = ["/var/lib/muster", ROOT, home];
  for (const path of [...above, ...parts.map((_, n) => `${home}/${parts.slice(0, n + 1).join("/")}`)])
    if ((await files.facts(path))?.type !== "directory") await files.makeDirectory(path, FOLDER);
}

/** The declared contents. */
export function contentsOf(spec: Container, blobs: Blobs): SlotFiles {
  const states = filesOf(spec);
  const found = new Map<string, SlotFile>();
  for (const [directory, inner] of Object.entries(spec.files))
    for (const [name, file] of Object.entries(inner)) {
      const path = `${directory}/${name}`;
      const content = "blob" in file ? blobs.read(file.blob) : Buffer.from(file.content);
      const state = states[path];
      if (state !== undefined) found.set(path, { ...state, content });
    }
  return found;
}

/** Which files this container was told of last: their hash; null when that is not known. */
export async function readLoaded(name: string, container_id: string, files: Files): Promise<string | null> {
  const text = (await files.read(loadedFile(name), 4_096))?.toString("utf8") ?? "";
  const [id, hash] = text.trim().split(" ");
  return id === container_id && hash !== undefined ? hash : null;
}

export async function noteLoaded(
  name: string,
  container_id: string,
  hash: string,
  files: Files,
): Promise<void> {
  await makeDirectories(files, homeOf(name), homeOf(name));
  await files.replace(loadedFile(name), Buffer.from(`${container_id} ${hash}\n`), { ...OWNER, mode: "0644" });
}

/** Removes the slots of containers that are gone; with null all that there is of it. */
export async function sweepSlots(name: string, slot: string | null, files: Files): Promise<void> {
  const home = homeOf(name);
  for (const each of await files.list(home)) {
    if (slot !== null && (each === slot || each === "loaded")) continue;
    await removeTree(files, `${home}/${each}`);
  }
  if (slot === null) await files.remove(home);
}

async function removeTree(files: Files, path: string): Promise<void> {
  if ((await files.facts(path))?.type === "directory")
    for (const each of await files.list(path)) await removeTree(files, `${path}/${each}`);
  await files.remove(path);
}
