/**
 * Alerts, by the controller that leads: every few seconds it looks at the fleet, keeps the book of what fires, and sends what is due. All of it lies in bucket `alerts`: the next
 * leader goes on where this one was, tells nothing twice and leaves nothing out. What only began to be wrong begins anew with it.
 */
import type { Log } from "@muster/ports/log";
import type { Alert, AlertSummary } from "@muster/protocol/alert";
import type { AlertRule } from "@muster/protocol/alerting";
import type { StoredEnvelope, Verifier } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import type { Outlets } from "../monitoring/outlets.ts";
import type { Storage } from "../records/storage.ts";
import { pause } from "../retry.ts";
import { AlertBook } from "./book.ts";
import { Delivery } from "./delivery.ts";
import type { Look } from "./findings.ts";
import { DeadMan } from "./heartbeat.ts";
import { type QuietBy, quietFor, silencing } from "./quiet.ts";
import type { RouteState } from "./route-state.ts";
import { type Rules, rulesOf, shipped } from "./rules.ts";
import type { AlertStore } from "./store.ts";

const LOOK_MS = 2_000;
const SUMMARY_MS = 30_000;

export type AlertPorts = {
  readonly store: AlertStore;
  readonly storage: Pick<Storage, "noted" | "forget">;
  readonly fleet: string;
  readonly log: Log;
  readonly now: () => number;
  verifier(): Verifier;
  /** With what the rules' own conditions find. */
  look(rules: readonly AlertRule[]): Promise<Look>;
  /** Lets go of what was held to look. */
  forget(): void;
  /** What a rollout says of a host that it waits for; null for any other. */
  changing(host: string): string | null;
  leading(): boolean;
  /** `deaf`: nothing is heard at all. `settling`: it was so a moment ago, and who is silent is not known yet. */
  hearing(): "well" | "settling" | "deaf";
  /** The value of a reference to Vault. */
  secret(reference: string): Promise<string>;
  /** What is pushed besides: by whoever leads, as the same document says. */
  readonly outlets: Pick<Outlets, "use" | "standings">;
};

/** Looks until the signal aborts. */
export async function watchAlerts(ports: AlertPorts, signal: AbortSignal): Promise<void> {
  const watch = new AlertWatch(ports, signal);
  let told = "";
  while (!signal.aborted) {
    try {
      await watch.round();
      told = "";
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      // In a fleet from before it is so until `ctl init` was run again.
      if (!signal.aborted && error.message !== told) ports.log.warn({ err: error }, "alerts stand still");
      told = error.message;
    }
    await pause(LOOK_MS, signal);
  }
}

export class AlertWatch {
  readonly #ports: AlertPorts;
  readonly #signal: AbortSignal;
  readonly #book = new AlertBook();
  readonly #deliveries = new Map<string, Delivery>();
  readonly #dead_man: DeadMan;
  #rules: Rules = shipped();
  #signed = "";
  #silences: QuietBy["silences"] = [];
  /** What was on its way when this controller began to lead; null while it does not. */
  #taken_over: Map<string, RouteState> | null = null;
  #told_summary = { text: "", at: 0 };

  constructor(ports: AlertPorts, signal: AbortSignal) {
    this.#ports = ports;
    this.#signal = signal;
    const { log, now } = ports;
    this.#dead_man = new DeadMan({ log, now, secret: (text) => this.#secret(text), signal });
  }

  /** One look, and all that follows from it. Errors: those of the bus. */
  async round(): Promise<void> {
    const { now, leading, hearing, look, store, storage } = this.#ports;
    if (!leading()) {
      this.#yield();
      return;
    }
    const heard = hearing();
    if (heard === "deaf") return;
    await this.#readStored();
    const seen = await look(this.#rules.rules);
    this.#book.look(seen, this.#rules.rules, now(), heard === "settling");
    const quiet = (alert: Alert) =>
      quietFor(alert, { silences: this.#silences, look: seen, changing: this.#ports.changing }, now());
    await this.#storeBook();
    for (const delivery of this.#deliveries.values()) delivery.look(quiet);
    const { heartbeat } = this.#rules;
    if (heartbeat !== null) this.#dead_man.beat(heartbeat);
    const summary = this.#summary(quiet, seen);
    const text = JSON.stringify({
      ...summary,
      at: 0,
      routes: summary.routes.map((route) => ({ ...route, ok_at: 0 })),
    });
    if (text === this.#told_summary.text && Math.abs(now() - this.#told_summary.at) < SUMMARY_MS) return;
    await storage.noted("alerts", () => store.putSummary(summary));
    this.#told_summary = { text, at: now() };
  }

  /** Waits for what is being sent; for tests. */
  async settled(): Promise<void> {
    const sending = [...this.#deliveries.values(), this.#dead_man];
    await Promise.all(sending.map((each) => each.settled()));
  }

  /** Another leads: what it makes of all this is not known here. */
  #yield(): void {
    if (this.#taken_over === null) return;
    this.#taken_over = null;
    this.#book.clear();
    this.#deliveries.clear();
    this.#signed = "";
    this.#ports.outlets.use(null);
    this.#ports.forget();
    // Whoever leads now tells whether they are stored.
    this.#ports.storage.forget("alerts");
  }

  async #readStored(): Promise<void> {
    const { store, now } = this.#ports;
    const [rules, silences] = await Promise.all([store.rules(), store.silences(now())]);
    this.#silences = silencing(silences);
    const begins = this.#taken_over === null;
    if (begins) {
      const [alerts, routes] = await Promise.all([store.alerts(), store.routes()]);
      this.#useRules(rules?.document ?? null, routes);
      for (const name of routes.keys())
        if (!this.#deliveries.has(name)) void this.#try(() => store.dropRoute(name));
      this.#book.clear();
      this.#book.load(alerts, this.#rules.rules);
      this.#taken_over = routes;
    } else this.#useRules(rules?.document ?? null, new Map());
    const routes = new Set(this.#deliveries.keys());
    this.#book.keepRoutes(routes);
  }

  #useRules(document: StoredEnvelope | null, taken_over: ReadonlyMap<string, RouteState>): void {
    const signed = JSON.stringify(document);
    if (signed === this.#signed) return;
    const { fleet, log } = this.#ports;
    this.#rules = rulesOf(document, fleet, this.#ports.verifier());
    this.#signed = signed;
    this.#ports.outlets.use(this.#rules.monitoring ?? null);
    const error = this.#rules.given?.error ?? "";
    if (error !== "")
      log.error({ error }, "alert rules cannot be used: the others hold, and those that Muster brings");
    for (const name of this.#deliveries.keys())
      if (!this.#rules.routes.has(name)) {
        this.#deliveries.delete(name);
        void this.#try(() => this.#ports.store.dropRoute(name));
      }
    for (const [name, route] of this.#rules.routes) {
      const held = this.#deliveries.get(name);
      if (held !== undefined && held.route.to === route.to) held.route = route;
      else this.#deliveries.set(name, new Delivery(name, route, taken_over.get(name), this.#deliveryPorts()));
    }
  }

  #deliveryPorts() {
    const { fleet, log, now, store } = this.#ports;
    return {
      ...{ fleet, log, now, book: this.#book, signal: this.#signal },
      secret: (text: string) => this.#secret(text),
      store: (name: string, state: RouteState) => this.#try(() => store.putRoute(name, state)),
      storeBook: () => this.#storeBook(),
    };
  }

  async #storeBook(): Promise<void> {
    await Promise.all(
      this.#book.takeChanged().map(async (host) => {
        const stored = await this.#try(() => this.#ports.store.putAlerts(host, this.#book.of(host)));
        if (!stored) this.#book.changedStill(host);
      }),
    );
  }

  /** A broker whose disk is full must not keep anybody from hearing of it. */
  async #try(write: () => Promise<void>): Promise<boolean> {
    try {
      await write();
      return true;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (!this.#signal.aborted) this.#ports.log.warn({ err: error }, "how alerts stand could not be stored");
      return false;
    }
  }

  async #secret(text: string): Promise<string> {
    return text.startsWith("vault:") ? this.#ports.secret(text) : text;
  }

  #summary(quiet: (alert: Alert) => string | null, { not_known }: Look): AlertSummary {
    const firing = [...this.#book.alerts()].filter(({ resolved_at }) => resolved_at === null);
    const silenced = firing.filter((alert) => quiet(alert) !== null).length;
    const routes = [...this.#deliveries.values()].map((delivery) => delivery.standing());
    if (this.#rules.heartbeat !== null) routes.push(this.#dead_man.standing());
    routes.push(...this.#ports.outlets.standings());
    const rules = this.#rules.given;
    const counts = { firing: firing.length - silenced, silenced };
    return { at: this.#ports.now(), ...counts, routes, rules, not_known: [...not_known] };
  }
}
