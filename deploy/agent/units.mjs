/** The agent's systemd units, where the package puts them; the lab puts them there too. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** @returns {Record<string, { from: string }>} by path on the server */
export function agentUnits() {
  const units = readdirSync(HERE).filter((name) => name.endsWith(".service"));
  return Object.fromEntries(
    units.map((unit) => [`/usr/lib/systemd/system/${unit}`, { from: join(HERE, unit) }]),
  );
}
