/** What `systemctl status` shows of the controller, and its watchdog. Node has no unix datagrams, so it goes through `systemd-notify`. */
import { execFile } from "node:child_process";
import type { Log } from "@muster/ports/log";

/** For `WatchdogSec=90`. */
const WATCHDOG_MS = 30_000;

export interface Status {
  /** One line on where the controller stands. The same line twice is told once. */
  say(text: string): void;
  ready(text: string): void;
  stopping(): void;
}

/** Without NOTIFY_SOCKET in the environment the lines go to the log only. */
export function openStatus(log: Log, signal: AbortSignal): Status {
  const notify = (process.env.NOTIFY_SOCKET ?? "") !== "";
  let last = "";
  const send = (...lines: string[]): void => {
    if (!notify) return;
    execFile("systemd-notify", lines, { timeout: 5_000 }, (error) => {
      if (error !== null) log.warn({ err: error }, "systemd-notify failed");
    });
  };
  if (notify) {
    const beat = setInterval(() => send("WATCHDOG=1"), WATCHDOG_MS);
    beat.unref();
    signal.addEventListener("abort", () => clearInterval(beat), { once: true });
  }
  const say = (text: string, ...more: string[]): void => {
    const line = text.replaceAll(/[\r\n]+/g, " ").slice(0, 500);
    if (line === last && more.length === 0) return;
    last = line;
    log.info({}, line);
    send(...more, `--status=${line}`);
  };
  return {
    say: (text) => say(text),
    ready: (text) => say(text, "--ready"),
    stopping: () => say("ending", "STOPPING=1"),
  };
}
