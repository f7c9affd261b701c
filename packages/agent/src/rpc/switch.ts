/** RPC `switch`: throws a switch that the manifest in force declares, within what it says of who and for how long. */
import type { Call } from "@muster/ports/dispatch";
import type { Resource, RpcReply, RpcRequest, ThrownSwitch } from "@muster/protocol";
import { permits } from "@muster/protocol/certificate";
import { FleetError } from "@muster/protocol/errors";
import { MUSTER_INCLUDE } from "../bird/declared.ts";
import { disabling, withDisabled } from "../bird/disable.ts";
import type { Files } from "../ports/files.ts";
import { declaredIn, readIncludes } from "../resources/bird-files.ts";
import type { RpcDoor } from "./door.ts";

const LIMIT = 256;

export const throwSwitch =
  (door: RpcDoor) =>
  async (request: RpcRequest<"switch">, call: Call): Promise<RpcReply<"switch">> => {
    const { events, ledger, ports, reconciler } = door;
    const { principal } = call;
    if (principal === null) throw new FleetError("UNSIGNED", "a switch needs a signer");
    const { in_force } = ledger.state;
    if (in_force === null)
      throw new FleetError("NOT_FOUND", "no desired state is in force here, so it declares no switch");
    const { content } = await ledger.manifest(in_force);
    const declared = content.switches.find(({ name }) => name === request.name);
    if (declared === undefined)
      throw new FleetError("NOT_ALLOWED", `the manifest does not declare ${request.name}`);
    if (!permits(declared.by, principal.rank))
      throw new FleetError(
        "NOT_ALLOWED",
        `${request.name} needs ${declared.by}, ${principal.name} is ${principal.rank}`,
      );
    if (request.name === "drain") await drainable(content.resources, request, ports.files);
    else if (request.disable) throw new FleetError("INVALID", "only a drain disables sessions");
    const { longest_ms } = declared;
    if (request.on && longest_ms > 0 && (request.for_ms === null || request.for_ms > longest_ms))
      throw new FleetError(
        "NOT_ALLOWED",
        `${request.name} for at most ${Math.round(longest_ms / 3_600_000)} h`,
      );
    const now_ms = ports.now();
    const thrown: ThrownSwitch = {
      name: request.name,
      on: true,
      ...(request.resource === undefined ? {} : { resource: request.resource }),
      ...(request.disable === undefined ? {} : { disable: request.disable }),
      why: request.why,
      by: principal.name,
      at: now_ms,
      until: request.for_ms === null ? null : now_ms + request.for_ms,
    };
    let switches: ThrownSwitch[] = [];
    await ledger.update((state) => {
      const others = state.switches.filter(
        (each) =>
          (each.name !== request.name || each.resource !== request.resource) &&
          // A drain does not end by itself.
          (each.until === null || each.until > now_ms || each.name === "drain"),
      );
      switches = request.on ? [...others, thrown] : others;
      if (switches.length > LIMIT) throw new FleetError("TOO_LARGE", `${LIMIT} switches are thrown already`);
      return { switches };
    });
    if (request.name === "drain")
      events.tell({
        kind: "drain",
        severity: request.on ? "warning" : "info",
        what: request.on ? `drained: ${request.why}` : "undrained",
        by: principal.name,
      });
    reconciler.bell.ring();
    return { thrown: switches };
  };

/** Errors: UNSUPPORTED where a drain could not take effect; undraining is always taken. */
async function drainable(
  resources: readonly Resource[],
  request: RpcRequest<"switch">,
  files: Files,
): Promise<void> {
  if (request.resource !== undefined) throw new FleetError("INVALID", "a drain is of the whole host");
  if (!request.on) return;
  const bird = resources.find((each) => each.kind === "bird");
  if (bird === undefined) throw new FleetError("UNSUPPORTED", "no BIRD is managed here to drain");
  const { config } = bird.spec;
  const declared = declaredIn(config, await readIncludes(config, files));
  if (declared.muster_include) return;
  if (!request.disable)
    throw new FleetError("UNSUPPORTED", `its bird.conf lacks the line: include "${MUSTER_INCLUDE}";`);
  const { sessions, beyond } = disabling(config, declared);
  if (beyond.length > 0)
    throw new FleetError(
      "UNSUPPORTED",
      `sessions stand in files that bird.conf includes and cannot be disabled there: ${beyond.join(", ")}`,
    );
  withDisabled(config, sessions);
}
