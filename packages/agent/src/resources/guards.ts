/** The kinds that can cut the host off, alone: what takes a change back at boot needs no more. */
import type { Kind } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { birdGuard } from "./bird-guard.ts";
import type { Guarded } from "./kind.ts";

const GUARDS: { readonly [K in Kind]?: Guarded<K, never> } = { bird: birdGuard };

/** Errors: INVALID for a kind that has no guard. */
export function guardOf(of: { readonly kind: Kind }): Guarded<Kind, unknown> {
  const guard = GUARDS[of.kind];
  if (guard === undefined) throw new FleetError("INVALID", `${of.kind} has no guard`);
  return guard as Guarded<Kind, unknown>;
}
