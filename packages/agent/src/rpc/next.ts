/** RPC `next`: the next chunks of a stream. */
import type { Call } from "@muster/ports/dispatch";
import type { RpcReply, RpcRequest } from "@muster/protocol";
import type { RpcDoor } from "./door.ts";

export const next =
  (door: RpcDoor) =>
  (request: RpcRequest<"next">, call: Call): Promise<RpcReply<"next">> =>
    door.streams.next(request, call);
