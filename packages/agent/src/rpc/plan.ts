/** RPC `plan`: what would be done for this content, against what is there now. Changes nothing. */
import type { Call } from "@muster/ports/dispatch";
import type { Manifest, RpcReply, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { hashOfContent } from "@muster/protocol/manifest";
import type { Ledger } from "../ledger.ts";
import type { RpcDoor } from "./door.ts";

export const plan =
  (door: RpcDoor) =>
  async (request: RpcRequest<"plan">, call: Call): Promise<RpcReply<"plan">> =>
    door.reconciler.preview(await wanted(request, door.ledger), request.overwrite, call.signal);

/** What is asked about. One that is held was proved and hashed when it was accepted. Errors: NOT_FOUND when another is held, or none. */
async function wanted(
  { content, content_hash }: RpcRequest<"plan">,
  ledger: Ledger,
): Promise<Pick<Manifest, "content" | "content_hash">> {
  if (content !== undefined) return { content, content_hash: hashOfContent(content) };
  const { accepted } = ledger.state;
  if (accepted === null || accepted.content_hash !== content_hash)
    throw new FleetError("NOT_FOUND", "the content of that hash is not the one held here");
  return ledger.manifest(accepted);
}
