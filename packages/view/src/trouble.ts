/** What is wrong with a host, or wants attention: each with what, since when, the daemon's own words and the next command to type. Pure. */
import type { Convergence } from "@muster/protocol/telemetry/convergence";
import { machineFaults } from "@muster/protocol/telemetry/machine-faults";
import { checkTroubles } from "./checks.ts";
import { faultTroubles } from "./fault-trouble.ts";
import { hostWords } from "./host-words.ts";
import { isBehind, type Known } from "./known.ts";
import { daemonFault, isRed, redSessionText } from "./sessions.ts";
import { durationText, timeText, windowText } from "./words.ts";

export type Trouble = {
  readonly tint: "red" | "amber";
  /** What it is about, the same for as long as it lasts, such as `session/upstream`: rules, alerts and silences know it by this. One of a kind on a host. */
  readonly about: string;
  readonly what: string;
  readonly next: string;
};

/** A sample that is older than this says nothing of now. */
export const STALE_MS = 60_000;
/** Lives of what a controller issues, for hosts that do not say since when they have it; a third of a life left is an alarm. */
const LIFE_MS = 7 * 86_400_000;
const SKEW_LIMIT_MS = 5_000;

/** Of a host that is enrolled and heard. */
export function troublesOf(known: Known, convergence: Convergence, now_ms: number): Trouble[] {
  // By the host's own clock, where its samples tell instants.
  const there_ms = now_ms + known.clock_skew_ms;
  return [
    ...staleTroubles(known, convergence, there_ms),
    ...convergenceTroubles(known, convergence, there_ms),
    ...bgpTroubles(known, there_ms),
    ...checkTroubles(known, convergence, there_ms),
    ...faultTroubles(known, convergence, now_ms, there_ms),
    ...hostTroubles(known, now_ms),
  ];
}

/** A host that is heard, and says nothing any more of what it is in or how it is. */
function staleTroubles({ name, health }: Known, convergence: Convergence, now_ms: number): Trouble[] {
  const told = [
    { kind: "convergence", words: "its state", at: convergence.at, next: `ctl rpc status ${name}` },
    ...(health === null
      ? []
      : [{ kind: "health", words: "its health", at: health.at, next: `ctl health ${name}` }]),
  ];
  return told
    .filter(({ at }) => now_ms - at > STALE_MS)
    .map(({ kind, words, at, next }) => ({
      tint: "red",
      about: `blind/${kind}`,
      what: `its last word on ${words} is ${durationText(now_ms - at)} old`,
      next,
    }));
}

function convergenceTroubles(known: Known, convergence: Convergence, now_ms: number): Trouble[] {
  const { name } = known;
  const own = ownTrouble(known, convergence, now_ms);
  const undone = convergence.state === "undone";
  return [
    ...(own === null ? [] : [own]),
    ...convergence.troubles.map(
      (trouble): Trouble => ({
        tint: "red",
        about: `resource/${trouble.ref}`,
        what: `${trouble.ref} ${undone ? "UNDONE" : "FAILED"} ${durationText(now_ms - trouble.since)} ago: ${hostWords(trouble.what)}`,
        next: undone ? `ctl plan ${name}    or ctl rollback ${name}` : `ctl plan ${name}`,
      }),
    ),
    ...convergence.drift
      .filter((drift) => drift.action !== "corrected")
      .map(
        (drift): Trouble => ({
          tint: "amber",
          about: `drift/${drift.ref}`,
          what: `${drift.ref} ${drift.what}`,
          next: `ctl plan ${name} --overwrite    then ctl apply ${name} --overwrite`,
        }),
      ),
    ...drainTroubles(name, convergence, now_ms),
    ...convergence.held.map((hold): Trouble => {
      const until = hold.until === null ? "" : ` until ${timeText(hold.until)}`;
      return {
        tint: "amber",
        about: `hold/${hold.ref ?? "host"}`,
        what: `${hold.ref ?? "the whole host"} held by ${hold.by}${until}: ${hold.why}`,
        next: `on the host: muster-agent unhold${hold.ref === null ? "" : ` ${hold.ref}`}`,
      };
    }),
  ];
}

/** A drain is red when it was meant to be over, or does not do what it says. */
function drainTroubles(name: string, { drained }: Convergence, now_ms: number): Trouble[] {
  if (drained == null) return [];
  const { by, since, until, why, in_effect } = drained;
  const overdue = until !== null && until <= now_ms;
  const end =
    until === null
      ? ""
      : overdue
        ? `, SHOULD BE BACK since ${clockText(until, now_ms)}`
        : ` until ${timeText(until)}`;
  const effect = in_effect ? "" : ", NOT IN EFFECT";
  return [
    {
      tint: overdue || !in_effect ? "red" : "amber",
      about: "drain",
      what: `drained since ${clockText(since, now_ms)} by ${by}${end}${effect}: ${why}`,
      next: `ctl undrain ${name}`,
    },
  ];
}

/** The state itself, where no single resource says it better. */
function ownTrouble(known: Known, convergence: Convergence, now_ms: number): Trouble | null {
  const { name } = known;
  const { state, undo_at } = convergence;
  const told = convergence.troubles.length > 0;
  const since = `${durationText(now_ms - convergence.since)} ago`;
  const detail = convergence.detail === "" ? "" : `: ${hostWords(convergence.detail)}`;
  if ((state === "undone" || state === "failed") && !told)
    return {
      tint: "red",
      about: "change",
      what: `${state.toUpperCase()} ${since}${detail}`,
      next: `ctl plan ${name}`,
    };
  if (state === "refused")
    return { tint: "red", about: "change", what: `REFUSED ${since}${detail}`, next: `ctl plan ${name}` };
  if (state === "returned")
    return { tint: "amber", about: "change", what: `returned ${since}${detail}`, next: `ctl plan ${name}` };
  if (state === "unconfirmed" && undo_at !== null) {
    const what = `unconfirmed: taken back in ${windowText(undo_at - now_ms)} unless the guard is content`;
    return { tint: "amber", about: "change", what, next: "ctl apply --watch" };
  }
  if (!isBehind(known, convergence)) return null;
  const held = convergence.generation === null ? "no generation" : `generation ${convergence.generation}`;
  return {
    tint: "amber",
    about: "behind",
    what: `holds ${held}, ${known.signed_generation} is signed for it`,
    next: "ctl apply --watch",
  };
}

function bgpTroubles(known: Known, now_ms: number): Trouble[] {
  const { name, bgp, convergence, counted } = known;
  if (counted !== undefined) return [];
  // Whoever drained it takes its sessions down on purpose.
  const drained = convergence?.drained != null;
  if (bgp === null) {
    if ((convergence?.resources.managed.bird ?? 0) === 0) return [];
    return [
      {
        tint: "red",
        about: "blind/bgp",
        what: "nothing is known of its BGP sessions",
        next: `ctl bgp ${name}`,
      },
    ];
  }
  const age_ms = now_ms - Date.parse(bgp.at);
  if (age_ms > STALE_MS)
    return [
      {
        tint: "red",
        about: "blind/bgp",
        what: `its last word on BGP is ${durationText(age_ms)} old`,
        next: `ctl bgp ${name}`,
      },
    ];
  const fault = daemonFault(bgp, now_ms);
  // Without any session to watch nobody asked for a routing daemon.
  if (fault !== null)
    return bgp.sessions.length > 0 || (convergence?.resources.managed.bird ?? 0) > 0
      ? [{ tint: drained ? "amber" : "red", about: "bgp", what: fault, next: `ctl bgp ${name}` }]
      : [];
  return [
    ...bgp.sessions
      .filter((session) => isRed(session) || session.verdict === "drained")
      .map(
        (session): Trouble => ({
          tint: isRed(session) && !drained ? "red" : "amber",
          about: `session/${session.name}`,
          what: redSessionText(session, now_ms),
          next: `ctl bgp ${name} ${session.name}`,
        }),
      ),
    ...bgp.faults.map(
      ({ colour, what, session }): Trouble => ({
        tint: drained ? "amber" : colour,
        // A fault is the same while its words are.
        about: `routing/${what}`,
        what,
        next: `ctl bgp ${name}${session === null ? "" : ` ${session}`}`,
      }),
    ),
  ];
}

function hostTroubles(known: Known, now_ms: number): Trouble[] {
  const { name, health, clock_skew_ms: skew_ms } = known;
  return [
    ...(known.quarantined === null
      ? []
      : [
          {
            tint: "red",
            about: "quarantine",
            what: `IN QUARANTINE, two machines have its key: ${known.quarantined}`,
            next: `ctl host clear ${name}    when the copy is gone, or ctl host replace ${name}`,
          } as const,
        ]),
    ...known.certificates.flatMap(({ name: which, not_before, not_after }): Trouble[] => {
      const left_ms = not_after - now_ms;
      if (left_ms <= 0)
        return [
          {
            tint: "red",
            about: `certificate/${which}`,
            what: `${which} certificate ended ${durationText(-left_ms)} ago`,
            next: "on the host: journalctl -u muster-agent",
          },
        ];
      if (left_ms > (not_after - (not_before ?? not_after - LIFE_MS)) / 3) return [];
      return [
        {
          tint: "red",
          about: `certificate/${which}`,
          what: `${which} certificate ends in ${durationText(left_ms)} and was not renewed`,
          next: `ctl events --host ${name} --kind credentials`,
        },
      ];
    }),
    ...(health === null ? [] : machineFaults(health)).map(
      (fault): Trouble => ({
        ...fault,
        next: fault.about.startsWith("unit/")
          ? `on the host: systemctl status ${fault.about.slice("unit/".length)}`
          : fault.about === "reboot"
            ? `ctl reboot ${name}`
            : `ctl health ${name}`,
      }),
    ),
    ...(Math.abs(skew_ms) > SKEW_LIMIT_MS
      ? [
          {
            tint: "amber",
            about: "clock",
            what: `its clock is ${durationText(shownSkew(Math.abs(skew_ms)))} ${skew_ms > 0 ? "ahead" : "behind"}`,
            next: "on the host: timedatectl",
          } as const,
        ]
      : []),
  ];
}

/** What a sample takes on its way is in it: nothing to tell minutes and seconds by. */
const shownSkew = (skew_ms: number) => (skew_ms < 120_000 ? skew_ms : Math.round(skew_ms / 10_000) * 10_000);

/** `03:12` on the same day, else with the date; UTC. */
export function clockText(at_ms: number, now_ms: number): string {
  return now_ms - at_ms < 12 * 3_600_000
    ? `${new Date(at_ms).toISOString().slice(11, 16)} UTC`
    : timeText(at_ms);
}
