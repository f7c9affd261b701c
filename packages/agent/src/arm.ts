/**
 * Arms the undo of a record so that it happens without the agent: a transient systemd timer; where there is no systemd (an agent as a plain
 * process), a detached process of its own. Both run `muster-agent undo --record ID`.
 */
import { spawn } from "node:child_process";
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import { ownCommand } from "./own-command.ts";
import type { Systemd } from "./ports/index.ts";

export type Armer = {
  arm(id: string, after_ms: number, signal: AbortSignal): Promise<void>;
  disarm(id: string, signal: AbortSignal): Promise<void>;
};

/** The command that runs this program again, however it was started. */
export function selfCommand(config_file: string, args: readonly string[]): string[] {
  return [...ownCommand(), ...args, "--config", config_file];
}

export function createArmer(systemd: Systemd, config_file: string, log: Log): Armer {
  const children = new Map<string, ReturnType<typeof spawn>>();
  const unit = (id: string) => `muster-undo-${id.slice(0, 12)}`;
  return {
    async arm(id, after_ms, signal) {
      if (await systemd.available()) {
        await systemd.arm(unit(id), after_ms, selfCommand(config_file, ["undo", "--record", id]), signal);
        return;
      }
      log.warn({ id }, "no systemd here: the undo is a process of its own, which does not survive a reboot");
      const [file = "", ...args] = selfCommand(config_file, [
        "undo",
        "--record",
        id,
        "--after-ms",
        String(after_ms),
      ]);
      const child = spawn(file, args, { detached: true, stdio: "ignore" });
      await new Promise<void>((resolve, reject) => {
        child.once("spawn", resolve);
        child.once("error", (cause) =>
          reject(new FleetError("FAILED", `the undo cannot be armed: ${cause.message}`, { cause })),
        );
      });
      child.unref();
      children.set(id, child);
    },
    async disarm(id, signal) {
      if (await systemd.available()) await systemd.disarm(unit(id), signal);
      children.get(id)?.kill();
      children.delete(id);
    },
  };
}
