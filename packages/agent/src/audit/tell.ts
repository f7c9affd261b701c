/** What the audit says of state that came without being asked for: manifests and trust bundles, taken or refused. */
import { type AuditDoor, entryOf } from "@muster/ports/audit";
import type { OpenedManifest, TrustBundle } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";

type Tell = Pick<AuditDoor, "tell">;

/** A manifest that was accepted, with who signed it, or why one was refused. */
export function tellManifest(audit: Tell, outcome: OpenedManifest | FleetError, at: number): void {
  const common = { at, kind: "manifest" as const, from: "stream DESIRED", what: "manifest" };
  if (outcome instanceof FleetError) {
    const target = outcome.detail.slice(0, 500);
    audit.tell(
      entryOf({ ...common, by: null, target, authority: "operator", result: "refused", code: outcome.code }),
    );
    return;
  }
  const { manifest, principal } = outcome;
  audit.tell(
    entryOf({
      ...common,
      by: { name: principal.name, rank: principal.rank, key: principal.fingerprint, kit: principal.kit },
      target: `generation ${manifest.generation} for ${manifest.host}`,
      args: manifest.content_hash,
      authority: `rollout ${manifest.release.id}`.slice(0, 100),
      result: "done",
    }),
  );
}

/** A bundle that holds from now on, or a newer one that was refused. An admin key signs them, which has no name. */
export function tellTrust(audit: Tell, outcome: TrustBundle | FleetError, at: number): void {
  const common = {
    at,
    kind: "trust" as const,
    by: null,
    from: "stream TRUST",
    what: "trust",
    authority: "admin",
  };
  if (outcome instanceof FleetError)
    audit.tell(
      entryOf({ ...common, target: outcome.detail.slice(0, 500), result: "refused", code: outcome.code }),
    );
  else audit.tell(entryOf({ ...common, target: `version ${outcome.version}`, result: "done" }));
}
