/** The composition root of the agent: hands the ports (base.ts) to the parts, starts the loops. No decision is made here. */
import { type Bus, storedAt } from "@muster/ports/bus";
import { serve } from "@muster/ports/dispatch";
import { processMemory } from "@muster/ports/nonces";
import { Streams } from "@muster/ports/streams";
import type { ManifestContent } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { RPC } from "@muster/protocol/rpc/index";
import { subjects } from "@muster/protocol/subjects";
import type { TelemetryKind } from "@muster/protocol/telemetry/index";
import { holdAlone } from "./alone.ts";
import { HostAudit } from "./audit/audit.ts";
import { openMark } from "./audit/mark.ts";
import { tellManifest, tellTrust } from "./audit/tell.ts";
import type { Base } from "./base.ts";
import { createInstaller } from "./certificates.ts";
import { createBgp } from "./collectors/bgp.ts";
import { createChecks } from "./collectors/checks.ts";
import { createHealth } from "./collectors/health.ts";
import { collect } from "./collectors/index.ts";
import { createLogs } from "./collectors/logs.ts";
import { lookAfterChanges, steadyCollectors } from "./collectors/steady-all.ts";
import { CredentialStore } from "./credentials.ts";
import { drainOf } from "./drain.ts";
import { enrol } from "./enrolment.ts";
import { openEvents } from "./events.ts";
import { History } from "./history.ts";
import { openIdentity } from "./identity.ts";
import { Intake } from "./intake.ts";
import { Ledger } from "./ledger.ts";
import { follow, type LinkDoor, newConnectionWorks, openLink } from "./link.ts";
import { takeActsAlways } from "./local-acts.ts";
import { Marks } from "./mark.ts";
import { judgeCall, judgeManifest } from "./policy.ts";
import type { Ports } from "./ports/index.ts";
import { Reconciler } from "./reconcile.ts";
import { recover } from "./recover.ts";
import { renewLoop } from "./renewal.ts";
import { takeName, type WaysDoor, waysOf } from "./renewal-ways.ts";
import { type Connected, report, Voice, watchdog } from "./reporter.ts";
import { keepRevoked } from "./revoked-keys.ts";
import { toldTo } from "./rpc/done.ts";
import { operatingSystem } from "./rpc/facts.ts";
import { handlersOf, type RpcDoor } from "./rpc/index.ts";
import { Standing } from "./standing.ts";
import { tidyAtRest } from "./tidy.ts";
import { Trust } from "./trust.ts";
import { AGENT_VERSION } from "./version.ts";
import { Bell, pause } from "./wait.ts";

/** Half a megabyte over a line of 128 kbit/s. */
const CHUNK_LIMIT_MS = 30_000;
/** An answer is on its way before the connection is made anew. */
const ANSWER_FIRST_MS = 200;

/**
 * Runs the agent until the signal aborts. `firstEnrolled` is told when a host that nothing was ever applied to has got its credentials, and may
 * abort the signal to begin anew.
 * Errors: FAILED, INVALID when its own keys cannot be read; a mistake in the program.
 */
export async function runAgent(base: Base, firstEnrolled: () => void, signal: AbortSignal): Promise<void> {
  const { config, places, records, armer, log } = base;
  const ports: Ports = { ...base.ports, drain: () => drainOf(ledger.state.switches) };
  await holdAlone(places.alone, signal);
  const standing = new Standing(AGENT_VERSION, ports.now);
  const [identity, trust, credentials, marks, ledger, os, history] = await Promise.all([
    openIdentity(places.keys, places.ssh_host_key),
    Trust.open(places.trust, log),
    CredentialStore.open(places.credentials),
    Marks.open(places.mark),
    Ledger.open(places.ledger, places.manifests),
    operatingSystem(),
    History.open(places.history, log, ports.now),
  ]);
  let connected: Connected | null = null;
  const where = () => connected;
  const spool = { log: places.events, spool: places.spool };
  const events = await openEvents(spool, where, log, ports.now, () => ports.drain() !== null);
  if (ledger.damaged !== null)
    events.tell({
      kind: "convergence",
      severity: "error",
      what: `the ledger was damaged: ${ledger.damaged}`,
    });
  standing.set({ id: identity.id, host: credentials.kept?.host ?? null });
  const audit = await HostAudit.open(
    { file: places.audit, sent: places.audit_sent },
    { id: identity.id, host: () => credentials.kept?.host ?? null, log, events, now: ports.now },
  );
  const memory = processMemory(ports.now, await openMark(places.commands, ports.now()));
  const certificates = () => standing.converge({ certificates: credentials.expiries() });
  certificates();

  await recover(records, armer, ledger, events, ports, signal);

  const link: LinkDoor = {
    identity,
    credentials,
    trust,
    root_ca_file: places.root_ca,
    fleet_file: places.fleet_file,
    desired_period_ms: config.desired_period_ms,
    log,
    offerManifest: ({ headers, body }) => intake.offer({ headers, body }, storedAt(headers) ?? ports.now()),
    broker: (why) => standing.set({ broker: why }),
    refused: () => reenrol.ring(),
  };
  const reconciler = new Reconciler({
    ledger,
    ports,
    events,
    standing,
    holds_file: places.holds,
    observe_period_ms: config.observe_period_ms,
    log,
    async chunk(sha256, n) {
      if (connected === null) throw new FleetError("BUS_UNREACHABLE", "not connected yet");
      const limits = { timeout_ms: CHUNK_LIMIT_MS };
      const subject = subjects.blob(identity.id, sha256, n);
      return (await connected.bus.directGet("BLOB", subject, limits))?.body ?? null;
    },
    stands(content) {
      standing_content = content;
    },
    watched: () => ["ssh", "the default route", ...(connected === null ? [] : ["a new bus connection"])],
    guarded: {
      records,
      probes: {
        ssh_port: config.ssh_port,
        bus: (life) => (connected === null ? Promise.resolve(false) : newConnectionWorks(link, life)),
      },
      settle_ms: config.settle_ms,
      seen: (path) => (path.startsWith(config.prefix) ? path.slice(config.prefix.length) : path),
      ...armer,
      unconfirmed: (_ref, undo_at, failures) =>
        undo_at === null
          ? standing.converge({ undo_at: null })
          : standing.converge({ state: "unconfirmed", undo_at, detail: failures.join("; ").slice(0, 4_000) }),
    },
  });
  const standingContent = async () => {
    const { in_force, returned_to } = ledger.state;
    if (in_force === null) return null;
    const returned = returned_to === null ? null : await ledger.byContent(returned_to);
    return (returned ?? (await ledger.manifest(in_force))).content;
  };
  let standing_content: ManifestContent | null = await standingContent();
  const intake = new Intake({
    ledger,
    verifier: () => trust.verifier,
    target: () => (trust.bundle === null ? null : { fleet: trust.bundle.fleet, id: identity.id }),
    now: ports.now,
    shown: (content_hash) => reconciler.shown(content_hash),
    async judge(opened) {
      const standing = await standingContent();
      if (trust.bundle !== null) judgeManifest(trust.bundle.policy, opened, standing);
    },
    accepted(opened) {
      tellManifest(audit, opened, ports.now());
      reconciler.bell.ring();
    },
    refused(error) {
      tellManifest(audit, error, ports.now());
      reconciler.refuse(error);
    },
  });
  trust.onJudged((outcome) => tellTrust(audit, outcome, ports.now()));
  const acts = new Bell();
  acts.ring();
  // One watch: the directory is that of the ledger too, and each watch hears of every file in it.
  const holds_path = places.holds.slice(config.prefix.length);
  ports.files.watch(
    [holds_path, places.acts.slice(config.prefix.length)],
    {
      changed: (path) => (path === holds_path ? reconciler.bell : acts).ring(),
      failed: (error) =>
        log.warn({ err: error }, "holds are seen late, and the audit hears late of the host"),
    },
    signal,
  );

  const health = createHealth(ports);
  const bgp = createBgp(ports, () => {
    const resource = ledger.state.resources["bird/main"]?.resource;
    return resource?.kind === "bird" ? resource.spec : null;
  });
  const checks = createChecks({
    ...{ ports, ledger, log, file: places.checks },
    tell: (event) => events.tell(event),
    bgp: () => bgp.last(),
    fleetCa: () => trust.bundle?.services_ca.join("\n") ?? "",
  });
  standing.listen(() => checks.look());
  const logs = createLogs({ ports, ledger, standing, events, log, file: places.logs, where });
  const steady = steadyCollectors(ports, () => standing_content, credentials);
  lookAfterChanges(standing, steady);
  tidyAtRest(standing, signal);
  const [reenrol, vault_bell] = [new Bell(), new Bell()];
  let forgotten = false;
  const enrolment = {
    config,
    places,
    identity,
    trust,
    credentials,
    marks,
    os,
    agent_version: AGENT_VERSION,
    log,
    now: ports.now,
    say: (text: string) => standing.set({ enrolment: text }),
  };
  const installer = createInstaller(
    { config, places, identity, credentials, trust, ports, events, log },
    signal,
  );
  const install = () => {
    certificates();
    return installer();
  };

  /** Whatever happens to credentials: without usable ones, enrol; with them, connect and serve. */
  const onTheBus = async () => {
    if (!credentials.usable(ports.now()) || trust.bundle === null) {
      if ((await enrol(enrolment, signal)) === null) return;
      events.tell({
        kind: "enrolment",
        severity: "info",
        what: `enrolled as ${credentials.kept?.host ?? "?"}`,
      });
      if (ledger.state.accepted === null) firstEnrolled();
      if (signal.aborted) return;
    }
    const host = credentials.kept?.host ?? "";
    standing.set({ enrolment: null, host });
    const installing = install();
    const bus = await openLink(link, host, signal);
    connected = { bus, id: identity.id, host };
    standing.repeat();
    const door: WaysDoor = {
      bus,
      run: ports.run,
      identity,
      credentials,
      marks,
      bundle: () => trust.bundle,
      events,
      vault_bell,
      now: ports.now,
      forgotten() {
        forgotten = true;
        reenrol.ring();
      },
    };
    serveRpc(bus, (name, life) => beCalled(name, door, life));
    reconciler.bell.ring();
    await Promise.all([
      installing,
      follow(bus, link, signal),
      renewLoop(
        {
          credentials,
          ways: waysOf(door),
          events,
          log,
          now: ports.now,
          renewed: install,
        },
        signal,
      ),
    ]);
  };

  /** The broker knows a name by the connection: what is said under the new one has to wait for that. */
  const beCalled = async (name: string, door: WaysDoor, life: AbortSignal) => {
    await takeName(door, name, life);
    void (async () => {
      await Promise.all([install(), pause(ANSWER_FIRST_MS, signal)]);
      await door.bus.reconnect();
      connected = { bus: door.bus, id: identity.id, host: name };
      standing.set({ host: name });
      standing.repeat();
    })().catch((error) => {
      if (!(error instanceof FleetError) || error.code !== "CANCELLED") throw error;
    });
  };

  const serveRpc = (bus: Bus, takeName: RpcDoor["takeName"]) =>
    serve(
      {
        bus,
        table: RPC,
        handlers: handlersOf({
          identity,
          credentials,
          vault_bell,
          takeName,
          ports,
          events,
          ledger,
          reconciler,
          standing,
          health,
          bgp,
          checks,
          steady,
          streams: new Streams(
            {
              on_mistake: (method, error) =>
                log.error({ err: error, method }, "a mistake in what feeds a stream"),
            },
            signal,
          ),
          audit,
          agent_version: AGENT_VERSION,
          os,
        }),
        memory,
        audit,
        routes: [
          { pattern: `rpc.${identity.id}.*`, logical: (method) => subjects.rpc(identity.id, method) },
          { pattern: "rpc.all.*", logical: (method) => subjects.rpcAll(method) },
        ],
        verifier: () => trust.verifier,
        now: ports.now,
        self: () => ({
          id: identity.id,
          groups: standing_content?.groups ?? [],
          labels: standing_content?.labels ?? {},
        }),
        policy: (principal, method) => {
          if (trust.bundle !== null)
            judgeCall(trust.bundle.policy, principal, method, standing_content?.groups ?? []);
          // Of a stream its opening was told.
          if (principal.kit && method !== "next")
            events.tell({
              kind: "kit",
              severity: "error",
              what: `${method} with the recovery kit by ${principal.name}`,
              by: principal.name,
            });
        },
        on_done: toldTo(log),
      },
      signal,
    );

  /**
   * The broker no longer takes our JWT, or controllers do not know us, as after a restore from before we joined: back by the bound key. The link stays
   * or dials on, with whatever is newest.
   */
  const comeBack = async () => {
    while (!signal.aborted) {
      await reenrol.rung(3_600_000, signal);
      if (signal.aborted || connected === null || (connected.bus.connected && !forgotten)) continue;
      const why = forgotten
        ? "the controllers no longer knew this host; it was let in again"
        : "the broker no longer took the bus credential; it was given anew";
      if ((await enrol(enrolment, signal)) === null) return;
      forgotten = false;
      standing.set({ enrolment: null });
      await install();
      events.tell({ kind: "credentials", severity: "warning", what: why });
      await connected.bus.reconnect();
    }
  };

  const voice = new Voice();
  const publish = (kind: TelemetryKind, sample: unknown) => {
    history.take(kind, sample);
    return voice.publish(connected, kind, sample, log);
  };
  await ports.systemd.notify({ ready: true });
  await Promise.all([
    reconciler.run(signal),
    events.run(signal),
    audit.run(where, signal),
    takeActsAlways({ file: places.acts, bell: acts }, audit, log, signal),
    report(
      standing,
      where,
      { systemd: ports.systemd, status_file: places.status, log, now: ports.now, voice },
      signal,
    ),
    collect({ health, bgp, checks, logs, steady, events, log, publish }, signal),
    history.run(where, signal),
    watchdog(ports, signal),
    onTheBus(),
    comeBack(),
    keepRevoked({ config, places, identity, trust, ports, events, log }, signal),
  ]);
}
