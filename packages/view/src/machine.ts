/** How a machine is, besides what is drawn: a line a fact, of what it tells; nothing of the rest. Pure. */
import type { Health } from "@muster/protocol/telemetry/health";
import { countText, durationText, listText } from "./words.ts";

/** The hottest are named: a machine may have a sensor a core. */
const SENSORS = 4;

const percent = (share: number): string => `${Math.round(100 * share)} %`;

export function machineFacts(health: Health): string[] {
  const { disks, load, uptime_s, oom_kills, temperatures } = health;
  const clock = timeSourceText(health);
  const hottest = [...(temperatures ?? [])].sort((one, other) => other.celsius - one.celsius);
  return [
    ...disks.filter(({ size_bytes }) => size_bytes > 0).map(diskText),
    `load ${load.map((each) => each.toFixed(2)).join(" ")}`,
    `up ${durationText(uptime_s * 1_000)}`,
    ...(oom_kills == null
      ? []
      : [`${oom_kills === 0 ? "no OOM kills" : countText(oom_kills, "OOM kill")} since the start`]),
    ...(clock === null ? [] : [`clock ${clock}`]),
    ...(hottest.length === 0 ? [] : [listText(hottest.map(sensorText), SENSORS)]),
  ];
}

/** What keeps the clock, and by how much it is off; null = it does not tell. */
export function timeSourceText({ clock }: Health): string | null {
  if (clock == null) return null;
  if (!clock.synchronized) return `${clock.source}, follows none`;
  return clock.offset_s === null
    ? clock.source
    : `${clock.source}, ${(clock.offset_s * 1_000).toFixed(2)} ms`;
}

function diskText({ mount, used_bytes, size_bytes, full_in_s }: Health["disks"][number]): string {
  const soon =
    full_in_s == null ? "" : `, full in ${durationText(full_in_s * 1_000)} if it goes on like this`;
  return `${mount} ${percent(used_bytes / size_bytes)} full${soon}`;
}

function sensorText({
  sensor,
  celsius,
  critical_celsius,
}: NonNullable<Health["temperatures"]>[number]): string {
  return `${sensor} ${Math.round(celsius)} °C${critical_celsius === null ? "" : ` of ${Math.round(critical_celsius)}`}`;
}
