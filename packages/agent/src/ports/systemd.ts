/**
 * systemd by its own programs: units, transient timers, and our own readiness. Questions that come within a few milliseconds are one
 * `systemctl show`, so that a round over a hundred services starts one process.
 */
import { rm, stat } from "node:fs/promises";
import { FleetError } from "@muster/protocol/errors";
import type { Run } from "./run.ts";
import { followUnits, type SignalListener } from "./systemd-signals.ts";
import { sinceBoot, timestamp } from "./systemd-times.ts";

export type UnitFacts = {
  readonly loaded: boolean;
  /** Masked by the operator or the distribution: it cannot be started or enabled. */
  readonly masked: boolean;
  readonly active: "active" | "activating" | "reloading" | "deactivating" | "inactive" | "failed";
  readonly enabled: boolean;
  /** False for a unit without [Install] (static, generated, …): there is nothing to enable. */
  readonly can_enable: boolean;
  readonly can_reload: boolean;
  /** Its file changed since systemd read it. */
  readonly needs_daemon_reload: boolean;
  /** The unit's file; null without one. */
  readonly fragment: string | null;
  readonly active_since_ms: number | null;
  /** Why it failed, in systemd's word: exit-code, timeout, oom-kill, …; success otherwise. */
  readonly result: string;
  /** Of a timer: when it last began a run and when it will; null when there is none, or the unit is no timer. */
  readonly last_run_ms: number | null;
  readonly next_run_ms: number | null;
};

/** What a unit is and uses at this moment. */
export type UnitUsage = Pick<UnitFacts, "loaded" | "active"> & {
  /** SubState: running, exited, waiting, … */
  readonly sub: string;
  /** Since when that state holds. */
  readonly since_ms: number | null;
  /** Times it was started anew by systemd itself; null for what is no service. */
  readonly restarts: number | null;
  /** Of all its processes; null where it is not counted, and while it does not run. */
  readonly memory_bytes: number | null;
  /** Why it ended, in systemd's word; null = well. */
  readonly result: string | null;
};

/** A program in a unit of its own. */
export type Task = {
  /** The unit's name; while one of that name runs, another is refused. */
  readonly name: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly limit_ms: number;
  /** File on the host that gets what it prints; made anew. */
  readonly log: string;
};

export type UnitVerb = "start" | "stop" | "reload" | "restart" | "enable" | "disable";

export type Systemd = {
  /** Whether this host runs systemd at all (sd_booted(3)). */
  available(): Promise<boolean>;
  /** Facts of several units, by the names asked for; `.service` may be left out. One process, whatever asks at the same time. */
  units(names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, UnitFacts>>;
  /** What these units, named with their type, are and use now. One process. */
  usage(names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, UnitUsage>>;
  /** Errors: COMMAND_FAILED with systemd's words. */
  act(verb: UnitVerb, unit: string, signal: AbortSignal): Promise<void>;
  /** Has systemd read the unit files again. */
  daemonReload(signal: AbortSignal): Promise<void>;
  /**
   * Runs a program after a while even when this process and its unit are gone: a transient timer of that name (`systemd-run --on-active`).
   * One that is armed already under that name is replaced.
   */
  arm(name: string, after_ms: number, command: readonly string[], signal: AbortSignal): Promise<void>;
  /**
   * Runs a program outside of this process' unit and waits for its end: it has the host's limits instead of the agent's, and goes on when the
   * agent ends. Gives its exit code. Errors: CONFLICT while one of that name runs, COMMAND_FAILED when it could not be started.
   */
  task(task: Task, signal: AbortSignal): Promise<number>;
  /** Tells when a unit begins or ends, until the signal aborts; names with their type. Does nothing where systemd does not run. */
  follow(units: readonly string[], on: SignalListener, signal: AbortSignal): void;
  /** Stops the timer of that name; none there is fine. */
  disarm(name: string, signal: AbortSignal): Promise<void>;
  /** sd_notify(3) through systemd-notify; does nothing outside a notify unit. */
  notify(state: { readonly ready?: true; readonly status?: string; readonly watchdog?: true }): Promise<void>;
};

export type SystemdOptions = {
  /** Its being there says that systemd runs. Below a prefix it is not, and no unit of the host is touched. */
  readonly marker?: string;
  readonly environment?: Readonly<Record<string, string | undefined>>;
};

const SHOW_LIMIT_MS = 15_000;
/** A unit may take up to its own TimeoutStartSec, 90 s by default. */
const ACT_LIMIT_MS = 120_000;
const GATHER_MS = 5;
const UNITS_A_CALL = 500;
const PROPERTIES = [
  "LoadState",
  "ActiveState",
  "UnitFileState",
  "CanReload",
  "NeedDaemonReload",
  "FragmentPath",
  "ActiveEnterTimestamp",
  "Result",
  "LastTriggerUSec",
  "NextElapseUSecRealtime",
  "NextElapseUSecMonotonic",
] as const;
const USAGE_PROPERTIES = [
  "LoadState",
  "ActiveState",
  "SubState",
  "StateChangeTimestamp",
  "NRestarts",
  "MemoryCurrent",
  "Result",
] as const;
const NOT_THERE: UnitFacts = {
  loaded: false,
  masked: false,
  active: "inactive",
  enabled: false,
  can_enable: false,
  can_reload: false,
  needs_daemon_reload: false,
  fragment: null,
  active_since_ms: null,
  result: "success",
  last_run_ms: null,
  next_run_ms: null,
};

type Asked = {
  readonly names: readonly string[];
  readonly resolve: (facts: ReadonlyMap<string, UnitFacts>) => void;
  readonly reject: (error: unknown) => void;
};

export function createSystemd(run: Run, options: SystemdOptions = {}): Systemd {
  const { marker = "/run/systemd/system", environment = process.env } = options;
  let waiting: Asked[] = [];

  const ask = async (): Promise<void> => {
    const asked = waiting;
    waiting = [];
    try {
      const names = [...new Set(asked.flatMap((each) => each.names))];
      const facts = new Map<string, UnitFacts>();
      for (let at = 0; at < names.length; at += UNITS_A_CALL) {
        const some = names.slice(at, at + UNITS_A_CALL);
        const told = await show(run, some, PROPERTIES, AbortSignal.timeout(SHOW_LIMIT_MS * 2));
        for (const name of some) {
          const fields = told.get(name);
          facts.set(name, fields === undefined ? NOT_THERE : unitFacts(fields));
        }
      }
      for (const each of asked) each.resolve(facts);
    } catch (error) {
      for (const each of asked) each.reject(error);
    }
  };

  const systemctl = async (args: readonly string[], signal: AbortSignal): Promise<void> => {
    const result = await run(
      "systemctl",
      ["--no-ask-password", ...args],
      { timeout_ms: ACT_LIMIT_MS },
      signal,
    );
    if (result.code === 0) return;
    const words = (result.stderr || result.stdout).trim().slice(0, 1_000);
    throw new FleetError("COMMAND_FAILED", `systemctl ${args.join(" ")}: ${words || `code ${result.code}`}`);
  };

  const disarm = async (name: string, signal: AbortSignal): Promise<void> => {
    // Stopping a transient timer that ran or never was gives 5, "not loaded".
    const args = ["--no-ask-password", "stop", `${name}.timer`];
    const result = await run("systemctl", args, { timeout_ms: SHOW_LIMIT_MS }, signal);
    if (result.code !== 0 && result.code !== 5)
      throw new FleetError(
        "COMMAND_FAILED",
        `systemctl stop ${name}.timer: ${result.stderr.trim().slice(0, 1_000)}`,
      );
  };

  const available = async (): Promise<boolean> => {
    try {
      return (await stat(marker)).isDirectory();
    } catch (error) {
      if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
        return false;
      throw new FleetError("FAILED", `${marker}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  };

  return {
    available,
    follow: (units, on, signal) =>
      void available()
        .then((runs) => (runs ? followUnits(units, on, signal) : undefined))
        .catch((error: unknown) => {
          if (!(error instanceof FleetError)) throw error;
          on.failed(error);
        }),
    units(names, signal) {
      if (signal.aborted)
        return Promise.reject(new FleetError("CANCELLED", "systemctl show was not started"));
      return new Promise((resolve, reject) => {
        waiting.push({ names, resolve, reject });
        if (waiting.length === 1) setTimeout(() => void ask(), GATHER_MS);
      });
    },
    async usage(names, signal) {
      const found = new Map<string, UnitUsage>();
      for (let at = 0; at < names.length; at += UNITS_A_CALL) {
        const told = await show(run, names.slice(at, at + UNITS_A_CALL), USAGE_PROPERTIES, signal);
        for (const [name, fields] of told) found.set(name, unitUsage(fields));
      }
      return found;
    },
    act: (verb, unit, signal) => systemctl([verb, unitName(unit)], signal),
    daemonReload: (signal) => systemctl(["daemon-reload"], signal),
    async arm(name, after_ms, command, signal) {
      await disarm(name, signal);
      const args = [
        `--unit=${name}`,
        `--on-active=${Math.ceil(after_ms)}ms`,
        "--timer-property=AccuracySec=100ms",
        "--collect",
        "--quiet",
        "--",
        ...command,
      ];
      const result = await run("systemd-run", args, { timeout_ms: SHOW_LIMIT_MS }, signal);
      if (result.code !== 0)
        throw new FleetError(
          "COMMAND_FAILED",
          `systemd-run ${name}: ${result.stderr.trim().slice(0, 1_000)}`,
        );
    },
    task: (task, signal) => runTask(run, task, signal),
    disarm,
    async notify({ ready, status, watchdog }) {
      if (environment.NOTIFY_SOCKET === undefined) return;
      const args = [
        ...(ready === true ? ["--ready"] : []),
        ...(status === undefined ? [] : [`--status=${status.replace(/\s+/g, " ").slice(0, 500)}`]),
        ...(watchdog === true ? ["WATCHDOG=1"] : []),
      ];
      if (args.length === 0) return;
      const result = await run(
        "systemd-notify",
        args,
        { timeout_ms: SHOW_LIMIT_MS },
        AbortSignal.timeout(SHOW_LIMIT_MS),
      );
      if (result.code !== 0)
        throw new FleetError("COMMAND_FAILED", `systemd-notify: ${result.stderr.trim().slice(0, 500)}`);
    },
  };
}

/** Beyond the task's own limit, by which systemd ends it. */
const TASK_SPARE_MS = 30_000;

async function runTask(run: Run, task: Task, signal: AbortSignal): Promise<number> {
  const { name, command, environment, limit_ms, log } = task;
  // systemd appends; `truncate:` is not there before 248.
  await rm(log, { force: true });
  const args = [
    `--unit=${name}`,
    ...["--wait", "--collect", "--quiet", "--no-ask-password", "--service-type=exec"],
    `--property=RuntimeMaxSec=${Math.ceil(limit_ms / 1_000)}`,
    `--property=StandardOutput=append:${log}`,
    `--property=StandardError=append:${log}`,
    ...Object.entries(environment).map(([key, value]) => `--setenv=${key}=${value}`),
    "--",
    ...command,
  ];
  const result = await run("systemd-run", args, { timeout_ms: limit_ms + TASK_SPARE_MS }, signal);
  const words = result.stderr.trim().slice(0, 1_000);
  if (/already (loaded|exists)/.test(words))
    throw new FleetError("CONFLICT", `${name}, which was begun before, still runs`);
  if (/^Failed to start/m.test(words))
    throw new FleetError("COMMAND_FAILED", `systemd-run ${name}: ${words}`);
  return result.code;
}

/** `name` with its type: a name without a known type is a service. */
export function unitName(name: string): string {
  const typed = /\.(service|socket|timer|target|mount|automount|path|slice|scope|device|swap)$/.test(name);
  return typed ? name : `${name}.service`;
}

/** The properties of each unit that can be asked for. */
async function show<P extends string>(
  run: Run,
  names: readonly string[],
  properties: readonly P[],
  signal: AbortSignal,
): Promise<Map<string, (name: P) => string>> {
  // A template has no state of its own, and one in the list makes systemctl refuse all of it.
  const askable = names.filter((name) => !/@(\.[a-z]+)?$/.test(name));
  if (askable.length === 0) return new Map();
  const args = [
    "show",
    "--no-pager",
    "--timestamp=utc",
    `--property=${properties.join(",")}`,
    "--",
    ...askable.map(unitName),
  ];
  const result = await run("systemctl", args, { timeout_ms: SHOW_LIMIT_MS }, signal);
  if (result.code !== 0)
    throw new FleetError("COMMAND_FAILED", `systemctl show: ${result.stderr.trim().slice(0, 1_000)}`);
  const blocks = result.stdout.trim().split(/\n\n+/);
  if (blocks.length !== askable.length)
    throw new FleetError(
      "COMMAND_FAILED",
      `systemctl show told of ${blocks.length} units, asked for ${askable.length}`,
    );
  return new Map(askable.map((name, index) => [name, fieldsOf(blocks[index] ?? "")]));
}

function fieldsOf(block: string): (name: string) => string {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const equals = line.indexOf("=");
    if (equals > 0) fields.set(line.slice(0, equals), line.slice(equals + 1));
  }
  return (name) => fields.get(name) ?? "";
}

function unitUsage(field: (name: (typeof USAGE_PROPERTIES)[number]) => string): UnitUsage {
  // What is not counted is `[not set]`, or the largest number there is.
  const count = (text: string) => (/^\d{1,15}$/.test(text) ? Number(text) : null);
  const result = field("Result");
  return {
    loaded: field("LoadState") === "loaded" || field("LoadState") === "masked",
    active: activeState(field("ActiveState")),
    sub: field("SubState"),
    since_ms: timestamp(field("StateChangeTimestamp")),
    restarts: count(field("NRestarts")),
    memory_bytes: count(field("MemoryCurrent")),
    result: result === "" || result === "success" ? null : result,
  };
}

function unitFacts(field: (name: (typeof PROPERTIES)[number]) => string): UnitFacts {
  const file_state = field("UnitFileState");
  const load_state = field("LoadState");
  return {
    loaded: load_state === "loaded" || load_state === "masked",
    masked: load_state === "masked",
    active: activeState(field("ActiveState")),
    enabled: file_state === "enabled" || file_state === "enabled-runtime" || file_state === "alias",
    can_enable: [
      "enabled",
      "enabled-runtime",
      "disabled",
      "alias",
      "linked",
      "linked-runtime",
      "indirect",
    ].includes(file_state),
    can_reload: field("CanReload") === "yes",
    needs_daemon_reload: field("NeedDaemonReload") === "yes",
    fragment: field("FragmentPath") === "" ? null : field("FragmentPath"),
    active_since_ms: timestamp(field("ActiveEnterTimestamp")),
    result: field("Result") === "" ? "success" : field("Result"),
    last_run_ms: timestamp(field("LastTriggerUSec")),
    next_run_ms: timestamp(field("NextElapseUSecRealtime")) ?? sinceBoot(field("NextElapseUSecMonotonic")),
  };
}

const ACTIVE_STATES = ["active", "activating", "reloading", "deactivating", "inactive", "failed"] as const;

function activeState(text: string): UnitFacts["active"] {
  return ACTIVE_STATES.find((state) => state === text) ?? "inactive";
}
