/** Letting a machine in: everything that it needs signed at once, then its join string spent, then its record written. */
import type { Claim, Credentials, HostRecord } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Issuer } from "../certificates/issuer.ts";
import type { HostRecords, Kept } from "../records/hosts.ts";
import type { Decision } from "./decide.ts";

export type Admitted = { readonly credentials: Credentials; readonly record: HostRecord };

/**
 * Signing comes first, so that a sealed Vault uses up no join string; what was signed leaves this function only when `spend` has gone
 * through and the record was written. A race for the name ends with NAME_TAKEN for the second.
 * Errors: VAULT_*, JOIN_USED, NAME_TAKEN.
 */
export async function admit(
  claim: Claim,
  decision: Extract<Decision, { verdict: "admit" }>,
  kept: Kept | null,
  ports: {
    issuer: Issuer;
    records: HostRecords;
    now: () => number;
    /** It came back with nobody's word but its own. */
    by_key: boolean;
    spend: () => Promise<void>;
  },
): Promise<Admitted> {
  const now = ports.now();
  const { name } = decision;
  const [user, service, ssh] = await Promise.all([
    ports.issuer.userJwt("agent", { name, key: claim.id, expires_ms: now + ports.issuer.life_ms.agent }),
    ports.issuer.serviceCertificate(name, claim.csr),
    ports.issuer.sshCertificate(name, claim.ssh_public_key),
  ]);
  const record: HostRecord = {
    name,
    id: claim.id,
    ssh_public_key: claim.ssh_public_key,
    curve: claim.curve,
    groups: [...decision.groups],
    enrolled_at: kept?.record.id === claim.id ? kept.record.enrolled_at : now,
    enrolled_by: decision.by,
    recoveries: decision.recoveries,
    state: "enrolled",
    certificates: { user_jwt: user.not_after, service: service.not_after, ssh: ssh.not_after },
    // By its key alone: as `takeMark` took it. A person's word is a new start.
    mark: ports.by_key ? kept?.record.mark : claim.mark && { word: claim.mark.next, generation: 1 },
    os: claim.facts.os,
    agent_version: claim.facts.agent_version,
  };
  await ports.spend();
  try {
    await ports.records.write(record, kept?.revision ?? null);
  } catch (error) {
    if (error instanceof FleetError && error.code === "CONFLICT")
      throw new FleetError("NAME_TAKEN", `${name} was enrolled at the same time`, { cause: error });
    throw error;
  }
  return {
    credentials: { user_jwt: user.text, service_certificate: service.text, ssh_certificate: ssh.text },
    record,
  };
}
