/** One BGP session explained: what it should be, the daemon's and the peer's own words, the way there, and what we changed. What was before is in `past.ts`. Pure. */
import type { PathProbe } from "@muster/protocol/rpc/index";
import { type BgpSample, type BgpSession, bgpColour } from "@muster/protocol/telemetry/bgp";
import { daemonFault, routeCount, sinceText, verdictText } from "@muster/view/sessions";
import type { Colour } from "../output/colour.ts";
import { durationText, numberText } from "../output/words.ts";
import { detailLines } from "./details.ts";

export type Diagnosed = {
  readonly sample: BgpSample;
  readonly session: BgpSession;
  readonly path: PathProbe | null;
};

const EXPECTED = {
  up: "expected up",
  pending: "ordered, may be down",
  none: "nothing is asked of it",
} as const;

export function diagnosisLines(found: Diagnosed, now_ms: number, colour: Colour): string[] {
  const { session, path, sample } = found;
  const paint = { red: colour.red, amber: colour.amber, green: colour.green, grey: colour.dim }[
    bgpColour(session.verdict)
  ];
  const state = session.state === "established" ? "UP" : verdictText(session.verdict);
  const until = session.pending_until === null ? "" : ` until ${session.pending_until}`;
  const head = [
    `${paint(state)}${session.since.at === null ? "" : ` ${sinceText(session, now_ms)}`}, ${EXPECTED[session.expected]}${until}`,
    peerText(session),
    routesText(routeCount(session, "imported"), routeCount(session, "exported")),
    wasText(session),
  ];
  const fault = daemonFault(sample, now_ms);
  return [
    head.filter((part) => part !== "").join("    "),
    ...(session.why === "" || session.state !== "established" ? [] : [`why    ${paint(session.why)}`]),
    fault === null
      ? daemonLine(session, sample.daemon.name)
      : `${sample.daemon.name.padEnd(6)} ${colour.red(fault)}`,
    ...detailLines(sample, session, colour),
    ...(session.flaps !== null && session.flaps > 0
      ? [`flaps  ${colour.amber(String(session.flaps))} in the last hour`]
      : []),
    ...(path === null ? [] : [pathLine(path, session, now_ms)]),
  ];
}

function peerText(session: BgpSession): string {
  const as = session.neighbor_as === null ? "any AS" : `AS${session.neighbor_as}`;
  const port = session.neighbor_port === null ? "" : ` port ${session.neighbor_port}`;
  return `${as} ${session.neighbor_address ?? session.neighbor_range ?? "no address"}${port}`;
}

function wasText({ was }: BgpSession): string {
  if (was === null) return "";
  const up = was.up_ms === null ? "was up" : `was up ${durationText(was.up_ms)}`;
  const routes = routesText(was.imported, was.exported);
  return routes === "" ? up : `${up}, ${routes}`;
}

function routesText(imported: number | null, exported: number | null): string {
  return [
    imported === null ? "" : `imported ${numberText(imported)}`,
    exported === null ? "" : `exported ${numberText(exported)}`,
  ]
    .filter((part) => part !== "")
    .join(", ");
}

function daemonLine(session: BgpSession, name: string): string {
  const daemon = name.padEnd(6);
  if (session.protocol_state === "missing") return `${daemon} does not have this session`;
  const state = session.state.charAt(0).toUpperCase() + session.state.slice(1);
  const words = [state, ...(session.last_error === null ? [] : [session.last_error])].join(", ");
  return `${daemon} ${words}${session.message === null ? "" : `         peer's last words  "${session.message}"`}`;
}

function pathLine(path: PathProbe, session: BgpSession, now_ms: number): string {
  const change =
    path.last_change_here_at === null
      ? "Muster never changed BIRD here"
      : `our last change here  ${durationText(now_ms - path.last_change_here_at)} ago`;
  if (path.interface === null) return `path   no route to the neighbour     ${change}`;
  const link =
    path.interface_up === null ? path.interface : `${path.interface} ${path.interface_up ? "up" : "DOWN"}`;
  const echo =
    path.reply_ms === null
      ? "neighbour does not answer ping"
      : `neighbour answers in ${echoText(path.reply_ms)}`;
  const verdict = conclusion(path, session);
  return `path   ${link}, ${echo}, port 179 ${path.port_179}${verdict === "" ? "" : `: ${verdict}`}     ${change}`;
}

const echoText = (reply_ms: number) =>
  `${reply_ms < 0.1 ? "less than 0.1" : reply_ms < 10 ? reply_ms.toFixed(1) : Math.round(reply_ms)} ms`;

/** What the probes add up to; nothing where they do not say enough. */
function conclusion(path: PathProbe, session: BgpSession): string {
  if (session.state === "established") return "";
  if (path.interface_up === false) return "the link is down on this side";
  if (path.port_179 === "refused") return "the other side's BGP is stopped";
  if (path.port_179 === "unreachable") return "there is no way to it";
  if (path.port_179 === "silent")
    return path.reply_ms === null
      ? "the neighbour is away, or a filter drops everything"
      : "a filter drops TCP 179, or the other side does not know us";
  return "the other side listens: look at AS numbers, password and addresses on both sides";
}
