/** RPC `images`: which image a name stands for on this host's Docker engine. */
import type { Call } from "@muster/ports/dispatch";
import type { RpcReply, RpcRequest } from "@muster/protocol";
import type { RpcDoor } from "./door.ts";

export const images =
  ({ ports }: RpcDoor) =>
  async (request: RpcRequest<"images">, call: Call): Promise<RpcReply<"images">> => ({
    images: await Promise.all(
      request.images.map(async (image) => ({
        image,
        id: (await ports.docker.image(image, call.signal))?.id ?? null,
      })),
    ),
  });
