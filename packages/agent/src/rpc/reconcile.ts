/** RPC `reconcile`: look again now. Answers at once; what comes of it is told by telemetry. */
import type { RpcReply } from "@muster/protocol";
import type { RpcDoor } from "./door.ts";

export const reconcile = (door: RpcDoor) => (): RpcReply<"reconcile"> => {
  door.reconciler.bell.ring();
  return { generation: door.ledger.state.in_force?.generation ?? null };
};
