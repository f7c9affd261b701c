/** RPC `status`: where the host stands now, asked of itself. */
import type { RpcReply } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { RpcDoor } from "./door.ts";

export const status = (door: RpcDoor) => async (): Promise<RpcReply<"status">> => {
  const { host, convergence } = door.standing.now;
  if (host === null) throw new FleetError("NOT_FOUND", "this host is not enrolled yet");
  const { in_force } = door.ledger.state;
  const content = in_force === null ? null : (await door.ledger.manifest(in_force)).content;
  return {
    host,
    groups: content?.groups ?? [],
    labels: content?.labels ?? {},
    convergence: { ...convergence, at: door.ports.now() },
    bgp: door.bgp.last(),
    checks: door.checks.last(),
  };
};
