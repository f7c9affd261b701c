/** The two unit files of a timer (systemd.timer(5), systemd.service(5)), as text. Pure: the plan compares them with what is there. */
import type { Declared } from "./kind.ts";

type TimerSpec = Declared<"timer">["spec"];

const HEAD = "# Written by Muster; put back when it is changed by hand.\n";

export function timerText(name: string, spec: TimerSpec): string {
  const { on_calendar, every, randomized_delay } = spec;
  const when =
    on_calendar === undefined
      ? [`OnActiveSec=${every}`, `OnUnitActiveSec=${every}`]
      : [`OnCalendar=${specifiers(on_calendar)}`, "Persistent=true"];
  const delay = randomized_delay === undefined ? [] : [`RandomizedDelaySec=${randomized_delay}`];
  return section([
    "[Unit]",
    `Description=${name}, run by Muster's declaration`,
    "",
    "[Timer]",
    ...when,
    "AccuracySec=1s",
    ...delay,
    "",
    "[Install]",
    "WantedBy=timers.target",
  ]);
}

export function serviceText(name: string, spec: TimerSpec): string {
  const words = spec.exec ?? ["/bin/sh", "-c", spec.command ?? ""];
  return section([
    "[Unit]",
    `Description=${name}, run by Muster's declaration`,
    "",
    "[Service]",
    "Type=oneshot",
    ...(spec.user === "root" ? [] : [`User=${spec.user}`]),
    `ExecStart=${words.map(quoted).join(" ")}`,
    `TimeoutStartSec=${spec.timeout}`,
  ]);
}

const section = (lines: readonly string[]) => `${HEAD}${lines.join("\n")}\n`;

const specifiers = (text: string) => text.replaceAll("%", "%%");

/** One word of a command line: nothing in it is special to systemd any more (systemd.service(5), "Command lines"). */
const quoted = (word: string) =>
  `"${specifiers(word).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("$", "$$$$")}"`;
