/** What operators ask of alerts: `ctl.alerts`, `ctl.silence`, `ctl.unsilence`, `ctl.rules`, `ctl.set_rules`. Any controller answers, from the bucket and from what it hears itself. */
import { randomBytes } from "node:crypto";
import type { Call, Handlers } from "@muster/ports/dispatch";
import {
  type Alert,
  type AlertSummary,
  type AlertView,
  FLEET_WIDE,
  type Silence,
} from "@muster/protocol/alert";
import type { CONTROL } from "@muster/protocol/control/index";
import type { Verifier } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { limitsOf, type TrustBundle } from "@muster/protocol/trust";
import type { Events } from "../events.ts";
import type { DeclaredHosts } from "../records/declared.ts";
import type { HostRecords } from "../records/hosts.ts";
import type { Look } from "./findings.ts";
import { fittingAlerts, fittingSilences } from "./fitting.ts";
import { quietFor, silencing } from "./quiet.ts";
import { worstFirst } from "./route-state.ts";
import { takeRules } from "./rules.ts";
import type { AlertStore } from "./store.ts";

const SILENCES = 500;
/** Of all together: their bucket holds the alerts and the rules too. */
const SILENCES_BYTES = 16 * 1024 * 1024;

export type AlertAnswers = {
  readonly store: AlertStore;
  readonly fleet: string;
  readonly records: Pick<HostRecords, "byName" | "seenBy">;
  readonly declared: Pick<DeclaredHosts, "missing">;
  readonly now: () => number;
  verifier(): Verifier;
  bundle(): TrustBundle;
  look(): Promise<Look>;
  changing(host: string): string | null;
  /** As `AlertStore.summary`, without an error: undefined where it cannot be read. */
  summary(): Promise<AlertSummary | null | undefined>;
};

type Methods = "alerts" | "silence" | "unsilence" | "rules" | "set_rules";

export function alertAnswers(
  ports: AlertAnswers,
  events: Pick<Events, "emit">,
): Pick<Handlers<typeof CONTROL>, Methods> {
  const { store, fleet, records, declared, now } = ports;
  return {
    async alerts({ hosts }, call) {
      const guest = call.principal?.guest ?? null;
      const seen =
        guest === null
          ? null
          : new Set([...records.seenBy(guest), ...declared.missing(guest)].map(({ name }) => name));
      const sees = (host: string) => (seen === null || seen.has(host)) && (hosts?.includes(host) ?? true);
      const [alerts, silences, summary, look] = await Promise.all([
        store.alerts(),
        store.silences(now()),
        store.summary(),
        ports.look(),
      ]);
      const views = viewsOf(alerts, look, silences, ports, now()).filter(({ host }) => sees(host));
      return {
        ...fittingAlerts(views),
        ...fittingSilences(
          seen === null ? silences : silences.flatMap((silence) => cutTo(silence, seen)),
          hosts ?? [],
        ),
        summary: seen === null ? (summary ?? null) : null,
        now: now(),
      };
    },
    async silence(request, call) {
      const by = caller(call);
      const { hosts, selector, about, why, for_ms } = request;
      const missing = new Set(declared.missing().map(({ name }) => name));
      const unknown = hosts.filter(
        (host) => host !== FLEET_WIDE && records.byName(host) === undefined && !missing.has(host),
      );
      if (unknown.length > 0) throw new FleetError("NOT_FOUND", `no host ${unknown.slice(0, 5).join(", ")}`);
      mayTouch(call, hosts, ports);
      const held = await store.silences(now());
      if (held.length >= SILENCES)
        throw new FleetError("TOO_LARGE", `there are ${SILENCES} silences: end some of them`);
      const id = randomBytes(4).toString("hex");
      const silence: Silence = { id, selector, hosts, about, by, why, at: now(), until: now() + for_ms };
      const bytes = Buffer.byteLength(JSON.stringify([...held, silence]));
      if (bytes > SILENCES_BYTES)
        throw new FleetError(
          "TOO_LARGE",
          `the ${held.length} silences and this one name too many hosts: end some of them`,
        );
      await store.addSilence(silence);
      const what = `${by} silenced alerts of ${selector}${about.includes("*") ? "" : ` about ${about.join(", ")}`}: ${why}`;
      events.emit({ host: hosts.length === 1 ? (hosts[0] ?? FLEET_WIDE) : FLEET_WIDE, ...EVENT, what, by });
      return { silence };
    },
    async unsilence({ id }, call) {
      const by = caller(call);
      const held = (await store.silences(now())).find((silence) => silence.id === id);
      if (held !== undefined) mayTouch(call, held.hosts, ports);
      const ended = held === undefined ? null : await store.endSilence(id);
      if (ended !== null) {
        const what = `${by} ended the silence of ${ended.selector} that ${ended.by} began: ${ended.why}`;
        events.emit({ host: FLEET_WIDE, ...EVENT, what, by });
      }
      return { ended: ended !== null };
    },
    rules: async () => ({ document: (await store.rules())?.document ?? null }),
    async set_rules({ document }) {
      const { policy } = ports.bundle();
      const { version, by } = await takeRules(document, { store, fleet, verifier: ports.verifier(), policy });
      events.emit({ host: FLEET_WIDE, ...EVENT, what: `alert rules ${version} by ${by} hold`, by });
      return { version };
    },
  };
}

const EVENT = { kind: "alert", severity: "info" } as const;

/** With the words of now, where this controller sees it too, and why nobody is told. */
function viewsOf(
  alerts: readonly Alert[],
  look: Look,
  silences: readonly Silence[],
  { changing }: Pick<AlertAnswers, "changing">,
  now_ms: number,
): AlertView[] {
  const quiet = { silences: silencing(silences), look, changing };
  const words = new Map(look.findings.map((finding) => [`${finding.host} ${finding.about}`, finding]));
  return alerts
    .filter(({ resolved_at }) => resolved_at === null)
    .map((alert) => {
      const finding = words.get(`${alert.host} ${alert.about}`);
      const now = finding === undefined ? {} : { what: finding.what.slice(0, 1_000), next: finding.next };
      return { ...alert, ...now, silenced: quietFor(alert, quiet, now_ms) };
    })
    .sort(worstFirst);
}

/** A silence as a guest may know of it. */
const cutTo = (silence: Silence, seen: ReadonlySet<string>): Silence[] => {
  const hosts = silence.hosts.filter((host) => seen.has(host));
  return hosts.length === 0 ? [] : [{ ...silence, hosts, selector: hosts.join(",").slice(0, 500) }];
};

/** A person who is limited to groups speaks for their hosts only. Errors: NOT_ALLOWED. */
function mayTouch(call: Call, hosts: readonly string[], { bundle, records, declared }: AlertAnswers): void {
  if (call.principal === null) return;
  const missing = new Map(declared.missing().map((host) => [host.name, host.groups]));
  const groupsOf = (host: string) => records.byName(host)?.groups ?? missing.get(host);
  for (const { who, limits } of limitsOf(bundle().policy, call.principal)) {
    const { verbs, groups } = limits;
    if (verbs !== undefined && !verbs.includes("silence"))
      throw new FleetError("NOT_ALLOWED", `${who} is limited to ${verbs.join(", ") || "reading"}`);
    const foreign = hosts.filter(
      (host) => groups !== undefined && !groupsOf(host)?.some((group) => groups.includes(group)),
    );
    if (foreign.length > 0)
      throw new FleetError(
        "NOT_ALLOWED",
        `${who} is limited to the groups ${groups?.join(", ")}: not ${foreign.slice(0, 5).join(", ")}`,
      );
  }
}

function caller(call: Call): string {
  if (call.principal === null) throw new TypeError(`${call.method} was called by nobody`);
  return call.principal.name;
}
