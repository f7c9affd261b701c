/** RPC `reboot`: told as an event, answered, and then done by systemd. */
import type { Call } from "@muster/ports/dispatch";
import type { RpcReply, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { bootOf } from "../boot.ts";
import type { RpcDoor } from "./door.ts";

export const reboot =
  (door: RpcDoor) =>
  async ({ why }: RpcRequest<"reboot">, call: Call): Promise<RpcReply<"reboot">> => {
    const { events, ports } = door;
    const { principal, signal } = call;
    if (principal === null) throw new FleetError("UNSIGNED", "a reboot needs a signer");
    if (ports.confined !== null)
      throw new FleetError("UNSUPPORTED", `a reboot is the whole machine's: ${ports.confined}`);
    const boot = await bootOf();
    events.tell({ kind: "exec", severity: "warning", what: `reboots: ${why}`, by: principal.name });
    // A moment later, so that the answer and the event get out before the network goes.
    const { code, stderr } = await ports.run(
      "systemd-run",
      ["--quiet", "--collect", "--on-active=2s", "--timer-property=AccuracySec=100ms", "systemctl", "reboot"],
      { timeout_ms: 5_000 },
      signal,
    );
    if (code !== 0) throw new FleetError("COMMAND_FAILED", `systemctl reboot: ${stderr.trim()}`);
    return { boot };
  };
