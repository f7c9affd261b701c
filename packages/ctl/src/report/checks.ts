/** Checks as a table, and the reasons of a probe below it. Pure. */
import { checkColour } from "@muster/protocol/telemetry/checks";
import { checkWord, type HostCheck } from "@muster/view/checks";
import type { Colour } from "../output/colour.ts";
import type { Column } from "../output/table.ts";
import { durationText } from "../output/words.ts";

/** 0.4 ms and 12 ms differ by what matters, 1.2 s and 1.24 s do not. */
const latencyText = (ms: number) => (ms < 10 ? `${Math.round(ms * 10) / 10} ms` : durationText(ms));

export function checkColumns(now_ms: (host: string) => number, colour: Colour): Column<HostCheck>[] {
  return [
    { title: "HOST", value: ({ host }) => host },
    { title: "CHECK", value: ({ check }) => check.name },
    {
      title: "STATE",
      value: ({ host, check }) => colour[checkColour(check, now_ms(host))](checkWord(check)),
    },
    {
      title: "FOR",
      value: ({ host, check }) => durationText(now_ms(host) - check.since),
      align: "right",
    },
    {
      title: "LATENCY",
      value: ({ check }) => (check.latency_ms === null ? "-" : latencyText(check.latency_ms)),
      align: "right",
    },
    { title: "ASKS", value: ({ check }) => `${check.method} ${check.target}` },
    {
      title: "EVERY",
      value: ({ check }) => durationText(check.every_ms),
      align: "right",
      wide: true,
    },
    {
      title: "ASKED",
      value: ({ host, check }) =>
        check.ran_at === null ? "never" : `${durationText(now_ms(host) - check.ran_at)} ago`,
      align: "right",
      wide: true,
    },
    { title: "WHY", value: ({ check }) => check.why },
  ];
}

/** `probe1 anycast  session holds: core1 up`, a line for each of the four. */
export function reasonLines({ host, check }: HostCheck, colour: Colour): string[] {
  return (check.reasons ?? []).map(({ name, ok, why }) => {
    const word = ok === null ? colour.amber("not known") : ok ? colour.green("holds") : colour.red("FAILS");
    return `${host} ${check.name}  ${name.padEnd(7)}  ${word}  ${why}`;
  });
}
