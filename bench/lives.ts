/**
 * Credentials that live for minutes, through a controller restart, a sealed Vault and a broker restart, without a gap: what a year brings, in half an hour.
 * Real nats-server, Vault, controller and agent. Prints every renewal as it comes, and at the end how near each credential came to its end.
 *
 *   node --import tsx bench/lives.ts [minutes]     30 without it; lives and faults shrink with it
 */
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { binary } from "../test/kit/binaries.ts";
import { watchLives } from "../test/kit/lives.ts";
import { begin, line, machine } from "./machine.ts";

/** In seconds, of a run of 30 minutes. */
const LIVES_S = { bus: 300, identity: 600, service: 180, ssh: 180 } as const;
const FAULTS_S = {
  controller: { at_s: 300, for_s: 60 },
  vault: { at_s: 720, for_s: 45 },
  broker: { at_s: 1_200, for_s: 10 },
} as const;
/** Renewed so late somebody would have been told. */
const LEAST_LEFT = 1 / 3;
const SILENT_MS = 5_000;

export async function main(minutes = 30): Promise<void> {
  const scale = minutes / 30;
  const scaled = <T extends Readonly<Record<string, number>>>(fields: T): T =>
    Object.fromEntries(Object.entries(fields).map(([name, s]) => [name, Math.ceil(s * scale)])) as T;
  const [nats, vault] = await Promise.all([binary("nats-server"), binary("vault")]);
  const programs = { [nats]: ["--version"], [vault]: ["version"] };
  begin(
    "lives",
    `one host, ${minutes} min, lives of ${JSON.stringify(scaled(LIVES_S))} s`,
    machine(programs),
  );
  const began = Date.now();
  const report = await watchLives({
    lives_s: scaled(LIVES_S),
    duration_s: minutes * 60,
    faults: {
      controller: scaled(FAULTS_S.controller),
      vault: scaled(FAULTS_S.vault),
      broker: scaled(FAULTS_S.broker),
    },
    say: (text) =>
      process.stdout.write(`  ${((Date.now() - began) / 1000).toFixed(1).padStart(7)} s  ${text}\n`),
  });
  for (const [name, left] of Object.entries(report.least_left)) {
    const renewed = report.renewed[name as keyof typeof report.renewed];
    line(
      `${name}: least of its life that was left`,
      `${Math.round(left * 100)} %, renewed ${renewed} times`,
      { target: `> ${Math.round(LEAST_LEFT * 100)} %`, met: left > LEAST_LEFT && renewed > 0 },
    );
  }
  line("longest silence while the broker was there", `${report.silent_ms} ms`, {
    target: `< ${SILENT_MS} ms`,
    met: report.silent_ms < SILENT_MS,
  });
  line("back after the broker's return", `${report.back_ms} ms`);
  line("alarms", String(report.told.length), { target: "none", met: report.told.length === 0 });
}

if (argv[1] === fileURLToPath(import.meta.url)) await main(Number(argv[2] ?? 30));
