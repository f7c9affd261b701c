/** RPC `bgp`: every session judged now, and for one session what the host can say of the way to its neighbour. */
import type { Call } from "@muster/ports/dispatch";
import type { RpcReply, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { unreachableDaemon } from "../bird/status.ts";
import { NOTHING_BESIDE } from "../bird/survey.ts";
import { fitting } from "../collectors/fitting.ts";
import type { RpcDoor } from "./door.ts";
import { probePath } from "./path.ts";

/** A reply may be larger than what is told unasked: below the broker's limit of 1 MiB, with room for what stands around it. */
const REPLY_BYTES = 900_000;

export const bgp =
  (door: RpcDoor) =>
  async (request: RpcRequest<"bgp">, call: Call): Promise<RpcReply<"bgp">> => {
    const now = new Date(door.ports.now()).toISOString();
    const sample = (await door.bgp.sample(call.signal)) ?? {
      at: now,
      daemon: unreachableDaemon("there is no BIRD here, and none is declared"),
      sessions: [],
      ...NOTHING_BESIDE,
    };
    if (request.session === undefined) return { sample: fitting(sample, REPLY_BYTES), path: null };
    const session = sample.sessions.find(({ name }) => name === request.session);
    if (session === undefined) {
      const known = sample.sessions.map(({ name }) => name).slice(0, 50);
      throw new FleetError(
        "NOT_FOUND",
        `session ${request.session}; there are ${known.join(", ") || "none"}`,
      );
    }
    const alone = { ...sample, sessions: [session], left_out: null };
    if (session.neighbor_address === null) return { sample: alone, path: null };
    const last_change_here_at = door.ledger.state.bird_changed_at;
    const path = await probePath(
      session.neighbor_address,
      session.neighbor_port ?? 179,
      door.ports,
      call.signal,
    );
    return { sample: alone, path: { ...path, last_change_here_at } };
  };
