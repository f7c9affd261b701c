/** RPC `ping`: are you there? */
import type { RpcReply } from "@muster/protocol";
import { PROTOCOL_VERSION } from "@muster/protocol/version";
import type { RpcDoor } from "./door.ts";

export const ping = (door: RpcDoor) => (): RpcReply<"ping"> => ({
  host: door.standing.now.host ?? "",
  at: door.ports.now(),
  version: door.agent_version,
  protocol: PROTOCOL_VERSION,
});
