/** RPC `plan`: what would be done for this content, against what is there now. Changes nothing. */
import type { Call } from "@muster/ports/dispatch";
import type { RpcReply, RpcRequest } from "@muster/protocol";
import type { RpcDoor } from "./door.ts";

export const plan =
  (door: RpcDoor) =>
  (request: RpcRequest<"plan">, call: Call): Promise<RpcReply<"plan">> =>
    door.reconciler.preview(request.content, request.overwrite, call.signal);
