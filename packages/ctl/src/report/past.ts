/** The past of one BGP session: its routes as a row of marks, how it came and went with the reasons, how often it was down. Pure. */
import type { FleetEvent } from "@muster/protocol/event";
import type { Colour } from "../output/colour.ts";
import { LEVELS } from "../output/spark.ts";
import { countText, durationText, numberText } from "../output/words.ts";
import type { SessionPast } from "../roster/session-past.ts";

const SHOWN = 10;
const FALLS_BACK_MS = 7 * 86_400_000;
const MARKS = 48;
const UNKNOWN = "·";

/** Lines below a diagnosis; none where nothing is known. */
export function pastLines(past: SessionPast, now_ms: number, colour: Colour): string[] {
  const { host, session, events, routes, since } = past;
  const shown = events.slice(-SHOWN);
  const more = events.length - shown.length;
  const lines = [
    ...routesLine(routes, since, now_ms),
    ...(more === 0
      ? []
      : [`${countText(more, "event")} before: ctl events --host ${host} --kind session --last 1000`]),
    ...shown.map((event) => eventLine(event, lasted(event, events), session, colour)),
    ...fallsLine(events, now_ms),
  ];
  return lines.map((line, at) => (at === 0 ? `past   ${line}` : `       ${line}`));
}

/** Between two instants the least that was known: a gap in the routes shows, however short it was. */
function routesLine(routes: SessionPast["routes"], since: number, now_ms: number): string[] {
  const known = routes.flatMap(({ imported }) => imported ?? []);
  if (known.length === 0) return [];
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const each_ms = (now_ms - since) / MARKS;
  const marks = Array.from({ length: MARKS }, (_, at): string => {
    const [from, to] = [since + at * each_ms, since + (at + 1) * each_ms];
    const within = routes.filter((point) => point.at >= from && (point.at < to || at === MARKS - 1));
    const values = within.flatMap(({ imported }) => imported ?? []);
    if (values.length === 0) return UNKNOWN;
    const share = most === 0 ? 0 : Math.min(...values) / most;
    return LEVELS[Math.min(LEVELS.length - 1, Math.floor(share * LEVELS.length))] ?? UNKNOWN;
  });
  const range = least === most ? numberText(most) : `${numberText(least)} to ${numberText(most)}`;
  return [
    `imported ${range} in ${durationText(now_ms - since)}  ${marks.join("")}  a mark is ${durationText(each_ms)}, at its least`,
  ];
}

function eventLine(event: FleetEvent, lasted_ms: number | null, name: string, colour: Colour): string {
  const at = new Date(event.at).toISOString().slice(0, 19).replace("T", " ");
  const paint = { info: (text: string) => text, warning: colour.amber, error: colour.red }[event.severity];
  const begun = event.what.startsWith(`session ${name}`) ? event.what.slice(`session ${name}`.length) : "";
  const words = begun === "" ? event.what : begun.replace(/^:? (\(AS\d+\) )?/, "");
  const drained = event.drained === true ? colour.dim(" (drained)") : "";
  const before =
    lasted_ms === null
      ? ""
      : `    ${event.state === "established" ? "was down" : "was up"} ${durationText(lasted_ms)}`;
  return `${colour.dim(at)}  ${paint(words.replaceAll("\n", " "))}${drained}${before}`;
}

/** How long what an event ended had lasted: since the other one before it that said so. */
function lasted(event: FleetEvent, events: readonly FleetEvent[]): number | null {
  if (event.state === undefined) return null;
  const before = events.slice(0, events.indexOf(event)).findLast(({ state }) => state !== undefined);
  if (before === undefined || isUp(before) === isUp(event)) return null;
  return Math.max(0, event.at - before.at);
}

const isUp = ({ state }: FleetEvent): boolean => state === "established";

function fallsLine(events: readonly FleetEvent[], now_ms: number): string[] {
  const told = events.filter(({ state }) => state !== undefined);
  const falls = told.filter((event) => !isUp(event) && event.at > now_ms - FALLS_BACK_MS);
  if (falls.length === 0) return [];
  const down_ms = falls.reduce((sum, fall) => {
    const next = told.find(({ at }) => at > fall.at);
    return sum + (next === undefined ? now_ms : next.at) - fall.at;
  }, 0);
  return [
    `down ${countText(falls.length, "time")} in ${durationText(FALLS_BACK_MS)}, ${durationText(down_ms)} in all`,
  ];
}
