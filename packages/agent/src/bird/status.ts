/** Reads `show status`: version, router id, BIRD's clock, last start and reconfiguration, what it is busy with. */
import { FleetError } from "@muster/protocol/errors";
import type { BgpDaemon } from "@muster/protocol/telemetry/bgp";
import type { BirdReply } from "./framing.ts";
import { type BirdClock, birdClock, sinceInstant, UNKNOWN_SINCE } from "./since.ts";

export type BirdStatus = { readonly daemon: BgpDaemon; readonly clock: BirdClock | null };

/**
 * @param now_ms the host's clock when the reply came, to learn BIRD's time zone
 * @throws BIRD_REPLY if this is no reply to `show status`
 */
export function parseStatus(reply: BirdReply, now_ms: number): BirdStatus {
  const texts = reply.lines.map((line) => line.text.trim());
  const after = (start: string): string | null => {
    const found = texts.find((text) => text.startsWith(start));
    return found === undefined ? null : found.slice(start.length).trim();
  };
  const version = reply.lines.find((line) => line.code === 1000)?.text.replace(/^BIRD\s+/, "") ?? null;
  const final = reply.lines.at(-1);
  if (version === null || final?.code !== 13) {
    throw new FleetError(
      "BIRD_REPLY",
      `not a reply to \`show status\`: ${final?.code ?? "-"} ${final?.text ?? ""}`,
    );
  }
  const server_time = after("Current server time is");
  const clock = server_time === null ? null : birdClock(server_time, now_ms);
  const instant = (text: string | null) => (text === null ? UNKNOWN_SINCE : sinceInstant(text, clock));
  return {
    clock,
    daemon: {
      name: "bird",
      reachable: true,
      error: null,
      version,
      router_id: after("Router ID is"),
      since: instant(after("Last reboot on")),
      reconfigured: instant(after("Last reconfiguration on")),
      state: daemonState(reply),
      undo_in_s: null,
      memory_bytes: null,
    },
  };
}

/** The daemon block of a sample when the control socket does not answer; `error` is shown to the operator. */
export function unreachableDaemon(error: string): BgpDaemon {
  return {
    name: "bird",
    reachable: false,
    error,
    version: null,
    router_id: null,
    since: UNKNOWN_SINCE,
    reconfigured: UNKNOWN_SINCE,
    state: "unknown",
    undo_in_s: null,
    memory_bytes: null,
  };
}

function daemonState(reply: BirdReply): BgpDaemon["state"] {
  const text = reply.lines.at(-1)?.text ?? "";
  if (/^Shutdown/i.test(text)) return "shutting_down";
  if (/^Reconfiguration/i.test(text)) return "reconfiguring";
  if (reply.lines.some((line) => line.code === 24 || /^Graceful restart recovery/i.test(line.text.trim()))) {
    return "recovering";
  }
  return /^Daemon is up and running/i.test(text) ? "running" : "unknown";
}
