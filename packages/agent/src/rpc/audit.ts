/** RPC `audit`: the head of the host's own audit, under its own key. */
import { headText } from "@muster/protocol/audit";
import { signEd25519 } from "@muster/protocol/nkey";
import type { RpcReply, RpcRequest } from "@muster/protocol/rpc/index";
import type { RpcDoor } from "./door.ts";

export const audit =
  ({ audit: own, identity, ports }: RpcDoor) =>
  ({ nonce }: RpcRequest<"audit">): RpcReply<"audit"> => {
    const { seq, hash, waiting, unwritten } = own.head;
    const signature = signEd25519(identity.nkey.key, headText(identity.id, { seq, hash }, nonce));
    return { seq, hash, waiting, unwritten, at: ports.now(), signature: signature.toString("base64") };
  };
