/** RPC `health`: a sample taken now, and what the other collectors saw last. */
import type { Call } from "@muster/ports/dispatch";
import type { RpcRequest } from "@muster/protocol";
import { collectedOf } from "../collectors/steady-all.ts";
import type { RpcDoor } from "./door.ts";

export const health =
  (door: RpcDoor) =>
  async ({ collected }: RpcRequest<"health">, call: Call) => {
    const sample = await door.health.sample(call.signal);
    return collected === true ? { ...sample, collected: collectedOf(door.steady) } : sample;
  };
