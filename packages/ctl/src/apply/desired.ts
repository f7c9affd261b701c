/**
 * What a host should be: the folder's rendering, less what is held back (`--only`, a rollback, BIRD without `absent: true`), joined with what
 * was signed for it last. Pure.
 */
import { contentHash } from "@muster/protocol/canonical";
import { hashOfContent, type Manifest, type ManifestContent } from "@muster/protocol/manifest";
import { type Resource, refOf } from "@muster/protocol/resources/index";
import { DEFAULT_SWITCHES } from "@muster/protocol/switch";
import type { CompiledHost } from "../inventory/fleet.ts";

/** Something of the folder that is not sent now, and why. */
export type HeldBack = { readonly ref: string; readonly why: string };

export type Desired = {
  readonly content: ManifestContent;
  readonly content_hash: string;
  readonly rolled_back: Readonly<Record<string, string>>;
  readonly held_back: readonly HeldBack[];
  /** Refs outside of `--only` whose folder form differs from what is signed. */
  readonly outside: readonly string[];
};

type Last = Pick<Manifest, "content" | "rolled_back">;

/** Hash of what a resource asks for; of null for one that is not declared. Under this a rollback remembers what failed. */
export const hashOfSpec = (resource: Resource | undefined) => contentHash(resource?.spec ?? null);

/**
 * The content for one host.
 *
 * @param last what was signed for it last; null when nothing was
 * @param only refs to change, everything else stays as signed; null = all
 * @param hashOf `alike(hashOfContent)`, where it is asked of many
 */
export function desiredOf(
  compiled: CompiledHost,
  last: Last | null,
  only: ReadonlySet<string> | null,
  hashOf = hashOfContent,
): Desired {
  const wanted = byRef(compiled.resources);
  const signed = byRef(last?.content.resources ?? []);
  const held_back: HeldBack[] = [];
  const rolled_back: Record<string, string> = {};
  const chosen = new Map<string, Resource>();
  const outside: string[] = [];
  for (const ref of new Set([...wanted.keys(), ...signed.keys()])) {
    const [want, have] = [wanted.get(ref), signed.get(ref)];
    const failed = last?.rolled_back[ref];
    let take = want;
    if (failed !== undefined && failed === hashOfSpec(want)) {
      rolled_back[ref] = failed;
      held_back.push({ ref, why: "rolled back; held until the folder differs from what failed" });
      take = have;
    } else if (only !== null && !only.has(ref)) {
      if (!sameResource(want, have)) outside.push(ref);
      if (failed !== undefined) rolled_back[ref] = failed;
      take = have;
    } else if (want === undefined && have?.kind === "bird" && !compiled.absent.includes(ref)) {
      held_back.push({ ref, why: "no longer in the folder, and kept: BIRD goes only with `absent: true`" });
      take = have;
    }
    if (take !== undefined) chosen.set(ref, take);
  }
  // A ref that is in neither list was rolled back to nothing: remembered until the folder has something else.
  for (const [ref, failed] of Object.entries(last?.rolled_back ?? {}))
    if (!wanted.has(ref) && !signed.has(ref) && failed === hashOfSpec(undefined)) rolled_back[ref] = failed;
  const keeps_scope = only !== null && last !== null;
  const content: ManifestContent = {
    groups: keeps_scope ? last.content.groups : compiled.groups,
    labels: keeps_scope ? last.content.labels : compiled.labels,
    resources: inOrder(chosen, [...wanted.keys(), ...signed.keys()]),
    switches: keeps_scope ? last.content.switches : DEFAULT_SWITCHES,
  };
  return { content, content_hash: hashOf(content), rolled_back, held_back, outside };
}

/** Refs that differ between two contents, sorted; an order or a group that differs gives none. */
export function differing(one: ManifestContent | null, other: ManifestContent | null): string[] {
  const [a, b] = [byRef(one?.resources ?? []), byRef(other?.resources ?? [])];
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((ref) => !sameResource(a.get(ref), b.get(ref)))
    .sort();
}

/** What a rollback signs: the content before, or of it only some resources, and the memory of what is taken back. Pure. */
export function rolledBack(
  current: Last,
  before: ManifestContent,
  only: ReadonlySet<string> | null,
): Pick<Desired, "content" | "content_hash" | "rolled_back"> {
  const [have, old] = [byRef(current.content.resources), byRef(before.resources)];
  const chosen = new Map<string, Resource>();
  const rolled_back: Record<string, string> = { ...current.rolled_back };
  for (const ref of new Set([...have.keys(), ...old.keys()])) {
    const change = (only === null || only.has(ref)) && !sameResource(have.get(ref), old.get(ref));
    const take = change ? old.get(ref) : have.get(ref);
    if (change) rolled_back[ref] = hashOfSpec(have.get(ref));
    if (take !== undefined) chosen.set(ref, take);
  }
  const content = { ...current.content, resources: inOrder(chosen, [...have.keys(), ...old.keys()]) };
  return { content, content_hash: hashOfContent(content), rolled_back };
}

const byRef = (resources: readonly Resource[]) => new Map(resources.map((each) => [refOf(each), each]));

/** Order and needs follow from the rest: two resources are the same when they ask for the same. */
function sameResource(one: Resource | undefined, other: Resource | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return (
    contentHash({ spec: one.spec, on_drift: one.on_drift ?? null }) ===
    contentHash({ spec: other.spec, on_drift: other.on_drift ?? null })
  );
}

/** In dependency order, else as the refs come; a need that is not there is left out, since old and new forms may mix. */
function inOrder(chosen: ReadonlyMap<string, Resource>, refs: readonly string[]): Resource[] {
  const sorted = new Map<string, Resource>();
  const visit = (ref: string, path: readonly string[]): void => {
    const resource = chosen.get(ref);
    if (resource === undefined || sorted.has(ref) || path.includes(ref)) return;
    const needs = resource.needs.filter((need) => chosen.has(need));
    for (const need of needs) visit(need, [...path, ref]);
    sorted.set(ref, { ...resource, needs });
  };
  for (const ref of refs) visit(ref, []);
  return [...sorted.values()];
}
