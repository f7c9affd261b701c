/**
 * BIRD on this host: a reading connection that stays, and one for changes that is opened when it is needed. One writer per BIRD: whoever
 * else configures it stops our timer. Owns the flap history, which every call of `sessions` advances, and the answers of past checks.
 */
import { stat } from "node:fs/promises";
import type { BgpSample } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { BIRDC_REPLY_BYTES } from "@muster/protocol/rpc/birdc";
import { checkReply, configureReply, configureStatus } from "../bird/configure.ts";
import { exportQuery, exportReply } from "../bird/exports.ts";
import { advanceFlaps, emptyFlaps, type FlapHistory, flapCount } from "../bird/flaps.ts";
import { type BirdReply, requireAccepted } from "../bird/framing.ts";
import { unjudged } from "../bird/judge.ts";
import { parseStatus } from "../bird/status.ts";
import { type Survey, surveyBird, surveySessions } from "../bird/survey.ts";
import { type BirdConnection, connectBird } from "./bird.ts";
import type { Run } from "./run.ts";
import { nobodyListens } from "./socket-identity.ts";

/** `words` are BIRD's own, the file named as it was given to the check. */
export type CheckResult = { readonly ok: true } | { readonly ok: false; readonly words: string };

export type RoutingStatus = {
  /** BIRD's own undo timer: an unconfirmed configuration is loaded; null when none runs. */
  readonly undo_in_ms: number | null;
  readonly in_progress: boolean;
  /** False for a BIRD that has no `configure status`: then `undo_in_ms` says nothing. */
  readonly known: boolean;
};

export type Routing = {
  /** Version of the BIRD that answers on its socket, else of the binary on disk; null when there is none. */
  version(signal: AbortSignal): Promise<string | null>;
  /** Whether a BIRD listens on its socket. Errors: BIRD_UNREACHABLE when one listens and does not answer. */
  running(signal: AbortSignal): Promise<boolean>;
  /**
   * `configure check` by the running daemon, else `bird -p` by its binary. `path` is the real path on disk. `key` names the content with all
   * that it includes: `checked` gives the answer again.
   */
  check(path: string, key: string, signal: AbortSignal): Promise<CheckResult>;
  /** The answer of an earlier check of this key; null when there is none. */
  checked(key: string): CheckResult | null;
  /**
   * `configure "path" timeout s` once a fresh check is good; waits until it is done (0003). `timeout_ms` null = at once permanent.
   * Errors: BIRD_REFUSED with its words, TIMEOUT when it is still busy after two minutes.
   */
  configure(path: string, timeout_ms: number | null, signal: AbortSignal): Promise<void>;
  status(signal: AbortSignal): Promise<RoutingStatus>;
  /** Errors: BIRD_REFUSED when nothing was pending. */
  confirm(signal: AbortSignal): Promise<void>;
  /** Takes the pending configuration back and waits until it is done. Errors: BIRD_REFUSED when nothing was pending. */
  undo(signal: AbortSignal): Promise<void>;
  /** Every session as BIRD tells it now, with its flaps, not yet judged (verdict `unknown`, nothing expected). Errors: BIRD_UNREACHABLE. */
  sessions(signal: AbortSignal): Promise<BgpSample>;
  /** The same, with all that BIRD says beside its sessions. Errors: BIRD_UNREACHABLE. */
  survey(signal: AbortSignal): Promise<BgpSample>;
  /**
   * BIRD's short table, a line a protocol with state and since: a session that goes, comes or is another one changes it, counters do not.
   * Errors: BIRD_UNREACHABLE.
   */
  table(signal: AbortSignal): Promise<string>;
  /**
   * The whole answer to a `show` command over a restricted connection of its own, as birdc prints it.
   * Errors: BIRD_UNREACHABLE, BIRD_REFUSED with its words, TOO_LARGE.
   */
  show(command: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Of each prefix whether it is exported to the session; null = BIRD could not tell. */
  exported(
    session: string,
    prefixes: readonly string[],
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, boolean | null>>>;
};

export type RoutingOptions = {
  /** The control socket, `/run/bird/bird.ctl` on Debian. */
  readonly socketPath: string;
  /** The daemon's program, such as `/usr/sbin/bird`. */
  readonly binary: string;
  readonly run: Run;
  readonly now?: () => number;
  /** How long BIRD may take for one answer; 10 s unless told, so that one that hangs is red within 15 s. */
  readonly reply_ms?: number;
  /** So long after a change of our own a session that falls is not counted as flapping; 30 s unless told. */
  readonly own_change_ms?: number;
};

const REPLY_LIMIT_MS = 10_000;
/** A full configuration with large prefix sets takes seconds to parse. */
const CONFIGURE_LIMIT_MS = 60_000;
const BUSY_LIMIT_MS = 120_000;
const BUSY_POLL_MS = 200;
const CHECKS_KEPT = 16;
const OWN_CHANGE_MS = 30_000;

/** Makes the port; nothing is opened before the first call. `signal` is its lifetime. */
export function createRouting(options: RoutingOptions, signal: AbortSignal): Routing {
  const {
    socketPath,
    binary,
    run,
    now = Date.now,
    own_change_ms = OWN_CHANGE_MS,
    reply_ms = REPLY_LIMIT_MS,
  } = options;
  const reading = connectBird({ socketPath, restricted: true, timeout_ms: reply_ms }, signal);
  const checks = new Map<string, CheckResult>();
  const clocks = () => ({ day_ms: now(), steady_ms: performance.now() });
  let flaps = emptyFlaps(clocks());
  let own_change_until_ms = 0;
  let on_disk: { readonly stamp: string; readonly version: string | null } | null = null;

  const ask = (text: string, caller: AbortSignal) => {
    if (caller.aborted) throw new FleetError("CANCELLED", `\`${text}\` was not sent to BIRD`);
    return reading.command(text);
  };

  const running = async (caller: AbortSignal): Promise<boolean> => {
    try {
      await ask("show status", caller);
      return true;
    } catch (error) {
      if (nobodyListens(error, "BIRD_UNREACHABLE")) return false;
      throw error;
    }
  };

  /** A connection of its own for each change: none lies open that could change something. */
  const changing = async <T>(
    caller: AbortSignal,
    work: (connection: BirdConnection) => Promise<T>,
  ): Promise<T> => {
    const lifetime = AbortSignal.any([signal, caller]);
    const connection = connectBird(
      { socketPath, restricted: false, timeout_ms: CONFIGURE_LIMIT_MS },
      lifetime,
    );
    try {
      return await work(connection);
    } finally {
      connection.close();
    }
  };

  const status = async (caller: AbortSignal): Promise<RoutingStatus> => {
    const read = configureStatus(await ask("configure status", caller));
    return {
      undo_in_ms: read.undo_in_s === null ? null : read.undo_in_s * 1_000,
      in_progress: read.state === "in_progress" || read.state === "queued",
      known: read.state !== "unknown",
    };
  };

  /** Reads the answer to a change and waits while BIRD is still at it (0004, 0005). */
  const settle = async (command: string, reply: BirdReply, caller: AbortSignal): Promise<void> => {
    requireAccepted(reply, command);
    const read = configureReply(reply);
    if (read.kind === "nothing_to_do")
      throw new FleetError("BIRD_REFUSED", `\`${command}\`: nothing was pending`);
    if (read.kind === "shutting_down")
      throw new FleetError("BIRD_REFUSED", `\`${command}\`: BIRD is shutting down`);
    if (read.kind !== "in_progress" && read.kind !== "queued") return;
    const end_ms = now() + BUSY_LIMIT_MS;
    while ((await status(caller)).in_progress) {
      if (now() > end_ms)
        throw new FleetError("TIMEOUT", `BIRD is still at \`${command}\` after ${BUSY_LIMIT_MS / 1_000} s`);
      await pause(BUSY_POLL_MS, caller);
    }
  };

  const binaryVersion = async (caller: AbortSignal): Promise<string | null> => {
    const stamp = await programStamp(binary);
    if (stamp === null) return null;
    if (on_disk?.stamp === stamp) return on_disk.version;
    const result = await run(binary, ["--version"], { timeout_ms: REPLY_LIMIT_MS }, caller);
    const version = /BIRD version (\S+)/.exec(result.stderr + result.stdout)?.[1] ?? null;
    on_disk = { stamp, version };
    return version;
  };

  const noted = ({ daemon, sessions, beside }: Survey): BgpSample => {
    const instants = clocks();
    const at_ms = instants.day_ms;
    const advanced = advanceFlaps(flaps, sessions, instants);
    flaps = at_ms < own_change_until_ms ? withoutNewFalls(advanced, flaps) : advanced;
    return {
      at: new Date(at_ms).toISOString(),
      daemon,
      sessions: sessions.map((session) => unjudged(session, flapCount(flaps, session.name, at_ms))),
      ...beside,
    };
  };

  const checkByBinary = async (path: string, caller: AbortSignal): Promise<CheckResult> => {
    const result = await run(binary, ["-p", "-c", path], { timeout_ms: CONFIGURE_LIMIT_MS }, caller);
    if (result.code === 0) return { ok: true };
    const words = (result.stderr || result.stdout).trim().replace(/^bird: /gm, "");
    return { ok: false, words: words.slice(0, 1_000) || `it ended with code ${result.code}` };
  };

  return {
    running,
    status,
    checked: (key) => checks.get(key) ?? null,
    async version(caller) {
      try {
        return parseStatus(await ask("show status", caller), now()).daemon.version;
      } catch (error) {
        if (nobodyListens(error, "BIRD_UNREACHABLE")) return binaryVersion(caller);
        throw error;
      }
    },
    async check(path, key, caller) {
      const result = (await running(caller))
        ? await changing(caller, (connection) => checkOver(connection, path))
        : await checkByBinary(path, caller);
      checks.delete(key);
      checks.set(key, result);
      for (const oldest of checks.keys()) {
        if (checks.size <= CHECKS_KEPT) break;
        checks.delete(oldest);
      }
      return result;
    },
    async configure(path, timeout_ms, caller) {
      const limit = timeout_ms === null ? "" : ` timeout ${Math.ceil(timeout_ms / 1_000)}`;
      const command = `configure ${quoted(path)}${limit}`;
      await changing(caller, async (connection) => {
        // A `configure` that does not parse would stop a timer that runs and keep what it should undo.
        const check = await checkOver(connection, path);
        if (!check.ok) throw new FleetError("BIRD_REFUSED", check.words);
        own_change_until_ms = now() + (timeout_ms ?? 0) + own_change_ms;
        await settle(command, await connection.command(command), caller);
      });
    },
    async confirm(caller) {
      await changing(caller, async (connection) =>
        settle("configure confirm", await connection.command("configure confirm"), caller),
      );
      own_change_until_ms = Math.min(own_change_until_ms, now() + own_change_ms);
    },
    async undo(caller) {
      own_change_until_ms = now() + own_change_ms;
      await changing(caller, async (connection) =>
        settle("configure undo", await connection.command("configure undo"), caller),
      );
    },
    sessions: async (caller) => noted(await surveySessions((text) => ask(text, caller), now)),
    survey: async (caller) => noted(await surveyBird((text) => ask(text, caller), now)),
    async table(caller) {
      return requireAccepted(await ask("show protocols", caller), "show protocols").text;
    },
    async show(command, caller) {
      const lifetime = AbortSignal.any([signal, caller]);
      const limits = { timeout_ms: REPLY_LIMIT_MS, max_reply_bytes: BIRDC_REPLY_BYTES };
      const connection = connectBird({ socketPath, restricted: true, ...limits }, lifetime);
      try {
        return requireAccepted(await connection.command(command), command).lines.map(({ text }) => text);
      } finally {
        connection.close();
      }
    },
    async exported(session, prefixes, caller) {
      const found: Record<string, boolean | null> = {};
      for (const prefix of prefixes)
        found[prefix] = exportReply(await ask(exportQuery(session, prefix), caller));
      return found;
    },
  };
}

/**
 * The history as if no session had fallen since `before`: what our own change does is no flapping. Else a change and its undo together would
 * take every session that they reset out of the guard for an hour.
 */
function withoutNewFalls(history: FlapHistory, before: FlapHistory): FlapHistory {
  const sessions = new Map(
    [...history.sessions].map(([name, session]) => {
      const falls_ms = before.sessions.get(name)?.falls_ms ?? [];
      return [name, { ...session, falls_ms }] as const;
    }),
  );
  return { ...history, sessions };
}

async function checkOver(connection: BirdConnection, path: string): Promise<CheckResult> {
  const result = checkReply(await connection.command(`configure check ${quoted(path)}`));
  if (result.ok) return result;
  const { file, line, column, message } = result.error;
  const where = [file, line, column].filter((part) => part !== null).join(":");
  return { ok: false, words: `${where === "" ? "" : `${where} `}${message}` };
}

/** BIRD's strings have no escapes: a path with a quote cannot be said. */
function quoted(path: string): string {
  if (/["\n]/.test(path))
    throw new FleetError("INVALID", `BIRD cannot be told the path ${JSON.stringify(path)}`);
  return `"${path}"`;
}

async function programStamp(path: string): Promise<string | null> {
  try {
    const found = await stat(path);
    return `${found.ino}:${found.mtimeMs}:${found.size}`;
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return null;
    throw new FleetError("FAILED", `${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new FleetError("CANCELLED", "while waiting for BIRD"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
