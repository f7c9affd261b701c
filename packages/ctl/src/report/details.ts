/** What a diagnosis says beyond a session's state, where there is something to say: limits, channels, our own prefixes, BFD, a pending configuration. Pure. */
import {
  atLimitText,
  type BgpChannel,
  type BgpCounters,
  type BgpMessages,
  type BgpSample,
  type BgpSession,
  daemonTitle,
} from "@muster/protocol/telemetry/bgp";
import type { Timer } from "@muster/protocol/telemetry/routing";
import type { Colour } from "../output/colour.ts";
import { listText, numberText, windowText } from "../output/words.ts";

/** A limit is worth a line from here on: of what is allowed, so much is used. */
const NEAR_LIMIT = 0.8;

export function detailLines(sample: BgpSample, session: BgpSession, colour: Colour): string[] {
  const up = session.state === "established";
  const next = session.connect_timer;
  return [
    ...(up || next === null ? [] : [`next   tries again in ${windowText(next.remaining_s * 1_000)}`]),
    ...routeLines(session, up, colour),
    ...limitLines(session, colour),
    ...ownLines(session, sample.daemon.name, colour),
    ...sample.bfd
      .filter(({ address }) => address === session.neighbor_address)
      .map(({ state, interval_s, timeout_s }) =>
        state === "up"
          ? `bfd    up, a packet every ${interval_s} s, down after ${timeout_s} s of silence`
          : `bfd    ${colour.red(state)}: the path itself does not carry its packets`,
      ),
    ...(sample.daemon.undo_in_s === null
      ? []
      : [
          `config ${colour.amber("not confirmed")}: BIRD takes it back in ${windowText(sample.daemon.undo_in_s * 1_000)}`,
        ]),
  ];
}

/** One line where the sums above hide something: several channels, filtered routes, a channel that is not up. */
function routeLines({ channels }: BgpSession, up: boolean, colour: Colour): string[] {
  const down = up && channels.some(({ state }) => state !== "up");
  if (!down && channels.length < 2 && channels.every(({ filtered }) => (filtered ?? 0) === 0)) return [];
  const told = channels.flatMap((channel) => {
    const { family, state, imported, filtered, exported } = channel;
    if (state !== "up") return up ? [`${family} ${colour.red(state)}`] : [];
    const rejected = filtered === null ? "" : ` (${numberText(filtered)} rejected by the filter)`;
    return [`${family} imported ${count(imported)}${rejected}, exported ${count(exported)}`];
  });
  return told.length === 0 ? [] : [`routes ${told.join("; ")}`];
}

const count = (value: number | null) => (value === null ? "unknown" : numberText(value));

function limitLines({ channels }: BgpSession, colour: Colour): string[] {
  return channels.flatMap((channel) =>
    channel.limits.flatMap((each) => {
      const { direction, limit, hit } = each;
      const used = usedOf(channel, direction);
      const share = used === null || limit === 0 ? 0 : used / limit;
      if (!hit && share < NEAR_LIMIT) return [];
      const then = atLimitText(each);
      const state = hit ? colour.red("REACHED") : colour.amber(`${Math.floor(share * 100)} %`);
      const of = `${used === null ? "" : `${numberText(used)} of `}${numberText(limit)}`;
      return [`limit  ${channel.family} ${direction} ${of} ${state}${then === "" ? "" : `: ${then}`}`];
    }),
  );
}

function usedOf(channel: BgpChannel, direction: BgpChannel["limits"][number]["direction"]): number | null {
  if (direction === "export") return channel.exported;
  if (direction === "import" || channel.imported === null) return channel.imported;
  return channel.imported + (channel.filtered ?? 0);
}

function ownLines({ exports }: BgpSession, daemon: string, colour: Colour): string[] {
  if (exports.length === 0) return [];
  const of = (exported: boolean | null) =>
    exports.filter((each) => each.exported === exported).map(({ prefix }) => prefix);
  const [sent, kept, unknown] = [of(true), of(false), of(null)];
  const parts = [
    sent.length === 0 ? "" : `${listText(sent)} exported`,
    kept.length === 0 ? "" : `${listText(kept)} ${colour.amber("NOT exported")}`,
    unknown.length === 0 ? "" : `${listText(unknown)}: ${daemonTitle(daemon)} cannot tell`,
  ];
  return [`own    ${parts.filter(Boolean).join(", ")}`];
}

/** For `-o wide`: timers, capabilities, tables, filters and counters as the daemon has them. */
export function wideLines(session: BgpSession): string[] {
  const timers = [
    timerText("hold", session.hold_timer),
    timerText("keepalive", session.keepalive_timer),
    timerText("send hold", session.send_hold_timer),
  ].filter(Boolean);
  const ends = [
    session.local_as === null ? "" : `we are AS${session.local_as}`,
    session.source_address === null ? "" : `from ${session.source_address}`,
    session.neighbor_id === null ? "" : `neighbour's id ${session.neighbor_id}`,
    session.session_type ?? "",
  ].filter(Boolean);
  return [
    ...(session.description === null ? [] : [`text   ${session.description}`]),
    ...(ends.length === 0 ? [] : [`ends   ${ends.join(", ")}`]),
    ...(timers.length === 0 ? [] : [`timers ${timers.join(", ")}`]),
    ...(session.messages === null
      ? []
      : [
          `said   received ${messagesText(session.messages.received)}; sent ${messagesText(session.messages.sent)}`,
        ]),
    ...(session.neighbor_capabilities.length === 0
      ? []
      : [`offers ${listText(session.neighbor_capabilities, 20)}`]),
    ...(session.local_capabilities.length === 0
      ? []
      : [`we     ${listText(session.local_capabilities, 20)}`]),
    ...session.channels.flatMap((channel) => [
      `${channel.family.padEnd(6)} ${channel.state}, table ${channel.table ?? "-"}, import ${channel.import_filter ?? "-"}, export ${channel.export_filter ?? "-"}${channel.next_hop === null ? "" : `, next hop ${channel.next_hop}`}`,
      ...Object.entries(channel.counters ?? {}).flatMap(([what, counters]) =>
        counters === null ? [] : [`       ${what.replace("_", " ").padEnd(16)} ${countersText(counters)}`],
      ),
    ]),
  ];
}

const timerText = (name: string, timer: Timer | null) =>
  timer === null ? "" : `${name} ${Math.round(timer.remaining_s)} of ${timer.total_s} s`;

const messagesText = ({ total, updates, notifications }: BgpMessages) =>
  `${count(total)} messages, ${count(updates)} of them updates, ${count(notifications)} notifications`;

const countersText = (counters: BgpCounters) =>
  Object.entries(counters)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name.replace("_", " ")} ${numberText(value ?? 0)}`)
    .join(", ");
