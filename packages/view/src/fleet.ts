/** What is wrong with the fleet as a whole, beside its hosts: the broker's disk, the backups. Pure. */
import type { BackupReport } from "@muster/protocol/backup";
import { backupTrouble } from "./backup.ts";
import { clockText, type Trouble } from "./trouble.ts";
import { durationText } from "./words.ts";

/** What a controller knows of the fleet; see the reply of `ctl.hosts`. */
export type FleetStanding = {
  readonly stalled_since: number | null;
  readonly backup: BackupReport | null | undefined;
};

/** A trouble, and the part of the fleet that has it: `broker`, `backup`. */
export type FleetTrouble = Trouble & { readonly name: string };

export function fleetTroubles({ stalled_since, backup }: FleetStanding, now_ms: number): FleetTrouble[] {
  const late = backupTrouble(backup, now_ms);
  return [
    ...(stalled_since === null
      ? []
      : [
          {
            name: "broker",
            tint: "red",
            about: "broker",
            what: `stores nothing since ${clockText(stalled_since, now_ms)} (${durationText(now_ms - stalled_since)}): its disk may be full`,
            next: "on its server: df -h; journalctl -u nats-server; systemctl restart nats-server",
          } as const,
        ]),
    ...(late === null ? [] : [{ name: "backup", ...late }]),
  ];
}
