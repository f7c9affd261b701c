/**
 * The controller put together: builds the ports, takes what is stored, and answers until its signal aborts. It keeps nothing that is not in
 * JetStream or Vault, so that it may be ended and begun again at any time, and run beside others.
 */
import { type Bus, connectBus } from "@muster/ports/bus";
import { type DispatchOptions, type MethodTable, serve } from "@muster/ports/dispatch";
import type { Log } from "@muster/ports/log";
import { sharedMemory } from "@muster/ports/nonces";
import { pki } from "@muster/ports/pki";
import { sshCa } from "@muster/ports/sshca";
import { transit } from "@muster/ports/transit";
import type { Vault } from "@muster/ports/vault";
import { CONTROLLER_QUEUE, patterns, subjects } from "@muster/protocol";
import { CONTROL, PAGE } from "@muster/protocol/control/index";
import { FleetError } from "@muster/protocol/errors";
import { targetGroups } from "@muster/protocol/monitoring";
import { alertParts } from "./alerts/parts.ts";
import { alertSecrets } from "./alerts/secrets.ts";
import { watchAlerts } from "./alerts/watch.ts";
import { exportAudit } from "./audit/export.ts";
import { Audit } from "./audit/writer.ts";
import { BlobStore } from "./blobs/store.ts";
import { sweepBlobs } from "./blobs/sweep.ts";
import { Identity } from "./certificates/identity.ts";
import { type Issuer, LIFE_MS, vaultIssuer } from "./certificates/issuer.ts";
import type { ControllerConfig } from "./config.ts";
import { readText } from "./config.ts";
import { controlHandlers } from "./control.ts";
import { watchCopies } from "./copies/watch.ts";
import { serveDashboard } from "./dashboard/server.ts";
import { Staging } from "./desired/stage.ts";
import { keepIdentity, tellBus, watchSilence } from "./duties.ts";
import { serveEnrolment } from "./enrolment/service.ts";
import { Tickets } from "./enrolment/tickets.ts";
import { WaitingRoom } from "./enrolment/waiting.ts";
import { Events } from "./events.ts";
import { fleetMetrics } from "./metrics/fleet.ts";
import { serveMetrics } from "./metrics/server.ts";
import { FleetText } from "./metrics/text.ts";
import { declaredMonitoring } from "./monitoring/declared.ts";
import { AccessRecords } from "./records/access.ts";
import { DeclaredHosts } from "./records/declared.ts";
import { HostRecords } from "./records/hosts.ts";
import { Storage } from "./records/storage.ts";
import { untilDone } from "./retry.ts";
import { RolloutEngine } from "./rollout/engine.ts";
import { keepLease } from "./rollout/lease.ts";
import type { Status } from "./status.ts";
import { LastValues } from "./telemetry/last.ts";
import { listen } from "./telemetry/listen.ts";
import { Silence } from "./telemetry/silence.ts";
import { Trust } from "./trust.ts";
import { logIn } from "./vault.ts";

export type SystemPorts = {
  readonly log: Log;
  readonly status: Status;
  readonly now: () => number;
  /** Only tests give one: else everything is signed by Vault. */
  readonly issuer?: Issuer;
};

/** Runs until the signal aborts, then drains. Errors: CONFIG. */
export async function runController(
  config: ControllerConfig,
  ports: SystemPorts,
  signal: AbortSignal,
): Promise<void> {
  const { log, status, now } = ports;
  const broker_ca_pem = await readText(config.broker_ca);
  const vault = ports.issuer === undefined ? await logIn(config, ports, signal) : null;
  const issuer = ports.issuer ?? issuerOf(config, vault, now);
  const identity = new Identity(config.name, issuer, now);
  // What is under way when the signal aborts still needs the bus: it has a life of its own, and is closed at the end.
  const life = new AbortController();
  let bus: Bus | undefined;
  const stopDialling = () => {
    if (bus === undefined) life.abort();
  };
  signal.addEventListener("abort", stopDialling, { once: true });
  status.say("connecting to the broker");
  try {
    bus = await connectBus(
      {
        servers: config.brokers,
        ca_pem: broker_ca_pem,
        name: `${config.name} of ${config.fleet}`,
        inbox_prefix: subjects.inboxPrefix(identity.id),
        credentials: () => identity.busCredentials(),
        reconnect_max_ms: 3_000,
        on_status: (event) => tellBus(event, { log, status }),
      },
      life.signal,
    );
    const secret = alertSecrets(vault, now);
    await run(config, bus, identity, issuer, broker_ca_pem, { ...ports, secret }, signal);
  } catch (error) {
    if (!(error instanceof FleetError) || error.code !== "CANCELLED") throw error;
  } finally {
    status.stopping();
    await bus?.close();
    life.abort();
  }
}

function issuerOf(config: ControllerConfig, vault: Vault | null, now: () => number): Issuer {
  if (vault === null) throw new TypeError("nothing signs");
  const lives = Object.fromEntries(
    Object.entries(config.lifetimes_s ?? {}).map(([name, life_s = 0]) => [name, life_s * 1000]),
  );
  return vaultIssuer(
    { name: config.fleet, account: config.account },
    { pki: pki(vault), transit: transit(vault), ssh: sshCa(vault) },
    now,
    { ...LIFE_MS, ...lives },
  );
}

async function run(
  config: ControllerConfig,
  bus: Bus,
  identity: Identity,
  issuer: Issuer,
  broker_ca_pem: string,
  { log, status, now, secret }: SystemPorts & { secret(reference: string): Promise<string> },
  signal: AbortSignal,
): Promise<void> {
  const fleet = { name: config.fleet, anchor: config.anchor };
  const trust = new Trust({ fleet: config.fleet, anchor: config.anchor, broker_ca_pem });
  const records = new HostRecords(bus);
  const access = new AccessRecords(bus, now);
  const last = new LastValues(records);
  const events = new Events(bus, identity.id, log, now);
  const storage = new Storage(now);
  const audit = new Audit({ bus, id: identity.id, name: config.name, log, now, storage });
  const waiting = new WaitingRoom(bus, now);
  const verifier = () => trust.verifier;
  const declared = new DeclaredHosts({ bus, fleet: config.fleet, records, log, verifier });
  const enrolled = (id: string) => records.byName(records.nameOf(id) ?? "")?.state === "enrolled";
  const blobs = new BlobStore({ bus, now, sweep: () => sweepBlobs({ bus, now, enrolled }) });
  const staging = new Staging({ bus, fleet: config.fleet, records, blobs, verifier });
  const fact = (host: string) => {
    const { sample, changed_at } = last.convergence(host);
    return { heard_at: last.heardAt(host), changed_at, convergence: sample };
  };
  const emit: Events["emit"] = (event) => events.emit(event);
  const engine = new RolloutEngine({ bus, fleet: config.fleet, log, now, verifier, fact, emit });
  const silence = new Silence();

  const load = async (): Promise<void> => {
    await Promise.all([trust.load(bus), records.load()]);
    await Promise.all([last.load(bus), declared.read()]);
    silence.listening(now());
  };
  const loadAll = async (what: string): Promise<void> => {
    await untilDone(load, (error) => status.say(`${what}: ${error.message}`), signal);
    void last.readOn(bus, signal).catch((error) => afterEnd(error, log));
  };

  const ends = [
    trust.follow(bus, log, (bundle) => log.info({ version: bundle.version }, "a newer trust bundle")),
    listen({ bus, id: identity.id, log, now, records, declared, last, engine, events }),
  ];
  await loadAll("waiting for what is stored");

  ends.push(
    bus.onStatus((event) => {
      if (event.type === "disconnected") {
        silence.listening(null);
        last.cut();
      }
      if (event.type !== "reconnected") return;
      void loadAll("reading again after the broker was away")
        .then(() => (engine.leading ? engine.lead() : undefined))
        .then(() => status.say(standing(config, bus, records, engine)))
        .catch((error) => afterEnd(error, log));
    }),
  );

  const memory = sharedMemory(bus.kv("commands"), now);
  await untilDone(
    () => audit.begin(),
    (error) => status.say(`waiting for the audit: ${error.message}`),
    signal,
  );
  const tickets = new Tickets(bus);
  const told = () => ({ records, declared, last, leading: engine.leading, logs: alerts.outlets.logCounts() });
  const families = () => fleetMetrics(told(), now());
  const alerts = alertParts({
    ...{ bus, fleet: config.fleet, backup_report: config.backup_report, log, now, trust, records, last },
    ...{ declared, engine, silence, storage, secret, families },
  });
  const monitoring = declaredMonitoring(alerts);
  const handlers = controlHandlers({
    backup_report: config.backup_report,
    ...{ bus, fleet: config.fleet, now, trust, records, access, issuer, last, blobs, staging, engine },
    ...{
      declared,
      waiting,
      tickets,
      pages: config.dashboard?.addresses ?? [],
      events,
      storage,
      alerts,
      id: identity.id,
      audit,
    },
  });
  const answering: Pick<
    DispatchOptions<MethodTable>,
    "bus" | "verifier" | "now" | "memory" | "audit" | "policy" | "on_done"
  > = {
    bus,
    verifier: () => trust.verifierIfAny,
    now,
    memory,
    audit,
    policy(principal, method) {
      if (!principal.kit) return;
      const what = `${method} with the recovery kit by ${principal.name}`;
      events.emit({ host: "_", kind: "kit", severity: "error", what, by: principal.name });
    },
    on_done: ({ method, by, error, took_ms }) => {
      const fields = { method, by, took_ms: Math.round(took_ms * 10) / 10 };
      if (error === null) log.debug(fields, "answered");
      else if (error instanceof FleetError)
        log.info({ ...fields, code: error.code, detail: error.detail }, "refused");
      else log.error({ ...fields, err: error }, "a mistake in this program");
    },
  };
  const route = (pattern: string, logical: (method: string) => string) => ({
    routes: [{ pattern, queue: CONTROLLER_QUEUE, logical }],
  });
  serve({ ...answering, table: CONTROL, handlers, ...route(patterns.ctl, subjects.ctl) }, signal);
  serve(
    {
      ...{ ...answering, table: PAGE, handlers, ...route(patterns.page, (method) => `page.${method}`) },
      vouched: (subject) => access.ownerOfPage(subject.split(".")[1] ?? ""),
      // That the recovery kit opened it was told with its ticket; a page asks again every few seconds.
      policy: () => undefined,
    },
    signal,
  );
  if (config.metrics !== undefined) {
    const text = new FleetText();
    const pages = {
      metrics: () => text.of(told(), now()),
      targets: async (job: string | undefined) => targetGroups(await monitoring(), config.fleet, job),
    };
    // A port that is taken must not keep hosts from being admitted and rolled out to.
    await serveMetrics(config.metrics.listen, pages, signal).catch((error) => {
      if (!(error instanceof FleetError)) throw error;
      log.error({ err: error }, "no metrics for Prometheus");
    });
  }
  serveEnrolment(
    { bus, fleet, trust, issuer, records, access, tickets, waiting, events, memory, audit, now, log },
    signal,
  );

  const copies = watchCopies({ bus, records, events, leading: () => engine.leading, log, now }, signal);

  const lease = keepLease(
    {
      kv: bus.kv("fleet"),
      id: identity.id,
      changed: (leading) => {
        log.info({ leading }, leading ? "leads from now on" : "leads no more");
        if (leading) {
          untilDone(
            () => engine.lead(),
            (error) => log.warn({ err: error }, "rollouts"),
            signal,
          )
            .then(() => {
              copies.lead();
              status.say(standing(config, bus, records, engine));
            })
            .catch((error) => afterEnd(error, log));
        } else engine.yield();
      },
      failed: (error) => {
        storage.failed("lease", error);
        log.warn({ err: error }, "the lease of leadership");
      },
      answered: () => storage.answered("lease"),
    },
    signal,
  );
  await bus.roundTrip();
  status.ready(standing(config, bus, records, engine));
  await Promise.all([
    lease,
    exportAudit(config.audit_export ?? {}, { bus, name: config.name, log }, signal),
    config.dashboard === undefined
      ? undefined
      : serveDashboard(
          config.dashboard,
          { fleet: config.fleet, name: config.name, issuer, log, now },
          signal,
        ),
    watchAlerts(alerts, signal),
    watchSilence({ records, last, silence, engine, events, log, now }, signal),
    declared.follow(signal),
    keepIdentity(identity, bus, { log, now }, signal),
  ]);
  for (const end of ends) end();
  await alerts.outlets.stop();
  engine.yield();
  await audit.end();
}

function standing(config: ControllerConfig, bus: Bus, records: HostRecords, engine: RolloutEngine): string {
  const hosts = `${records.size} ${records.size === 1 ? "host" : "hosts"}`;
  return `${config.fleet}: ${hosts}, at ${bus.server ?? "no broker"}${engine.leading ? ", leads" : ""}`;
}

function afterEnd(error: unknown, log: Log): void {
  if (error instanceof FleetError) {
    if (error.code !== "CANCELLED") log.error({ err: error }, "after reading what is stored");
    return;
  }
  throw error;
}
