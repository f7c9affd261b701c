/** RPC `checks`: every declared check as it stands. */
import type { RpcReply } from "@muster/protocol";
import type { RpcDoor } from "./door.ts";

export const checks = (door: RpcDoor) => (): RpcReply<"checks"> =>
  door.checks.last() ?? { at: door.ports.now(), checks: [] };
