/** RPC `rename`: an admin's word that this host has another name. */
import type { Call } from "@muster/ports/dispatch";
import type { RpcReply, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { RpcDoor } from "./door.ts";

export const rename =
  ({ credentials, events, takeName }: RpcDoor) =>
  async ({ name }: RpcRequest<"rename">, { principal, signal }: Call): Promise<RpcReply<"rename">> => {
    const was = credentials.kept?.host;
    if (principal === null || was === undefined)
      throw new FleetError("NOT_LOGGED_IN", "this host is not enrolled");
    if (was === name) return { was, changed: false };
    await takeName(name, signal);
    events.tell({
      kind: "credentials",
      severity: "warning",
      what: `${principal.name} renamed it: it was ${was}`,
      by: principal.name,
    });
    return { was, changed: true };
  };
