/** Facts and health of servers as lines and tables. Pure. */
import type { Collected } from "@muster/protocol/rpc/health";
import type { Facts } from "@muster/protocol/rpc/index";
import type { Health } from "@muster/protocol/telemetry/health";
import { machineFaults } from "@muster/protocol/telemetry/machine-faults";
import { timeSourceText } from "@muster/view/machine";
import type { Colour } from "../output/colour.ts";
import type { Column } from "../output/table.ts";
import { durationText, sizeText, timeText } from "../output/words.ts";

/** Every interface has one and they say nothing; `--json` has them. */
const LINK_LOCAL = /^fe[89ab]/i;

export function factLines(facts: Facts): string[] {
  const labels = Object.entries(facts.labels).map(([label, value]) => `${label}=${value}`);
  const rows: [string, string][] = [
    ["name", facts.hostname],
    [
      "system",
      `${facts.os}, kernel ${facts.kernel}, ${facts.arch}${facts.virtual === null ? "" : `, on ${facts.virtual}`}`,
    ],
    ["cpu", `${facts.cpu}, ${facts.cores} cores`],
    ["memory", sizeText(facts.memory_bytes)],
    ["booted", `${timeText(facts.boot_at)}${facts.reboot_due ? ", a package waits for a reboot" : ""}`],
    ["bird", facts.bird ?? "none answers"],
    ["agent", facts.agent_version],
    ["groups", facts.groups.join(", ") || "none yet"],
    ["labels", labels.join(", ") || "none"],
    ...facts.addresses
      .filter(({ address }) => !LINK_LOCAL.test(address))
      .map(({ interface: name, address }, at): [string, string] => [
        at === 0 ? "addresses" : "",
        `${address} (${name})`,
      ]),
  ];
  return rows.map(([title, value]) => `${title.padEnd(9)}  ${value}`);
}

export type HealthRow = {
  readonly host: string;
  readonly health: Health & { readonly collected?: Collected | undefined };
};

const HIGH = { cpu: 0.9, memory: 0.9 } as const;

/** Why a server wants attention, in words; empty when it does not. */
export function healthTroubles({ health }: HealthRow): string[] {
  return [
    ...machineFaults(health).map(({ what }) => what),
    ...Object.values(health.collected ?? {}).flatMap(
      (sample) => sample?.faults.map(({ what }) => what) ?? [],
    ),
    ...(memoryUsed(health) > HIGH.memory ? [`memory is ${percent(memoryUsed(health))} used`] : []),
  ];
}

export function healthColumns(colour: Colour): Column<HealthRow>[] {
  const high = (share: number | null, limit: number) =>
    share === null ? "-" : share > limit ? colour.amber(percent(share)) : percent(share);
  return [
    { title: "HOST", value: ({ host }) => host },
    { title: "UP", value: ({ health }) => durationText(health.uptime_s * 1_000), align: "right" },
    {
      title: "LOAD",
      value: ({ health }) => health.load.map((load) => load.toFixed(2)).join(" "),
      align: "right",
    },
    { title: "CPU", value: ({ health }) => high(health.cpu_busy, HIGH.cpu), align: "right" },
    { title: "MEMORY", value: ({ health }) => high(memoryUsed(health), HIGH.memory), align: "right" },
    { title: "FULLEST DISK", value: ({ health }) => diskText(health), align: "right" },
    {
      title: "FAILED UNITS",
      value: ({ health }) =>
        health.failed_units.length === 0 ? "none" : colour.amber(health.failed_units.join(", ")),
    },
    { title: "AGENT", value: ({ health }) => sizeText(health.agent.rss_bytes), align: "right" },
    { title: "AGENT CPU", value: ({ health }) => agentShare(health), align: "right", wide: true },
    {
      title: "WAITS",
      // The worst of what programs wait for, some of them, over a minute.
      value: ({ health: { pressure } }) => pressureText(pressure),
      align: "right",
      wide: true,
    },
    { title: "DISK BUSY", value: ({ health }) => busiestText(health), align: "right", wide: true },
    { title: "CLOCK", value: ({ health }) => timeSourceText(health) ?? "-", wide: true },
    { title: "KERNEL", value: ({ health }) => health.kernel ?? "-", wide: true },
    {
      title: "OOM KILLS",
      value: ({ health }) => String(health.oom_kills ?? "-"),
      align: "right",
      wide: true,
    },
    { title: "LINKS DOWN", value: ({ health }) => linksDown(health), wide: true },
  ];
}

const percent = (share: number) => `${Math.round(share * 100)} %`;
const memoryUsed = ({ memory }: Health) =>
  memory.total_bytes === 0 ? 0 : 1 - memory.available_bytes / memory.total_bytes;
const linksDown = (health: Health) =>
  health.interfaces
    .filter((link) => !link.up)
    .map((link) => link.name)
    .join(", ") || "none";
const agentShare = ({ agent }: Health) =>
  agent.uptime_s <= 0 ? "-" : `${((100 * agent.cpu_s) / agent.uptime_s).toFixed(2)} %`;

function diskText({ disks }: Health): string {
  const share = (disk: Health["disks"][number]) =>
    disk.size_bytes === 0 ? 0 : disk.used_bytes / disk.size_bytes;
  const fullest = [...disks].sort((one, other) => share(other) - share(one))[0];
  return fullest === undefined ? "-" : `${fullest.mount} ${percent(share(fullest))}`;
}

function pressureText(pressure: Health["pressure"]): string {
  const worst = Object.entries(pressure ?? {})
    .flatMap(([name, told]) => (told === null ? [] : [{ name, avg60: told.some.avg60 }]))
    .sort((one, other) => other.avg60 - one.avg60)[0];
  return worst === undefined ? "-" : `${worst.name} ${Math.round(worst.avg60)} %`;
}

function busiestText({ disk_io }: Health): string {
  const busiest = [...(disk_io ?? [])].sort((one, other) => (other.busy ?? 0) - (one.busy ?? 0))[0];
  return busiest?.busy == null ? "-" : `${busiest.device} ${percent(busiest.busy)}`;
}
