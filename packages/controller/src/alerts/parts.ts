/** Alerts put together from what a controller has: what they look at, where they are kept, and what answers for them. */
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import type { AlertRule } from "@muster/protocol/alerting";
import { FleetError } from "@muster/protocol/errors";
import { withoutChecks } from "@muster/protocol/expression/values";
import { isBlind, TELEMETRY_KINDS } from "@muster/protocol/telemetry/index";
import { backupReport } from "../backup-report.ts";
import type { Families } from "../monitoring/otlp.ts";
import { Outlets } from "../monitoring/outlets.ts";
import type { DeclaredHosts } from "../records/declared.ts";
import type { HostRecords } from "../records/hosts.ts";
import type { Storage } from "../records/storage.ts";
import type { RolloutEngine } from "../rollout/engine.ts";
import type { LastValues } from "../telemetry/last.ts";
import type { Silence } from "../telemetry/silence.ts";
import type { Trust } from "../trust.ts";
import type { AlertAnswers } from "./answers.ts";
import { conditionFindings, type KnownHost } from "./conditions.ts";
import { type Look, lookAt } from "./findings.ts";
import { PastOfFleet } from "./past.ts";
import { AlertStore } from "./store.ts";
import type { AlertPorts } from "./watch.ts";

export type AlertParts = {
  readonly bus: Pick<Bus, "kv" | "readAll" | "subscribe" | "onStatus">;
  readonly fleet: string;
  readonly backup_report: string | undefined;
  readonly log: Log;
  readonly now: () => number;
  readonly trust: Trust;
  readonly records: HostRecords;
  readonly declared: Pick<DeclaredHosts, "missing">;
  readonly last: LastValues;
  readonly engine: RolloutEngine;
  readonly silence: Silence;
  readonly storage: Storage;
  secret(reference: string): Promise<string>;
  /** All that `/metrics` shows. */
  families(): Families;
};

export function alertParts(parts: AlertParts): AlertPorts & AlertAnswers & { readonly outlets: Outlets } {
  const { fleet, log, now, trust, records, declared, last, engine, silence, storage, secret } = parts;
  const store = new AlertStore(parts.bus.kv("alerts"));
  const past = new PastOfFleet({
    bus: parts.bus,
    log,
    now,
    recent: (host, track) => last.recent(host, track),
  });
  const known = (name: string): KnownHost => {
    const silent = last.isSilent(name, now());
    const values: Record<string, unknown> = {};
    const blind = new Set<string>();
    for (const kind of TELEMETRY_KINDS) {
      const sample = last.sample(name, kind);
      if (sample === undefined) continue;
      if (silent || isBlind({ kind, heard_at: sample.heard_at }, now())) blind.add(kind);
      else values[kind] = sample.value;
    }
    return { name, silent, blind, past: past.of(name), values: withoutChecks(values) };
  };
  const look = async (rules: readonly AlertRule[] = []): Promise<Look> => {
    const path = parts.backup_report;
    const backup = path === undefined ? undefined : await backupReport(path);
    const names = records.names().filter((name) => records.byName(name)?.state === "enrolled");
    const views = names.flatMap((name) => last.view(name, now()) ?? []);
    const standing = { stalled_since: storage.stalled_since, backup };
    const seen = lookAt(views, standing, now(), declared.missing());
    const own = rules.filter(({ when }) => when !== undefined);
    past.need(
      own.flatMap(({ when }) => when ?? []),
      names.flatMap((name) => ({ name, id: records.byName(name)?.id ?? "" })),
    );
    if (own.length === 0) return seen;
    const { findings, ...open } = conditionFindings(own, names.map(known));
    return { ...seen, ...open, findings: [...seen.findings, ...findings] };
  };
  const outlets = new Outlets({
    ...{ bus: parts.bus, fleet, log, now, families: parts.families },
    isHost: (name, id) => records.byName(name)?.id === id,
    secret: async (text) => (text.startsWith("vault:") ? secret(text) : text),
  });
  return {
    ...{ store, storage, fleet, log, now, records, declared, secret, look, outlets },
    verifier: () => trust.verifier,
    bundle: () => trust.bundle,
    changing: (host) => engine.changing(host),
    leading: () => engine.leading,
    forget: () => past.need([], []),
    hearing: () => silence.hearing(now()),
    summary: () =>
      store.summary().catch((error: unknown) => {
        // How hosts stand is worth more than how alerts do.
        if (!(error instanceof FleetError)) throw error;
        log.warn({ err: error }, "how alerts stand cannot be read");
        return undefined;
      }),
  };
}
