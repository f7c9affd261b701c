/** RPC `return`: back to the content that the manifest in force names. The number stays; the content must still be kept here. */
import type { RpcReply, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { RpcDoor } from "./door.ts";

export const returnTo =
  (door: RpcDoor) =>
  async (request: RpcRequest<"return">): Promise<RpcReply<"return">> => {
    const { ledger, reconciler, ports } = door;
    const { in_force } = ledger.state;
    if (in_force === null) throw new FleetError("NOT_FOUND", "no desired state is in force here");
    const { release, content_hash } = await ledger.manifest(in_force);
    if (release.id !== request.release) {
      throw new FleetError("CONFLICT", `release ${release.id} is in force, not ${request.release}`);
    }
    if (request.content_hash !== content_hash) {
      if (release.return_to !== request.content_hash)
        throw new FleetError("NOT_ALLOWED", "the manifest in force does not name that content to return to");
      if (ports.now() > release.not_after)
        throw new FleetError(
          "NOT_ALLOWED",
          `the release lapsed at ${new Date(release.not_after).toISOString()}`,
        );
      if ((await ledger.byContent(request.content_hash)) === null)
        throw new FleetError("NOT_FOUND", "that content is not kept here any more");
    }
    const returned_to = request.content_hash === content_hash ? null : request.content_hash;
    await ledger.update((state) => {
      if (state.in_force?.generation !== in_force.generation)
        throw new FleetError("CONFLICT", `generation ${in_force.generation} is not in force any more`);
      return { returned_to };
    });
    reconciler.bell.ring();
    return { generation: in_force.generation, content_hash: request.content_hash };
  };
