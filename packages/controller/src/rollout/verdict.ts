/** What a host's last words mean for the manifest that a rollout published to it. Pure. */
import type { Convergence, Release } from "@muster/protocol";
import { SILENT_AFTER_MS } from "@muster/protocol/telemetry/convergence";
import type { HostState } from "./state.ts";

/** A host that was silent when its manifest went out holds its wave up no longer than this; the manifest waits for it in the stream. */
export const SILENT_GRACE_MS = 5_000;
/** Nor is it passed over before it was quiet for so long: one that starts anew, or is slow just now, is red sooner. */
export const PASSED_OVER_AFTER_MS = 25_000;

/** What is known of a host. Times by this controller's clock, milliseconds since 1970. */
export type HostFact = {
  readonly heard_at: number | null;
  /** When the present convergence first came in this form. */
  readonly changed_at: number | null;
  readonly convergence: Pick<
    Convergence,
    "state" | "generation" | "content_hash" | "release" | "detail"
  > | null;
  /** Why its manifest cannot be published at all. */
  readonly unpublishable: string | null;
};

export const isSilent = (fact: HostFact, now_ms: number) =>
  fact.heard_at === null || now_ms - fact.heard_at > SILENT_AFTER_MS;

/** When a wave waits no longer for a host that was silent as its manifest went out, and still is. */
export const passedOverAt = (published_at: number, { heard_at }: HostFact) =>
  Math.max(published_at + SILENT_GRACE_MS, (heard_at ?? 0) + PASSED_OVER_AFTER_MS);

export type Verdict = { readonly state: HostState["state"]; readonly detail: string } | null;

/** A change of state, or null while it is under way. */
export function verdict(
  name: string,
  host: HostState,
  fact: HostFact,
  release: Pick<Release, "id" | "generation" | "hosts">,
  now_ms: number,
): Verdict {
  if (host.published_at === null) return null;
  if (fact.unpublishable !== null) return { state: "failed", detail: fact.unpublishable };
  const said = fact.convergence;
  if (said !== null) {
    const wanted = release.hosts[name]?.content_hash;
    // The release names the manifest; by the hash alone it would be missed where a thrown switch adds to the content.
    const same = said.release === release.id || said.content_hash === wanted;
    const reached =
      said.generation !== null &&
      (said.generation > release.generation || (said.generation === release.generation && same));
    if (said.state === "converged" && reached) return { state: "converged", detail: "" };
    // A refused or undone manifest is not the newest accepted: then the number is the old one, and only the time tells.
    const ours = said.release === release.id || said.generation === release.generation;
    const since = fact.changed_at !== null && fact.changed_at >= host.published_at;
    if (said.state === "failed" && ours) return { state: "failed", detail: `failed: ${said.detail}` };
    if ((said.state === "undone" || said.state === "refused") && (ours ? since || reached : since))
      return { state: "failed", detail: `${said.state}: ${said.detail}` };
    if (said.state === "returned" && ours) return { state: "returned", detail: said.detail };
  }
  const unheard = host.was_silent && (fact.heard_at === null || fact.heard_at < host.published_at);
  if (unheard && now_ms >= passedOverAt(host.published_at, fact))
    return { state: "silent", detail: "silent before its manifest went out; it converges when it is back" };
  return null;
}
