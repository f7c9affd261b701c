/**
 * What an agent holds on to: a change of twenty files every minute for an hour, and the slope of its memory and of its open descriptors after the first
 * sixth of that, by least squares. Flat means: less than 2 MiB and less than one descriptor an hour.
 *
 *   node --import tsx bench/soak.ts [minutes] [seconds between changes]     60 and 60 without them
 */
import { readdirSync, readFileSync } from "node:fs";
import { argv } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { binary } from "../test/kit/binaries.ts";
import { begin, line, machine } from "./machine.ts";
import { startSimulatedFleet } from "./simulated-fleet.ts";

const HOSTS = 2;
const FILES = 20;
const SAMPLE_MS = 5_000;
const HOUR_MS = 3_600_000;
const MEMORY_MIB_PER_H = 2;
const DESCRIPTORS_PER_H = 1;
const RSS_LIMIT_MIB = 70;

export type Sample = { readonly at_ms: number; readonly rss_mib: number; readonly descriptors: number };

export async function main(minutes = 60, period_s = 60): Promise<void> {
  const nats = await binary("nats-server");
  const how = `a change of ${FILES} files on ${HOSTS} hosts every ${period_s} s for ${minutes} min`;
  begin("soak", how, machine({ [nats]: ["--version"] }));
  const fleet = await startSimulatedFleet(HOSTS);
  const samples = new Map<string, Sample[]>(fleet.names.map((name) => [name, []]));
  let changes = 0;
  try {
    const end_ms = performance.now() + minutes * 60_000;
    while (performance.now() < end_ms) {
      const next_ms = performance.now() + period_s * 1_000;
      await fleet.files(FILES, `change ${++changes}`);
      const { code, output } = await fleet.ctl("apply", "-y", "-m", "soak");
      if (code !== 0)
        throw new Error(`change ${changes}: ctl apply ended with ${code}:\n${output.slice(-2_000)}`);
      while (performance.now() < next_ms) {
        for (const name of fleet.names) samples.get(name)?.push(sampleOf(fleet.pid(name)));
        await sleep(Math.min(SAMPLE_MS, Math.max(1, next_ms - performance.now())));
      }
    }
  } finally {
    await fleet.stop();
  }
  for (const [name, all] of samples) tell(name, all, changes, RSS_LIMIT_MIB);
}

function sampleOf(pid: number): Sample {
  const rss_kib = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  return {
    at_ms: performance.now(),
    rss_mib: rss_kib / 1_024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

/** Prints what the samples of one agent come to, after the first sixth. */
export function tell(name: string, all: readonly Sample[], changes: number, limit_mib: number): void {
  const counted = all.slice(Math.floor(all.length / 6));
  const [first, last] = [counted[0], counted.at(-1)];
  if (first === undefined || last === undefined) throw new Error("it was too short to sample anything");
  const hours = ((last.at_ms - first.at_ms) / HOUR_MS).toFixed(2);
  const memory = slope(counted, ({ rss_mib }) => rss_mib);
  const descriptors = slope(counted, (sample) => sample.descriptors);
  const highest = Math.max(...counted.map(({ rss_mib }) => rss_mib));
  const span = `${first.rss_mib.toFixed(1)} to ${last.rss_mib.toFixed(1)} MiB over ${hours} h, ${changes} changes`;
  line(`  ${name} memory`, `${memory.toFixed(2)} MiB/h (${span})`, {
    target: `at most ${MEMORY_MIB_PER_H} MiB/h`,
    met: memory <= MEMORY_MIB_PER_H,
  });
  line(`  ${name} at its highest`, `${highest.toFixed(1)} MiB`, {
    target: `${limit_mib} MiB`,
    met: highest <= limit_mib,
  });
  line(`  ${name} descriptors`, `${descriptors.toFixed(2)}/h (${first.descriptors} to ${last.descriptors})`, {
    target: `less than ${DESCRIPTORS_PER_H}/h`,
    met: descriptors < DESCRIPTORS_PER_H,
  });
}

/** Per hour, by least squares. */
function slope(samples: readonly Sample[], value: (sample: Sample) => number): number {
  const points = samples.map((sample) => ({ x: sample.at_ms / HOUR_MS, y: value(sample) }));
  const mean = (of: (point: { x: number; y: number }) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const spread = mean((point) => (point.x - x) ** 2);
  return spread === 0 ? 0 : mean((point) => (point.x - x) * (point.y - y)) / spread;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const [minutes, period_s] = argv.slice(2).map(Number);
  await main(minutes, period_s);
  process.exit();
}
