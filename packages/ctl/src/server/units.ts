/** The fleet's own services on this machine, through systemctl: whether they are there, started, started anew, and what they say. */
import { stat } from "node:fs/promises";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { FleetError } from "@muster/protocol/errors";
import { withNext } from "../output/error.ts";
import { runProgram } from "./run.ts";

export type UnitState = {
  readonly installed: boolean;
  readonly active: boolean;
  /** What it says of itself (`systemctl status`, line Status). */
  readonly says: string;
  /** To the second; 0 when it does not run. */
  readonly started_ms: number;
};

const POLL_MS = 200;
/** A service may take a while over its end. */
const STOP_MS = 100_000;

export async function unitState(unit: string, signal: AbortSignal): Promise<UnitState> {
  const fields = "LoadState,ActiveState,StatusText,ExecMainStartTimestamp";
  const { stdout } = await runProgram("systemctl", ["show", unit, "--property", fields], {}, signal);
  const value = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(stdout)?.[1] ?? "";
  const active = value("ActiveState") === "active";
  // `Wed 2026-11-25 15:49:23 UTC`
  const started = Date.parse(value("ExecMainStartTimestamp").replace(/^[A-Za-z]+ /, ""));
  return {
    installed: value("LoadState") === "loaded",
    active,
    says: value("StatusText"),
    started_ms: active && Number.isFinite(started) ? started : 0,
  };
}

/**
 * Has a unit run with these files, now and after every boot: enabled, started, started anew when a file is newer than it. Resolves when it is active.
 * @returns whether anything was done
 * Errors: FAILED with the unit's last words when it is not active in time.
 */
export async function keepRunning(
  unit: string,
  files: readonly string[],
  limit_ms: number,
  signal: AbortSignal,
): Promise<boolean> {
  const before = await unitState(unit, signal);
  const enabled = await runProgram("systemctl", ["is-enabled", "--quiet", unit], {}, signal);
  if (enabled.code !== 0) await mustRun(["enable", "--quiet", unit], signal);
  const changes = await Promise.all(files.map((file) => stat(file)));
  const newest_ms = Math.max(0, ...changes.map((file) => Math.floor(file.mtimeMs / 1_000) * 1_000));
  if (before.active && newest_ms <= before.started_ms) return enabled.code !== 0;
  await mustRun(["restart", "--no-block", unit], signal);
  const deadline = performance.now() + limit_ms;
  for (;;) {
    await sleep(POLL_MS, undefined, { signal });
    const now = await unitState(unit, signal);
    if (now.active) return true;
    if (performance.now() > deadline) throw await notUp(unit, now, limit_ms, signal);
  }
}

/** Resolves when a program of this machine takes connections there: a unit may be active before. Errors: FAILED. */
export async function untilListening(port: number, limit_ms: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + limit_ms;
  while (!(await accepts(port))) {
    if (performance.now() > deadline)
      throw new FleetError("FAILED", `nobody answers at port ${port} after ${limit_ms / 1_000} s`);
    await sleep(POLL_MS, undefined, { signal });
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "localhost" });
    const end = (good: boolean) => {
      socket.destroy();
      resolve(good);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

/** Resolves when it has ended. */
export function stopUnit(unit: string, signal: AbortSignal): Promise<void> {
  return mustRun(["stop", unit], signal);
}

async function mustRun(args: readonly string[], signal: AbortSignal): Promise<void> {
  const { code, stderr } = await runProgram("systemctl", args, { timeout_ms: STOP_MS }, signal);
  if (code !== 0) throw new FleetError("FAILED", `systemctl ${args.join(" ")}: ${stderr.trim()}`);
}

async function notUp(
  unit: string,
  state: UnitState,
  limit_ms: number,
  signal: AbortSignal,
): Promise<FleetError> {
  const journal = ["--unit", unit, "--no-pager", "--output", "cat", "--lines", "6"];
  const { stdout } = await runProgram("journalctl", journal, {}, signal);
  const words = state.says === "" ? stdout.trim() : state.says;
  return withNext(
    new FleetError("FAILED", `${unit} does not run after ${limit_ms / 1_000} s:\n${words}`),
    `systemctl status ${unit}, then the same ctl init line again: it goes on where it stopped`,
  );
}
