/** What runs broker, Vault and controller: units, users, the script that opens Vault, the turn of its audit log; where the package puts them, and the lab too. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const DEPLOY = fileURLToPath(new URL("..", import.meta.url));
const HERE = join(DEPLOY, "systemd");

/** @returns {Record<string, { from: string, mode?: number }>} by path on the server */
export function serviceFiles() {
  const units = readdirSync(HERE).filter((name) => /\.(service|timer)$/.test(name));
  return {
    ...Object.fromEntries(
      units.map((unit) => [`/usr/lib/systemd/system/${unit}`, { from: join(HERE, unit) }]),
    ),
    "/etc/logrotate.d/muster-vault": { from: join(HERE, "muster-vault.logrotate") },
    "/usr/lib/sysusers.d/muster-hub.conf": { from: join(HERE, "muster-hub.sysusers") },
    "/usr/lib/muster/vault-unseal": { from: join(DEPLOY, "vault", "unseal"), mode: 0o755 },
  };
}
