/** Bucket `alerts`: a host's alerts under `host.<name>`, silences, what is on its way on each route, the signed rules, and the short of it all. */
import type { KeyValue } from "@muster/ports/bus";
import { Alert, AlertSummary, Silence } from "@muster/protocol/alert";
import { StoredEnvelope } from "@muster/protocol/envelope";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";
import { RouteState } from "./route-state.ts";

const Alerts = z.array(Alert).max(400);
const RULES = "rules";
const SUMMARY = "summary";
/** A silence that is over lies there for as long. */
const OVER_S = 60;

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

export class AlertStore {
  readonly #kv: KeyValue;

  constructor(kv: KeyValue) {
    this.#kv = kv;
  }

  async alerts(): Promise<Alert[]> {
    const entries = await this.#kv.entries("host.*");
    return entries.flatMap(({ key, value }) => parseJson(Alerts, value, `alerts of ${key}`));
  }

  /** None takes the entry away. */
  async putAlerts(host: string, alerts: readonly Alert[]): Promise<void> {
    const key = `host.${host}`;
    if (alerts.length > 0) await this.#kv.put(key, bytes(alerts));
    else await this.#kv.delete(key, { ttl_s: OVER_S });
  }

  /** Those in force. */
  async silences(now_ms: number): Promise<Silence[]> {
    const entries = await this.#kv.entries("silence.*");
    return entries
      .map(({ key, value }) => parseJson(Silence, value, key))
      .filter(({ until }) => until > now_ms);
  }

  async addSilence(silence: Silence): Promise<void> {
    const ttl_s = Math.ceil((silence.until - silence.at) / 1_000) + OVER_S;
    await this.#kv.create(`silence.${silence.id}`, bytes(silence), { ttl_s });
  }

  async endSilence(id: string): Promise<Silence | null> {
    const entry = await this.#kv.get(`silence.${id}`);
    if (entry === null) return null;
    await this.#kv.delete(entry.key, { revision: entry.revision, ttl_s: OVER_S });
    return parseJson(Silence, entry.value, entry.key);
  }

  async routes(): Promise<Map<string, RouteState>> {
    const entries = await this.#kv.entries("route.*");
    return new Map(
      entries.map(({ key, value }) => [key.slice("route.".length), parseJson(RouteState, value, key)]),
    );
  }

  async putRoute(name: string, state: RouteState): Promise<void> {
    await this.#kv.put(`route.${name}`, bytes(state));
  }

  async dropRoute(name: string): Promise<void> {
    await this.#kv.delete(`route.${name}`, { ttl_s: OVER_S });
  }

  /** As they were signed, and the revision for `putRules`; null = none yet. */
  async rules(): Promise<{ document: StoredEnvelope; revision: number } | null> {
    const entry = await this.#kv.get(RULES);
    if (entry === null) return null;
    return { document: parseJson(StoredEnvelope, entry.value, "alert rules"), revision: entry.revision };
  }

  /** Errors: CONFLICT when others were faster. */
  async putRules(document: StoredEnvelope, revision: number | null): Promise<void> {
    if (revision === null) await this.#kv.create(RULES, bytes(document));
    else await this.#kv.update(RULES, bytes(document), revision);
  }

  /** Null = no controller has looked yet; undefined = there is no such bucket: a fleet whose `ctl init` was not run since. */
  async summary(): Promise<AlertSummary | null | undefined> {
    try {
      const entry = await this.#kv.get(SUMMARY);
      return entry === null ? null : parseJson(AlertSummary, entry.value, SUMMARY);
    } catch (error) {
      if (error instanceof FleetError && error.code === "NO_RESPONDER") return undefined;
      throw error;
    }
  }

  async putSummary(summary: AlertSummary): Promise<void> {
    await this.#kv.put(SUMMARY, bytes(summary));
  }
}
