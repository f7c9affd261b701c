/**
 * `npm run bench`: all measurements but the long ones (soak, soak-all, lives), one after the other, or those that are named. Exit 1 when a target was missed. Figures are worth something
 * on a machine that does nothing else; compare only within one run.
 */
import { main as bgp } from "./bgp.ts";
import { main as enrolment } from "./enrolment.ts";
import { main as envelope } from "./envelope.ts";
import { main as files } from "./files.ts";
import { main as firstLight } from "./first-light.ts";
import { main as lives } from "./lives.ts";
import { main as scatter } from "./scatter.ts";
import { main as soak } from "./soak.ts";
import { main as soakAll } from "./soak-all.ts";
import { main as status } from "./status.ts";
import { main as telemetry } from "./telemetry.ts";

const ALL: Readonly<Record<string, () => Promise<void>>> = {
  envelope,
  bgp: () => bgp(1_000),
  scatter: () => scatter([100, 1_000]),
  enrolment: () => enrolment(200),
  files: () => files(),
  status: () => status(1_000),
  telemetry: () => telemetry(1_000),
  "first-light": firstLight,
};
const ONLY_NAMED: typeof ALL = { soak: () => soak(), "soak-all": () => soakAll(), lives: () => lives() };

const named = process.argv.slice(2);
const there = { ...ALL, ...ONLY_NAMED };
const unknown = named.filter((name) => !Object.hasOwn(there, name));
if (unknown.length > 0) {
  process.stderr.write(
    `no such measurement: ${unknown.join(", ")}; there are ${Object.keys(there).join(", ")}\n`,
  );
  process.exit(2);
}
for (const [name, run] of Object.entries(named.length === 0 ? ALL : there))
  if (named.length === 0 || named.includes(name)) await run();
// Simulated machines leave sockets behind that have nothing to say any more.
process.exit();
