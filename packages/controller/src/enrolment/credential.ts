/** `ctl.credential`: a viewer's access to the bus for a program, written down under its name before it is given away. */
import type { ControlReply, ControlRequest } from "@muster/protocol/control/index";
import { FleetError } from "@muster/protocol/errors";
import { timeText } from "@muster/protocol/time";
import type { Issuer } from "../certificates/issuer.ts";
import type { Events } from "../events.ts";
import type { AccessRecords } from "../records/access.ts";
import type { HostRecords } from "../records/hosts.ts";

/** More of one name are a program that leaks them. */
const OF_ONE_NAME = 20;

export type CredentialPorts = {
  readonly issuer: Issuer;
  readonly access: Pick<AccessRecords, "create" | "list">;
  readonly records: Pick<HostRecords, "byName">;
  readonly events: Pick<Events, "emit">;
  readonly now: () => number;
};

/** Errors: CONFLICT for a host's name or too many of one name, VAULT_*. */
export async function credential(
  { id, name, life_ms }: ControlRequest<"credential">,
  by: string,
  ports: CredentialPorts,
): Promise<ControlReply<"credential">> {
  if (ports.records.byName(name) !== undefined)
    throw new FleetError("CONFLICT", `${name} is a host: give the program another name`);
  const held = (await ports.access.list(name)).filter((record) => record.revoked === null);
  if (held.some((record) => record.kind !== "program"))
    throw new FleetError("CONFLICT", `${name} is a person: give the program another name`);
  if (held.length >= OF_ONE_NAME)
    throw new FleetError(
      "CONFLICT",
      `${name} has ${held.length} credentials: ctl revoke ${name} ends them all`,
    );
  const now_ms = ports.now();
  const jwt = await ports.issuer.userJwt("viewer", { name, key: id, expires_ms: now_ms + life_ms });
  await ports.access.create({
    ...{ id, name, kind: "program", rank: "viewer", groups: null, certificate: null },
    ...{ given_at: now_ms, given_by: by, ends: jwt.not_after, revoked: null },
  });
  const what = `${by} made a viewer's credential for ${name}, good until ${timeText(jwt.not_after)}`;
  ports.events.emit({ host: "_", kind: "credentials", severity: "info", what, by });
  return { user_jwt: jwt.text, ends: jwt.not_after };
}
