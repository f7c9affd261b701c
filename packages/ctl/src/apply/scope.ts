/** Which hosts a plan or apply is about, what each should be, and what stays pending outside. Pure. */
import { alike } from "@muster/protocol/alike";
import { FleetError } from "@muster/protocol/errors";
import { hashOfContent, type OpenedManifest } from "@muster/protocol/manifest";
import { refOf } from "@muster/protocol/resources/index";
import type { CompiledHost } from "../inventory/fleet.ts";
import { suggest } from "../inventory/problem.ts";
import { type Desired, desiredOf, differing } from "./desired.ts";

export type Target = {
  readonly name: string;
  readonly id: string;
  readonly desired: Desired;
  readonly last: OpenedManifest | null;
  /** Whether the content differs from the last signed, or that is not what is stored for it. */
  readonly changed: boolean;
};

export type Pending = { readonly name: string; readonly count: number };

export type Scope = {
  readonly targets: readonly Target[];
  /** Of the selected ones, those that are enrolled nowhere. */
  readonly not_enrolled: readonly string[];
  /** What differs outside of what was selected, by host. Hosts that were never applied are only watched, and not pending. */
  readonly pending: readonly Pending[];
};

/**
 * @param compiled every host of the folder
 * @param selected names
 * @param ground ids of enrolled hosts; `last` by name, of every enrolled host; `renew` those for which another one is stored than `last`
 */
export function scopeOf(
  compiled: readonly CompiledHost[],
  selected: readonly string[],
  ground: {
    readonly ids: ReadonlyMap<string, string>;
    readonly last: ReadonlyMap<string, OpenedManifest | null>;
    readonly renew: ReadonlySet<string>;
  },
  only: ReadonlySet<string> | null,
): Scope {
  const { ids, last, renew } = ground;
  const targets: Target[] = [];
  const pending: Pending[] = [];
  const hashOf = alike(hashOfContent);
  const chosen_names = new Set(selected);
  for (const host of compiled) {
    const id = ids.get(host.host);
    if (id === undefined) continue;
    const before = last.get(host.host) ?? null;
    const chosen = chosen_names.has(host.host);
    const desired = desiredOf(host, before?.manifest ?? null, chosen ? only : null, hashOf);
    const changed = renew.has(host.host) || desired.content_hash !== before?.manifest.content_hash;
    if (chosen && !(only !== null && before === null && desired.content.resources.length === 0))
      targets.push({ name: host.host, id, desired, last: before, changed });
    const outside = chosen
      ? desired.outside.length
      : before === null || !changed
        ? 0
        : Math.max(1, differing(desired.content, before.manifest.content).length);
    if (outside > 0) pending.push({ name: host.host, count: outside });
  }
  return { targets, not_enrolled: selected.filter((name) => !ids.has(name)), pending };
}

/** The refs that were typed with `--only`, also several in one word; null without it. */
export function refsTyped(typed: readonly string[]): ReadonlySet<string> | null {
  if (typed.length === 0) return null;
  return new Set(
    typed
      .flatMap((word) => word.split(","))
      .map((word) => word.trim())
      .filter((word) => word !== ""),
  );
}

/** As `refsTyped`. Errors: USAGE for a ref that no selected host has, neither in the folder nor as signed. */
export function onlyOf(
  typed: readonly string[],
  compiled: readonly CompiledHost[],
  last: Iterable<OpenedManifest | null>,
): ReadonlySet<string> | null {
  const refs = refsTyped(typed);
  if (refs === null) return null;
  const known = new Set([
    ...compiled.flatMap((host) => [...host.resources.map(refOf), ...host.absent]),
    ...[...last].flatMap((opened) => opened?.manifest.content.resources.map(refOf) ?? []),
  ]);
  const strange = [...refs].filter((ref) => !known.has(ref));
  if (strange.length === 0) return refs;
  const list = strange.map((ref) => `${ref}${suggest(ref, known)}`).join("; ");
  throw new FleetError("USAGE", `--only ${list}: no selected host has it`);
}
