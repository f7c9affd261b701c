/** `host.<id>.renew`: fresh credentials for an enrolled host. The broker's grant on `host.<id>.*` proves the id; nothing else is believed. */
import type { HostRecord, RenewReply, RenewRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Issued, Issuer } from "../certificates/issuer.ts";
import type { Events } from "../events.ts";
import type { HostRecords, Kept } from "../records/hosts.ts";
import { takeMark } from "./marks.ts";
import { plainCsr } from "./proofs.ts";

const TRIES = 5;

export type RenewPorts = {
  readonly issuer: Issuer;
  readonly records: HostRecords;
  readonly events: Pick<Events, "emit">;
  readonly now: () => number;
};

/** Errors: NOT_FOUND (no such host), CONFLICT (not looked up again yet), NOT_ALLOWED (retired, or another ssh key), INVALID, BAD_PROOF, VAULT_*. */
export async function renew(id: string, request: RenewRequest, ports: RenewPorts): Promise<RenewReply> {
  const name = await ports.records.find(id, ports.now());
  const found = name === undefined ? null : await ports.records.fetch(name);
  if (found === null || found.record.id !== id)
    throw new FleetError("NOT_FOUND", `no host is enrolled as ${id}`);
  if (found.record.state !== "enrolled")
    throw new FleetError("NOT_ALLOWED", `${found.record.name} is retired`);
  const kept = await takeMark(found, request.mark, "to renew over the bus", ports);
  const { record } = kept;
  const wanted = new Set(request.what);
  const [user, service, ssh] = await Promise.all([
    wanted.has("user_jwt")
      ? ports.issuer.userJwt("agent", {
          name: record.name,
          key: id,
          expires_ms: ports.now() + ports.issuer.life_ms.agent,
        })
      : undefined,
    wanted.has("service_certificate") ? serviceCertificate(record, request, ports.issuer) : undefined,
    wanted.has("ssh_certificate") ? sshCertificate(record, request, ports.issuer) : undefined,
  ]);
  await note(kept, { user, service, ssh }, ports.records);
  return {
    ...(user && { user_jwt: user.text }),
    ...(service && { service_certificate: service.text }),
    ...(ssh && { ssh_certificate: ssh.text }),
  };
}

async function serviceCertificate(
  record: HostRecord,
  request: RenewRequest,
  issuer: Issuer,
): Promise<Issued> {
  if (request.csr === undefined) throw new FleetError("INVALID", "a service certificate needs csr");
  await plainCsr(request.csr, record.name);
  return issuer.serviceCertificate(record.name, request.csr);
}

async function sshCertificate(record: HostRecord, request: RenewRequest, issuer: Issuer): Promise<Issued> {
  const asked = request.ssh_public_key ?? record.ssh_public_key;
  // The key was proved when the host enrolled; another one was not.
  if (keyOf(asked) !== keyOf(record.ssh_public_key))
    throw new FleetError("NOT_ALLOWED", "another ssh host key than the enrolled one: enrol again");
  return issuer.sshCertificate(record.name, record.ssh_public_key);
}

const keyOf = (line: string) => line.split(" ").slice(0, 2).join(" ");

/** Writes down when each now ends; whoever else changed the record meanwhile keeps his change. */
async function note(
  kept: Kept,
  issued: { user: Issued | undefined; service: Issued | undefined; ssh: Issued | undefined },
  records: HostRecords,
): Promise<void> {
  let newest: Kept | null = kept;
  for (let tries = 1; newest !== null && newest.record.id === kept.record.id; tries++) {
    const before = newest.record.certificates;
    const certificates = {
      user_jwt: issued.user?.not_after ?? before.user_jwt,
      service: issued.service?.not_after ?? before.service,
      ssh: issued.ssh?.not_after ?? before.ssh,
    };
    try {
      return await records.write({ ...newest.record, certificates }, newest.revision);
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "CONFLICT" || tries >= TRIES) throw error;
      newest = await records.fetch(kept.record.name);
    }
  }
}
