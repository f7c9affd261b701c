/** From two samples to what happened between them, in sentences. Pure. */
import type { BgpSample, FleetEvent } from "@muster/protocol";
import { type BgpSession, bgpColour, daemonTitle } from "@muster/protocol/telemetry/bgp";

type Told = Omit<FleetEvent, "at">;

export function sessionEvents(before: BgpSample, now: BgpSample): Told[] {
  if (before.daemon.reachable && !now.daemon.reachable) {
    const count = now.sessions.filter((session) => session.expected === "up").length;
    const sessions = count === 0 ? "" : `; ${count} expected sessions are unknown`;
    return [
      {
        kind: "session",
        severity: "error",
        what: `${daemonTitle(now.daemon.name)} does not answer: ${now.daemon.error ?? "unknown"}${sessions}`,
      },
    ];
  }
  const events: Told[] = [];
  if (!before.daemon.reachable && now.daemon.reachable) {
    events.push({
      kind: "session",
      severity: "info",
      what: `${daemonTitle(now.daemon.name)} ${now.daemon.version ?? ""} answers again`,
    });
  }
  const earlier = new Map(before.sessions.map((session) => [session.name, session]));
  for (const session of now.sessions) {
    const was = earlier.get(session.name);
    earlier.delete(session.name);
    const event = was === undefined ? appeared(session) : changed(was, session);
    if (event !== null) events.push({ kind: "session", session: session.name, ...event });
  }
  for (const session of earlier.values()) {
    if (!before.daemon.reachable) continue;
    events.push({
      kind: "session",
      session: session.name,
      severity: "info",
      what: `session ${session.name} is no longer configured`,
    });
  }
  return [...events, ...faultEvents(before, now)];
}

/** A fault is the same while its words are. */
function faultEvents(before: BgpSample, now: BgpSample): Told[] {
  // What was wrong while BIRD could not be asked is not known.
  if (!before.daemon.reachable) return [];
  const of = ({ faults }: BgpSample) => new Set(faults.map(({ what }) => what));
  const [were, are] = [of(before), of(now)];
  const told = (each: BgpSample["faults"][number], over: boolean): Told => ({
    kind: "session",
    ...(each.session === null ? {} : { session: each.session }),
    severity: over ? "info" : each.colour === "red" ? "error" : "warning",
    what: over ? `over: ${each.what}` : each.what,
  });
  return [
    ...now.faults.filter(({ what }) => !were.has(what)).map((each) => told(each, false)),
    ...before.faults.filter(({ what }) => !are.has(what)).map((each) => told(each, true)),
  ];
}

type Sentence = Pick<FleetEvent, "severity" | "what" | "state">;

function appeared(session: BgpSession): Sentence | null {
  if (session.dynamic && session.expected !== "up") return null;
  return { severity: severityOf(session), what: `session ${session.name} is new: ${session.state}` };
}

function changed(was: BgpSession, now: BgpSession): Sentence | null {
  const up = now.state === "established";
  const was_up = was.state === "established";
  if (up && !was_up)
    return {
      severity: "info",
      what: `session ${now.name}${peer(now)} is established`,
      state: now.state,
    };
  if (!up && was_up) {
    const words = now.last_error ?? now.info ?? "";
    const why = words === "" ? "" : `: ${words}`;
    return {
      severity: severityOf(now),
      what: `session ${now.name}${peer(now)} went down, ${now.state}${why}`,
      state: now.state,
    };
  }
  if (was.verdict === now.verdict) return null;
  if (now.verdict === "ok") return { severity: "info", what: `session ${now.name} is well again` };
  return {
    severity: severityOf(now),
    what: `session ${now.name}: ${now.why === "" ? now.verdict : now.why}`,
  };
}

const peer = (session: BgpSession) => (session.neighbor_as === null ? "" : ` (AS${session.neighbor_as})`);

function severityOf(session: BgpSession): FleetEvent["severity"] {
  const colour = bgpColour(session.verdict);
  return colour === "red" ? "error" : colour === "amber" ? "warning" : "info";
}
