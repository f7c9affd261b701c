/** RPC `joined`: by whose word this host was let in. Whoever asks proves it; nothing is believed of the way that it comes. */
import type { RpcReply } from "@muster/protocol";
import type { RpcDoor } from "./door.ts";

export const joined =
  ({ credentials }: RpcDoor) =>
  (): RpcReply<"joined"> => ({ joined: credentials.kept?.joined ?? null });
