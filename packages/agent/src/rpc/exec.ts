/**
 * RPC `exec`: a program as root in a transient unit of its own, so that the agent's confinement and memory limit are not its, and a stop takes all
 * that it started with it. Told as an event before and after, with the program's name alone, since viewers read events and an argument may be a
 * secret; the whole line is the unit's description, in the host's journal, which operators read. The audit has how it ended, too.
 */

import type { Call } from "@muster/ports/dispatch";
import { randomId } from "@muster/ports/dispatch";
import type { OpenedStream, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { EXEC_CHUNK_LIMIT } from "@muster/protocol/rpc/exec";
import type { RpcDoor } from "./door.ts";

const STOP_MS = 10_000;
const TOLD_LIMIT = 1_000;

export const exec =
  (door: RpcDoor) =>
  async (request: RpcRequest<"exec">, call: Call): Promise<OpenedStream> => {
    const { events, ports, streams } = door;
    const { principal } = call;
    if (principal === null) throw new FleetError("UNSIGNED", "a program needs a signer");
    if (ports.confined !== null)
      throw new FleetError("UNSUPPORTED", `a program is the whole machine's: ${ports.confined}`);
    if (!(await ports.systemd.available()))
      throw new FleetError("UNSUPPORTED", "there is no systemd here to run it apart from the agent");
    const by = principal.name;
    const words = shown(request.command);
    const program = named(request.command);
    const order = `${by} from ${plain(request.from)}`;
    const tell = (severity: "info" | "warning", what: string) =>
      events.tell({ kind: "exec", severity, what: what.slice(0, 4_000), by });
    const audited = call.endsLater?.();
    return streams.open<"exec">(call, async (write, signal) => {
      const unit = `muster-exec-${randomId().slice(0, 12)}`;
      const began_ms = ports.now();
      const took = () => `after ${((ports.now() - began_ms) / 1_000).toFixed(1)} s`;
      tell("info", `${order} runs: ${program}`);
      const on_output = async (from: "stdout" | "stderr", text: string) => {
        for (const piece of pieces(text)) await write({ from, text: piece });
      };
      // Its processes hold our pipes: only once the unit is gone has the program ended for us too.
      let stopping: Promise<unknown> | null = null;
      const stop = () => {
        const limit = AbortSignal.timeout(STOP_MS);
        stopping ??= ports.run("systemctl", ["stop", `${unit}.service`], { timeout_ms: STOP_MS }, limit);
        stopping.catch(() => undefined);
        return stopping;
      };
      signal.addEventListener("abort", stop, { once: true });
      try {
        const argv = unitArguments(unit, `${order}: ${words}`, request);
        const ran = await ports.runStreamed("systemd-run", argv, { on_output }, signal);
        // systemd-run says 1 of a unit whose time was over.
        const late = ran.code !== 0 && ports.now() - began_ms >= request.longest_ms;
        const ended = late ? { code: null, ended_by: "its time limit" } : ran;
        const how = ended.ended_by === null ? `exit ${ended.code}` : `ended by ${ended.ended_by}`;
        tell(ended.code === 0 ? "info" : "warning", `${order} ran: ${program}: ${how} ${took()}`);
        audited?.(
          `${program}: ${how} ${took()}`,
          ended.code === 0 ? null : new FleetError("COMMAND_FAILED", how),
        );
        return ended;
      } catch (error) {
        await stop();
        tell("warning", `${order} ran: ${program}: stopped ${took()}`);
        audited?.(`${program}: stopped ${took()}`, new FleetError("CANCELLED", "the stream ended"));
        throw error;
      } finally {
        signal.removeEventListener("abort", stop);
      }
    });
  };

/** `env` finds the program as a shell would, and says 127 where there is none. */
export function unitArguments(unit: string, description: string, request: RpcRequest<"exec">): string[] {
  return [
    "--quiet",
    "--pipe",
    "--wait",
    "--collect",
    `--unit=${unit}`,
    // Else systemd reads % and $ in it.
    `--description=${description.replaceAll("%", "%%")}`,
    `--property=RuntimeMaxSec=${Math.ceil(request.longest_ms / 1_000)}`,
    "--property=TimeoutStopSec=2s",
    "--",
    "/usr/bin/env",
    "--",
    ...request.command,
  ];
}

/** The program, and whether it was given more. */
const named = ([program = "", ...more]: readonly string[]) =>
  shown([program]) + (more.length > 0 ? " …" : "");

/** As a shell would need it typed, so that it can be read without a doubt; control characters do not get into the journal. */
export function shown(command: readonly string[]): string {
  const words = command.map((word) =>
    /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${plain(word).replaceAll("'", "'\\''")}'`,
  );
  const text = words.join(" ");
  return text.length > TOLD_LIMIT ? `${text.slice(0, TOLD_LIMIT)}…` : text;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const plain = (text: string) => text.replace(/[\x00-\x1f\x7f]/g, "?");

function* pieces(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    let end = Math.min(at + EXEC_CHUNK_LIMIT, text.length);
    // Not between the halves of a character.
    if (end < text.length && /[\ud800-\udbff]/.test(text[end - 1] ?? "")) end -= 1;
    yield text.slice(at, end);
    at = end;
  }
}
