/** RPC `birdc`: a `show` command over a restricted connection of its own, so that a long table holds nobody up. */
import type { Call } from "@muster/ports/dispatch";
import type { RpcReply, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { RpcDoor } from "./door.ts";

/** A `show route` over a full table costs BIRD seconds: not many at once. */
const AT_ONCE = 2;

export const birdc = (door: RpcDoor) => {
  let running = 0;
  return async ({ command }: RpcRequest<"birdc">, call: Call): Promise<RpcReply<"birdc">> => {
    if (running >= AT_ONCE)
      throw new FleetError("CONFLICT", `${AT_ONCE} such commands run here already; try again`);
    running += 1;
    try {
      return { lines: [...(await door.ports.routing.show(command, call.signal))] };
    } finally {
      running -= 1;
    }
  };
};
