/** What every measurement is printed with: the machine, its load, the versions; and how figures are told: medians with their ends. */
import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem } from "node:os";
import { performance } from "node:perf_hooks";

/** The machine in two lines. `programs` are asked for their version: path → arguments. */
export function machine(programs: Readonly<Record<string, readonly string[]>> = {}): string {
  const [first] = cpus();
  const memory_gib = (totalmem() / 2 ** 30).toFixed(0);
  const versions = Object.entries(programs).map(([path, args]) =>
    execFileSync(path, args, { encoding: "utf8" }).split("\n")[0]?.trim(),
  );
  return [
    `machine  ${cpus().length} cores, ${first?.model.trim() ?? "unknown"}, ${memory_gib} GiB, Linux ${release()}`,
    `         Node ${process.version}${versions.map((text) => `, ${text}`).join("")}`,
    `         load ${loadavg()[0]?.toFixed(2)} when it began; everything on this one machine`,
  ].join("\n");
}

/** What is about to be measured, against what and how often, and on what. */
export function begin(what: string, how: string, on: string): void {
  process.stdout.write(`\n${what}: ${how}\n${on}\n`);
}

export type Figure = {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
};

/** Median and ends of the measured values. */
export function figure(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new Error("nothing was measured");
  const upper = sorted[sorted.length >> 1] ?? max;
  const lower = sorted[(sorted.length - 1) >> 1] ?? min;
  return { median: (upper + lower) / 2, min, max, count: sorted.length };
}

/** `median 12.3 ms (11.0 to 19.8, 9 times)`. */
export function told({ median, min, max, count }: Figure, unit: string, digits = 1): string {
  const show = (value: number) => value.toFixed(digits);
  return `median ${show(median)} ${unit} (${show(min)} to ${show(max)}, ${count} times)`;
}

/** One line of a result; with a target it says whether it was met. */
export function line(what: string, text: string, verdict?: { target: string; met: boolean }): void {
  const end = verdict === undefined ? "" : `   ${verdict.met ? "ok" : "MISSED"}: wanted ${verdict.target}`;
  process.stdout.write(`${what.padEnd(44)} ${text}${end}\n`);
  if (verdict?.met === false) process.exitCode = 1;
}

/** Milliseconds that `work` took, `count` times, after `warm` runs that do not count. */
export async function times(count: number, warm: number, work: () => unknown): Promise<number[]> {
  const all: number[] = [];
  for (let at = -warm; at < count; at++) {
    const began = performance.now();
    await work();
    if (at >= 0) all.push(performance.now() - began);
  }
  return all;
}
