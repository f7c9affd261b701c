/**
 * The alerts that there are: what rises, what stays, what is over. Rise and fall are counted in looks; what is not known is neither. It holds no clock and no bus;
 * what has changed is asked for by host and stored by `store.ts`.
 */
import type { Alert } from "@muster/protocol/alert";
import { type AlertRule, isAbout, type Severity } from "@muster/protocol/alerting";
import { conditionOf, unsureOf } from "./conditions.ts";
import type { Finding, Look } from "./findings.ts";

/** A host with more alerts has one cause. */
const ALERTS_A_HOST = 200;

type Entry = {
  /** Null until the rule's time has passed. */
  alert: Alert | null;
  rule: AlertRule;
  since: number;
  seen: number;
  missed: number;
};

export class AlertBook {
  readonly #entries = new Map<string, Map<string, Entry>>();
  readonly #changed = new Set<string>();

  /** What was stored before. */
  load(alerts: Iterable<Alert>, rules: readonly AlertRule[]): void {
    for (const alert of alerts) {
      const rule = rules.find(({ name }) => name === alert.rule) ?? lastRule(rules);
      this.#of(alert.host).set(alert.about, { alert, rule, since: alert.since, seen: 1, missed: 0 });
    }
  }

  /** Takes one look. `unsettled`: also who is silent is not known yet. */
  look(look: Look, rules: readonly AlertRule[], now_ms: number, unsettled: boolean): void {
    const seen = new Map<string, Set<string>>();
    for (const finding of look.findings) {
      if (unsettled && look.silent.has(finding.host)) continue;
      const rule = ruleFor(finding, rules);
      if (rule === null || rule.severity === "none") continue;
      const abouts = seen.get(finding.host) ?? new Set();
      if (abouts.size >= ALERTS_A_HOST) continue;
      seen.set(finding.host, abouts.add(finding.about));
      this.#rise(finding, rule, rule.severity, now_ms);
    }
    for (const [host, entries] of this.#entries) {
      for (const [about, entry] of entries) {
        if (seen.get(host)?.has(about)) continue;
        // Nothing is known of it now, and only that.
        if (look.silent.has(host) && (unsettled || about !== "silent")) continue;
        const condition = conditionOf(about);
        if (condition !== null && look.unsure.has(unsureOf(host, condition))) continue;
        this.#fall(host, about, entry, now_ms);
      }
      if (entries.size === 0) this.#entries.delete(host);
    }
  }

  #rise(finding: Finding, rule: AlertRule, severity: Severity, now_ms: number): void {
    const { host, about, what, next } = finding;
    const entries = this.#of(host);
    let entry = entries.get(about);
    if (entry === undefined) {
      entry = { alert: null, rule, since: now_ms, seen: 0, missed: 0 };
      entries.set(about, entry);
    }
    Object.assign(entry, { rule, seen: entry.seen + 1, missed: 0 });
    const words = { what: what.slice(0, 1_000), next: next.slice(0, 500) };
    if (entry.alert !== null) {
      if (entry.alert.resolved_at !== null) {
        // It came back before everybody heard that it was over: one and the same to whom it is news to.
        Object.assign(entry.alert, { state: "firing", resolved_at: null, fired_at: now_ms, since: now_ms });
        this.#changed.add(host);
      } else if (entry.alert.severity !== severity) this.#changed.add(host);
      Object.assign(entry.alert, words, { rule: rule.name, severity });
      return;
    }
    // A clock that was set back must not hold it up.
    entry.since = Math.min(entry.since, now_ms);
    if (entry.seen < rule.rise || now_ms - entry.since < rule.for_ms) return;
    entry.alert = {
      ...{ host, about, rule: rule.name, severity, state: "firing" },
      ...{ since: entry.since, fired_at: now_ms, resolved_at: null, ...words, told: {} },
    };
    this.#changed.add(host);
  }

  #fall(host: string, about: string, entry: Entry, now_ms: number): void {
    entry.seen = 0;
    entry.missed += 1;
    const { alert, rule } = entry;
    if (alert === null) {
      this.#of(host).delete(about);
      return;
    }
    if (alert.resolved_at === null) {
      if (entry.missed < rule.fall) return;
      Object.assign(alert, { state: "resolved", resolved_at: now_ms });
      this.#changed.add(host);
    }
    this.#forget(host, about, alert);
  }

  /** One that is over goes when nobody is left who was told of it and not of its end. */
  #forget(host: string, about: string, alert: Alert): void {
    if (alert.resolved_at === null || Object.values(alert.told).some(({ state }) => state === "firing"))
      return;
    this.#of(host).delete(about);
    this.#changed.add(host);
  }

  /** A route has told these; `news`: the state that it knows is another than before, and worth storing. */
  told(
    route: string,
    items: readonly Pick<Alert, "host" | "about" | "state">[],
    now_ms: number,
    news: boolean,
  ): void {
    for (const { host, about, state } of items) {
      const alert = this.#entries.get(host)?.get(about)?.alert;
      if (alert == null) continue;
      if (news || alert.told[route]?.state !== state) this.#changed.add(host);
      alert.told[route] = { at: now_ms, state };
      this.#forget(host, about, alert);
    }
  }

  /** Routes that are gone hear of no end. */
  keepRoutes(routes: ReadonlySet<string>): void {
    for (const alert of this.alerts())
      for (const route of Object.keys(alert.told))
        if (!routes.has(route)) {
          delete alert.told[route];
          this.#changed.add(alert.host);
        }
  }

  *alerts(): Generator<Alert> {
    for (const entries of this.#entries.values())
      for (const { alert } of entries.values()) if (alert !== null) yield alert;
  }

  of(host: string): Alert[] {
    return [...(this.#entries.get(host)?.values() ?? [])].flatMap(({ alert }) => alert ?? []);
  }

  /** Hosts whose alerts are not stored as they are; they count as stored from now on. */
  takeChanged(): string[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }

  /** It could not be stored. */
  changedStill(host: string): void {
    this.#changed.add(host);
  }

  clear(): void {
    this.#entries.clear();
    this.#changed.clear();
  }

  #of(host: string): Map<string, Entry> {
    const held = this.#entries.get(host) ?? new Map<string, Entry>();
    this.#entries.set(host, held);
    return held;
  }
}

export const ruleFor = (
  { host, about, tint }: Pick<Finding, "host" | "about" | "tint">,
  rules: readonly AlertRule[],
): AlertRule | null =>
  rules.find(
    (rule) =>
      (rule.tint === undefined || rule.tint === tint) &&
      (rule.hosts === null || rule.hosts.includes(host)) &&
      isAbout(rule.about, about),
  ) ?? null;

/** For an alert whose rule is gone: it stands until the next look decides. */
const lastRule = (rules: readonly AlertRule[]): AlertRule => {
  const rule = rules.at(-1);
  if (rule === undefined) throw new TypeError("there are always the rules that Muster brings");
  return rule;
};
