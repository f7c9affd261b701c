/** What of the machine is dear to ask or seldom changes: temperatures, what keeps the clock, whether a reboot is waited for. Once a minute at most. */
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { release } from "node:os";
import type { Health } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import type { Ports } from "../ports/index.ts";
import { REBOOT_REQUIRED } from "../ports/packages.ts";

const SENSORS = 64;
const COMMAND_MS = 5_000;
const WHY = 300;

const textOf = async (path: string): Promise<string | null> => {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch {
    // A machine without it, or one that went between two reads.
    return null;
  }
};

/** Of the kernel's hwmon (Documentation/hwmon/sysfs-interface): thousandths of a degree. */
export async function temperatures(root = "/sys/class/hwmon"): Promise<NonNullable<Health["temperatures"]>> {
  const chips = await readdir(root).catch(() => []);
  const found = await Promise.all(
    chips.sort().map(async (chip) => {
      const at = `${root}/${chip}`;
      const [name, files] = await Promise.all([textOf(`${at}/name`), readdir(at).catch(() => [])]);
      const inputs = files.flatMap((file) => /^(temp\d+)_input$/.exec(file)?.[1] ?? []).sort();
      return Promise.all(
        inputs.map(async (input) => {
          const [value, label, critical] = await Promise.all(
            ["input", "label", "crit"].map((part) => textOf(`${at}/${input}_${part}`)),
          );
          if (value == null || !/^-?\d+$/.test(value)) return [];
          const sensor = `${name ?? chip} ${label ?? input}`;
          return [
            {
              sensor,
              celsius: Number(value) / 1_000,
              critical_celsius: critical == null ? null : Number(critical) / 1_000,
            },
          ];
        }),
      );
    }),
  );
  return found.flat(2).slice(0, SENSORS);
}

/** chrony and systemd-timesyncd tell their offset; of others systemd knows whether the kernel's clock is kept. Each question is a process. */
export async function clockKept({ run, systemd }: Ports, signal: AbortSignal): Promise<Health["clock"]> {
  try {
    if (await there("/run/chrony/chronyd.sock")) {
      const { code, stdout } = await run(
        "chronyc",
        ["-n", "-c", "tracking"],
        { timeout_ms: COMMAND_MS },
        signal,
      );
      if (code === 0) return readTracking(stdout);
    }
    if (!(await systemd.available())) return null;
    const args = ["show", "--property=NTP", "--property=NTPSynchronized"];
    const kept = await there("/run/systemd/timesync");
    const [{ code, stdout }, offset_s] = await Promise.all([
      run("timedatectl", args, { timeout_ms: COMMAND_MS }, signal),
      kept ? timesyncdOffset(run, signal) : null,
    ]);
    if (code !== 0) return null;
    if (!kept && !/^NTP=yes$/m.test(stdout)) return null;
    return {
      source: kept ? "systemd-timesyncd" : "another",
      synchronized: /^NTPSynchronized=yes$/m.test(stdout),
      offset_s,
    };
  } catch (error) {
    if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
    return null;
  }
}

/** `chronyc -c tracking`: fields parted by commas; the fifth is the offset in seconds, slow is positive; the last the leap status. */
export function readTracking(text: string): NonNullable<Health["clock"]> {
  const fields = text.trim().split(",");
  const offset = Number(fields[4]);
  return {
    source: "chrony",
    synchronized: fields.at(-1) !== "Not synchronised" && fields[0] !== "00000000",
    offset_s: fields[4] === undefined || Number.isNaN(offset) ? null : -offset,
  };
}

/** The last answer of timesyncd's time server; one that does not run is not started for the question. */
const NTP_MESSAGE = [
  ...["--json=short", "--auto-start=no", "get-property", "org.freedesktop.timesync1"],
  ...["/org/freedesktop/timesync1", "org.freedesktop.timesync1.Manager", "NTPMessage"],
];
const NO_ANSWER_YET = 3;

/** Whatever hinders, the rest is told without it. */
async function timesyncdOffset(run: Ports["run"], signal: AbortSignal): Promise<number | null> {
  try {
    const { code, stdout } = await run("busctl", NTP_MESSAGE, { timeout_ms: COMMAND_MS }, signal);
    return code === 0 ? readNtpMessage(stdout) : null;
  } catch (error) {
    if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
    return null;
  }
}

/**
 * `{"type":"(uuuuittayttttbtt)","data":[leap, …, origin, receive, transmit, destination, spike, packets, jitter]}`, instants in microseconds: by how many seconds
 * we were ahead of the server when it answered last (RFC 5905, 8); null while it has not, and for an answer that timesyncd itself passed over.
 * Source: systemd, src/timesync/timesyncd-bus.c
 */
export function readNtpMessage(text: string): number | null {
  const { data } = NtpMessage.safeParse(jsonIn(text)).data ?? {};
  if (data === undefined) return null;
  const [leap, , , , , , , , origin, receive, transmit, destination, spike, packets] = data;
  if (leap === NO_ANSWER_YET || spike || packets === 0) return null;
  const behind_us = (receive - origin + (transmit - destination)) / 2;
  return -behind_us / 1_000_000;
}

const Count = z.int();
const NtpMessage = z.object({
  data: z.tuple([
    ...([Count, Count, Count, Count, Count, Count, Count, z.array(Count)] as const),
    ...([Count, Count, Count, Count, z.boolean(), Count, Count] as const),
  ]),
});

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** By what packages leave for it, and by Debian's link to the kernel that the next boot takes: the one may be there without the other. */
export async function rebootDue({ files }: Pick<Ports, "files">): Promise<NonNullable<Health["reboot"]>> {
  const [asked, packages, next] = await Promise.all([
    files.facts(REBOOT_REQUIRED),
    files.read(`${REBOOT_REQUIRED}.pkgs`, 65_536),
    nextKernel(),
  ]);
  const names = [...new Set((packages?.toString("utf8") ?? "").split("\n").filter(Boolean))].sort();
  const why = [
    ...(next === null || next === release() ? [] : [`kernel ${next} is installed, ${release()} runs`]),
    ...(asked === null
      ? []
      : [names.length === 0 ? "a package asked for it" : `asked for by ${names.join(", ")}`]),
  ];
  return { due: why.length > 0, why: why.join("; ").slice(0, WHY) };
}

async function nextKernel(): Promise<string | null> {
  try {
    return /vmlinuz-(.+)$/.exec(await readlink("/vmlinuz"))?.[1] ?? null;
  } catch {
    return null;
  }
}

const there = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
