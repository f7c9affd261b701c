/** What is wrong with the machine itself by its health, judged in one place for everybody who shows it. Pure. */
import type { Health } from "./health.ts";

export type MachineFault = {
  readonly tint: "red" | "amber";
  /** The same for as long as it lasts. */
  readonly about: string;
  readonly what: string;
};

const FULL = 0.9;
/** Files come in bursts: while most of them are free, some hours' slope tells nothing. */
const HALF = 0.5;
/** A disk that will be full by tomorrow wants somebody today; one that will be within hours wants somebody now. */
const SOON_S = 86_400;
const NOW_S = 7_200;

const percent = (share: number) => `${Math.floor(100 * share)} %`;
const hours = (span_s: number) =>
  span_s < 3_600 ? `${Math.ceil(span_s / 60)} min` : `${Math.round(span_s / 3_600)} h`;

export function machineFaults({ failed_units, disks, temperatures, reboot }: Health): MachineFault[] {
  return [
    ...failed_units.map(
      (unit): MachineFault => ({ tint: "amber", about: `unit/${unit}`, what: `unit ${unit} failed` }),
    ),
    ...disks.flatMap((disk) => diskFault(disk) ?? []),
    ...(temperatures ?? []).flatMap(({ sensor, celsius, critical_celsius }): MachineFault[] =>
      critical_celsius === null || celsius < critical_celsius
        ? []
        : [
            {
              tint: "red",
              about: `temperature/${sensor}`,
              what: `${sensor} is at ${celsius} °C, critical is ${critical_celsius}`,
            },
          ],
    ),
    ...(reboot?.due === true
      ? [{ tint: "amber", about: "reboot", what: `a reboot is waited for: ${reboot.why}` } as const]
      : []),
  ];
}

function diskFault({
  mount,
  size_bytes,
  used_bytes,
  inodes,
  inodes_used,
  full_in_s,
  inodes_full_in_s,
}: Health["disks"][number]): MachineFault | null {
  const about = `disk/${mount}`;
  const soon = soonText(full_in_s);
  const tint = tintOf(full_in_s);
  if (size_bytes > 0 && used_bytes / size_bytes > FULL)
    return {
      tint,
      about,
      what: `${mount} is ${percent(used_bytes / size_bytes)} full${soon === "" ? "" : `, full${soon.slice(1)}`}`,
    };
  if (soon !== "") return { tint, about, what: `${mount} will be full${soon.slice(1)}` };
  if (inodes == null || inodes_used == null || inodes === 0) return null;
  const files = inodes_used / inodes;
  const files_soon = soonText(inodes_full_in_s);
  const files_tint = tintOf(inodes_full_in_s);
  if (files > FULL)
    return {
      ...{ tint: files_tint, about },
      what: `${mount} holds ${percent(files)} of the files that it can (inodes)${files_soon === "" ? "" : `, all${files_soon.slice(1)}`}`,
    };
  if (files < HALF || files_soon === "") return null;
  return {
    ...{ tint: files_tint, about },
    what: `${mount} will hold all the files that it can (inodes)${files_soon.slice(1)}`,
  };
}

const soonText = (full_in_s: number | null | undefined) =>
  full_in_s != null && full_in_s < SOON_S ? `, in ${hours(full_in_s)} if it goes on like this` : "";

const tintOf = (full_in_s: number | null | undefined) =>
  full_in_s != null && full_in_s < NOW_S ? "red" : "amber";
