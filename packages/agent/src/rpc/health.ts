/** RPC `health`: a sample taken now. */
import type { Call } from "@muster/ports/dispatch";
import type { RpcDoor } from "./door.ts";

export const health = (door: RpcDoor) => (_: unknown, call: Call) => door.health.sample(call.signal);
