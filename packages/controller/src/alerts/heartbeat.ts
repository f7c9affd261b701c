/**
 * The dead man's: an outside watcher hears at a period that hosts are watched and alerts go out, and raises its own alarm when it hears nothing any more. Sent by whoever
 * leads, and only after a look that was whole.
 */
import type { Log } from "@muster/ports/log";
import type { RouteStanding } from "@muster/protocol/alert";
import type { Heartbeat } from "@muster/protocol/alerting";
import { FleetError } from "@muster/protocol/errors";
import { ask } from "../outside.ts";

export type HeartbeatPorts = {
  readonly log: Log;
  readonly now: () => number;
  secret(text: string): Promise<string>;
  readonly signal: AbortSignal;
};

export class DeadMan {
  readonly #ports: HeartbeatPorts;
  #next_at = 0;
  #sending: Promise<void> | null = null;
  #standing: Pick<RouteStanding, "ok_at" | "failing_since" | "error"> = {
    ok_at: null,
    failing_since: null,
    error: "",
  };

  constructor(ports: HeartbeatPorts) {
    this.#ports = ports;
  }

  standing(): RouteStanding {
    return { name: "heartbeat", to: "heartbeat", ...this.#standing, waiting: 0 };
  }

  /** After a look. Not awaited. */
  beat(heartbeat: Heartbeat): void {
    const { now } = this.#ports;
    const wait_ms = this.#next_at - now();
    // One that is longer than the period is a clock that was set back: silence would be an alarm.
    if (this.#sending !== null || (wait_ms > 0 && wait_ms <= heartbeat.every_ms)) return;
    this.#next_at = now() + heartbeat.every_ms;
    this.#sending = this.#send(heartbeat).finally(() => {
      this.#sending = null;
    });
  }

  /** Resolves when nothing is being sent. */
  async settled(): Promise<void> {
    await this.#sending;
  }

  async #send({ url, method, ca }: Heartbeat): Promise<void> {
    const { log, now, secret, signal } = this.#ports;
    try {
      await ask({ method, url: await secret(url), what: "the outside watcher", ca }, signal);
      this.#standing = { ok_at: now(), failing_since: null, error: "" };
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (signal.aborted) return;
      const { ok_at, failing_since } = this.#standing;
      this.#standing = { ok_at, failing_since: failing_since ?? now(), error: error.message.slice(0, 500) };
      log.warn({ err: error }, "the heartbeat");
    }
  }
}
