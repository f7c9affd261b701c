/**
 * The decisions of the agent's loop, pure: whether a manifest is taken, and what is done about a resource that differs from its declaration.
 */
import type { Manifest, OpenedManifest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Drift, Plan } from "@muster/protocol/plan";
import { KINDS, type OnDrift, type Resource } from "@muster/protocol/resources/index";
import type { Accepted, Entry, LedgerChange, LedgerState, UndoneSpec } from "./ledger.ts";

/** Smaller than half and at least this many gone: somebody made a mistake. */
const MASS_REMOVAL_FROM = 5;
export const CORRECTIONS_LIMIT = 3;
export const CORRECTIONS_WINDOW_MS = 600_000;

/** What a manifest is held against. */
export type Held = {
  readonly accepted: Accepted | null;
  readonly refused: readonly { readonly generation: number; readonly content_hash: string }[];
  /** References of what Muster applied here. */
  readonly managed: readonly string[];
};

/** An opened manifest, and when the broker stored it: a host that was away for months still takes what went out in time. */
export type Handed = OpenedManifest & { readonly handed_out_ms: number };

/**
 * Whether an opened manifest becomes the newest held: true, or false when it is the one held already (or one that was refused before).
 * Errors: STALE_GENERATION for an older one, CONFLICT for another content under the same number, NOT_ALLOWED for one that a controller handed out
 * after its release had lapsed, MASS_REMOVAL.
 */
export function takes(opened: Handed, held: Held): boolean {
  const { manifest, signed_at_ms, handed_out_ms } = opened;
  const { accepted } = held;
  if (isOneOf(manifest, held.refused)) return false;
  if (accepted !== null) {
    if (manifest.generation === accepted.generation) {
      if (manifest.content_hash === accepted.content_hash) return false;
      throw new FleetError("CONFLICT", `generation ${manifest.generation} is held with other content`);
    }
    if (manifest.generation < accepted.generation) {
      throw new FleetError(
        "STALE_GENERATION",
        `generation ${manifest.generation} came, ${accepted.generation} is held`,
      );
    }
    if (signed_at_ms < accepted.signed_at) {
      throw new FleetError(
        "STALE_GENERATION",
        `generation ${manifest.generation} was signed before ${accepted.generation}, which is held`,
      );
    }
  }
  const { not_after } = manifest.release;
  if (handed_out_ms > not_after) {
    const [lapsed, handed] = [not_after, handed_out_ms].map((at) => new Date(at).toISOString());
    throw new FleetError(
      "NOT_ALLOWED",
      `generation ${manifest.generation} was handed out at ${handed}, and its release lapsed at ${lapsed}: plan again`,
    );
  }
  if (!manifest.intent.force) refuseMassRemoval(manifest, held.managed);
  return true;
}

const isOneOf = (manifest: Manifest, list: Held["refused"]) =>
  list.some((each) => each.generation === manifest.generation && each.content_hash === manifest.content_hash);

function refuseMassRemoval(manifest: Manifest, managed: readonly string[]): void {
  const declared = manifest.content.resources.length;
  const gone = goneOf(manifest, managed);
  if (managed.length > 0 && declared === 0) {
    throw new FleetError("MASS_REMOVAL", `it is empty, and ${managed.length} resources are managed here`);
  }
  if (declared * 2 < managed.length && gone >= MASS_REMOVAL_FROM) {
    throw new FleetError("MASS_REMOVAL", `${gone} of ${managed.length} resources would go`);
  }
}

function goneOf(manifest: Manifest, managed: readonly string[]): number {
  const refs = new Set(manifest.content.resources.map((each) => `${each.kind}/${each.name}`));
  return managed.filter((ref) => !refs.has(ref)).length;
}

/**
 * Whether the plan is the one that the operator was shown, or there is nothing to do: a host that lost the newest of its own state is as it should
 * be already, and would refuse that for ever. Errors: CONFLICT.
 */
export function admits(manifest: Manifest, plan: Pick<Plan, "index" | "steps" | "waiting">): void {
  const shown = manifest.intent.plan_index;
  if (shown === null || plan.index === shown) return;
  if (plan.steps.length === 0 && plan.waiting.length === 0) return;
  throw new FleetError(
    "CONFLICT",
    `the host changed since the plan was made: it would now take ${plan.steps.length} steps; plan again`,
  );
}

/**
 * What a judgement of the newest accepted generation changes: it comes into force, or goes back to the one in force. Null when another one
 * was accepted while it was judged: that one is judged next, and this judgement says nothing of it.
 */
export function admission(
  state: Pick<LedgerState, "accepted" | "in_force" | "refused">,
  judged: Accepted,
  verdict: "good" | "refused",
): LedgerChange | null {
  const { accepted, in_force } = state;
  if (accepted === null) return null;
  const { generation, content_hash } = accepted;
  if (generation !== judged.generation || content_hash !== judged.content_hash) return null;
  if (verdict === "refused")
    return { accepted: in_force, refused: [...state.refused.slice(-15), { generation, content_hash }] };
  const admitted = { ...accepted, admitted: true };
  return { accepted: admitted, in_force: admitted, returned_to: null };
}

/** Everything that the decision about one resource may know. */
export type Situation = {
  readonly resource: Resource;
  readonly spec_hash: string;
  /** Whether its kind would do anything at all. */
  readonly differs: boolean;
  /** Hash of the managed part now; null when it could not be observed. */
  readonly managed_hash: string | null;
  readonly entry: Entry | undefined;
  readonly undone: UndoneSpec | undefined;
  /** Sentence of the hold that covers it; null = none. */
  readonly held: string | null;
  readonly overwrite: boolean;
  /** Somebody's edit in words, such as "edited by root 03:12". */
  readonly edit: string;
  readonly now_ms: number;
};

/**
 * - `apply`: the declaration is new, or agrees already (then there are no steps);
 * - `correct`: only the host changed, and it is put back;
 * - `leave`: only the host changed; shown, and left to people;
 * - `keep`: nothing is done although the declaration asks for it; `error` when that is a failure and not a wait.
 */
export type Decision =
  | { readonly action: "apply" | "correct" }
  | { readonly action: "leave"; readonly drift: Drift["action"]; readonly why: string }
  | {
      readonly action: "keep";
      readonly why: string;
      readonly error: "HELD" | "UNDONE" | "OVERWRITE" | "FAILED";
    };

export function decide(situation: Situation): Decision {
  const { resource, entry, undone, held, now_ms } = situation;
  if (!situation.differs) return { action: "apply" };
  if (held !== null) return { action: "keep", why: held, error: "HELD" };
  const on_drift = onDrift(resource);
  const edited = entry !== undefined && isEdited(entry, situation.managed_hash);
  if (entry === undefined || entry.spec_hash !== situation.spec_hash) {
    if (undone !== undefined && undone.spec_hash === situation.spec_hash && !undone.crashed) {
      return { action: "keep", why: undone.why, error: "UNDONE" };
    }
    if (edited && on_drift !== "correct" && !situation.overwrite) {
      return { action: "keep", why: `${situation.edit}; --overwrite replaces it`, error: "OVERWRITE" };
    }
    return { action: "apply" };
  }
  if (situation.overwrite) return { action: "apply" };
  if (on_drift !== "correct") {
    return { action: "leave", drift: on_drift === "ask" ? "asked" : "left", why: situation.edit };
  }
  // Putting it back was itself taken back: each try is felt, so the next comes when the last is forgotten.
  if (undone?.spec_hash === situation.spec_hash && recent([undone.at], now_ms).length > 0)
    return { action: "keep", why: undone.why, error: "UNDONE" };
  if (recent(entry.corrected, now_ms).length >= CORRECTIONS_LIMIT) {
    const why = `put back ${CORRECTIONS_LIMIT} times in ${CORRECTIONS_WINDOW_MS / 60_000} min and changed again: ${situation.edit}; --overwrite puts it back once more`;
    return { action: "keep", why, error: "FAILED" };
  }
  return { action: "correct" };
}

/** What `--overwrite` still gives free: each resource once, until it was as this generation declares it. A later edit is a new one. */
export const overwriteLeft = (
  manifest: Pick<Manifest, "generation" | "intent">,
  state: { readonly resources: Readonly<Record<string, Entry>> },
): string[] =>
  manifest.intent.overwrite.filter((ref) => state.resources[ref]?.overwritten !== manifest.generation);

export const onDrift = (resource: Resource): OnDrift => resource.on_drift ?? KINDS[resource.kind].on_drift;

const isEdited = (entry: Entry, managed_hash: string | null) =>
  entry.managed_hash !== null && managed_hash !== null && entry.managed_hash !== managed_hash;

/** Of these instants those that still count. */
export const recent = (instants: readonly number[], now_ms: number) =>
  instants.filter((at) => now_ms - at < CORRECTIONS_WINDOW_MS && at <= now_ms);
