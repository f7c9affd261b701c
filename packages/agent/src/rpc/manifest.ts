/** RPC `manifest`: the newest manifest that this host has accepted, as it was signed. */
import type { RpcReply } from "@muster/protocol";
import type { RpcDoor } from "./door.ts";

export const manifest =
  ({ ledger }: RpcDoor) =>
  async (): Promise<RpcReply<"manifest">> => {
    const { accepted } = ledger.state;
    return { envelope: accepted === null ? null : await ledger.envelope(accepted) };
  };
