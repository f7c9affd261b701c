/** What operators ask of controllers on `ctl.<method>`: one handler a row of the table `CONTROL`, each a few lines over the concept it belongs to. */
import { entryOf } from "@muster/ports/audit";
import type { Bus } from "@muster/ports/bus";
import type { Call, Handlers } from "@muster/ports/dispatch";
import { auditBy } from "@muster/protocol/audit";
import type { CONTROL } from "@muster/protocol/control/index";
import { FleetError } from "@muster/protocol/errors";
import { type AlertAnswers, alertAnswers } from "./alerts/answers.ts";
import { auditPage } from "./audit/page.ts";
import type { Audit } from "./audit/writer.ts";
import { backupReport } from "./backup-report.ts";
import type { BlobStore } from "./blobs/store.ts";
import type { Issuer } from "./certificates/issuer.ts";
import { apply } from "./desired/apply.ts";
import { headReply, readHead } from "./desired/head.ts";
import type { Staging } from "./desired/stage.ts";
import { credential } from "./enrolment/credential.ts";
import type { Tickets } from "./enrolment/tickets.ts";
import type { WaitingRoom } from "./enrolment/waiting.ts";
import type { Events } from "./events.ts";
import type { AccessRecords } from "./records/access.ts";
import { type DeclaredHosts, declaredAnswers } from "./records/declared.ts";
import type { HostRecords } from "./records/hosts.ts";
import type { Storage } from "./records/storage.ts";
import { abortRollout, readRollout } from "./rollout/abort.ts";
import { RolloutBriefs } from "./rollout/brief.ts";
import type { RolloutEngine } from "./rollout/engine.ts";
import { eventsReply, forGuests } from "./telemetry/events.ts";
import { historyPage } from "./telemetry/history.ts";
import type { LastValues } from "./telemetry/last.ts";
import { hostsPage, lastPage, namesPage } from "./telemetry/pages.ts";
import type { Trust } from "./trust.ts";

export type ControlPorts = {
  readonly bus: Bus;
  readonly fleet: string;
  /** File that `ctl backup` writes; undefined where it runs elsewhere. */
  readonly backup_report: string | undefined;
  readonly now: () => number;
  readonly trust: Trust;
  readonly records: HostRecords;
  readonly declared: DeclaredHosts;
  readonly access: AccessRecords;
  readonly issuer: Issuer;
  readonly last: LastValues;
  readonly blobs: BlobStore;
  readonly staging: Staging;
  readonly engine: RolloutEngine;
  readonly waiting: WaitingRoom;
  readonly tickets: Tickets;
  /** Addresses at which controllers serve the page. */
  readonly pages: readonly string[];
  readonly events: Events;
  readonly storage: Storage;
  readonly alerts: AlertAnswers;
  readonly id: string;
  readonly audit: Audit;
};

export function controlHandlers(ports: ControlPorts): Handlers<typeof CONTROL> {
  const { bus, records, last, waiting, events, engine, trust, now } = ports;
  const briefs = new RolloutBriefs(bus);
  return {
    hosts: async (request, call) => {
      await ports.declared.settled();
      return {
        ...hostsPage(request, records, last, now(), guestOf(call), ports.declared.missing(guestOf(call))),
        stalled_since: ports.storage.stalled_since,
        ...(ports.backup_report === undefined ? {} : { backup: await backupReport(ports.backup_report) }),
        // Counts of the whole fleet are not for guests.
        ...(request.after === null && guestOf(call) === null ? { alerts: await ports.alerts.summary() } : {}),
      };
    },
    names: (request, call) => namesPage(request, records, guestOf(call)),
    last: (request, call) => lastPage(request, records, last, now(), guestOf(call)),
    async rollouts(request, call) {
      // Of the whole fleet they tell, with names that a guest may not know.
      if (guestOf(call) !== null)
        throw new FleetError("NOT_ALLOWED", "changes of the fleet are not for guests");
      return briefs.page(request, now());
    },
    history: (request, call) =>
      historyPage(bus, request, records, (host, track) => last.recent(host, track), guestOf(call)),
    events(request, call) {
      const guest = guestOf(call);
      if (guest === null) return eventsReply(bus, request, now());
      const seen = new Set(records.seenBy(guest).map(({ name }) => name));
      return eventsReply(bus, request, now(), (host) => seen.has(host), forGuests);
    },
    async ticket({ hash }, call) {
      const { principal } = call;
      if (principal === null) throw new TypeError("a ticket is asked for by nobody");
      if (principal.guest !== null)
        throw new FleetError("NOT_ALLOWED", "what is live is not for guests: ctl status");
      if (principal.rank === "controller" || principal.rank === "ci")
        throw new FleetError("NOT_ALLOWED", "the page is for people");
      const ends = await ports.tickets.givePage(hash, principal, now());
      return { pages: [...ports.pages], ends };
    },
    host: async ({ name }) => ({ record: (await records.fetch(name))?.record ?? null }),

    ...alertAnswers(ports.alerts, events),
    ...declaredAnswers(ports.declared, () => trust.bundle.policy, events),

    head: () => headReply(bus),
    blobs: async (request) => ({ missing: await ports.blobs.missing(request.blobs) }),
    async blob({ blob, chunk, data }) {
      await ports.blobs.take(blob, chunk, Buffer.from(data, "base64"));
      return { stored: true };
    },
    async stage({ rollout, id, manifest }) {
      await ports.staging.stage(rollout, id, manifest);
      return { staged: true };
    },
    async apply({ rollout, release }) {
      const ordered = await apply(rollout, release, { ...ports, verifier: () => trust.verifier });
      engine.follow(ordered.rollout);
      return ordered;
    },
    async rollout(request) {
      const id = request.rollout ?? (await readHead(bus)).head?.rollout;
      return { rollout: id === undefined ? null : ((await readRollout(bus, id))?.state ?? null) };
    },
    async abort({ rollout: id }, call) {
      const by = caller(call);
      const { rollout, aborted } = await abortRollout(bus, id, by, now);
      if (aborted) {
        engine.follow(id);
        const what = `${by} aborted the rollout of generation ${rollout.generation}`;
        events.emit({ host: "_", kind: "rollout", severity: "warning", what, by, rollout: id });
      }
      return { rollout };
    },

    enrolments: async () => ({ waiting: await waiting.list() }),
    async approve({ fingerprint, name, groups }, call) {
      const by = caller(call);
      const { id } = (await waiting.find(fingerprint)).waiting.view;
      const kept = await records.fetch(name);
      if (kept !== null && kept.record.id !== id)
        throw new FleetError("NAME_TAKEN", `${name} is enrolled with another key`);
      await waiting.answer(fingerprint, { approved: { name, groups, by } });
      events.emit({
        host: name,
        kind: "enrolment",
        severity: "info",
        what: `${by} approved ${fingerprint}`,
        by,
      });
      return { name, id };
    },
    async clear({ name }, call) {
      const by = caller(call);
      const was = (await records.fetch(name))?.record.renamed?.to;
      const cleared = await records.clear(name);
      // Events about enrolment are what other controllers read a record again for.
      const kind = was === undefined ? "credentials" : "enrolment";
      const what = was === undefined ? `${by} ended its quarantine` : `${by} freed the name that ${was} had`;
      if (cleared) events.emit({ host: name, kind, severity: "warning", what, by });
      return { cleared };
    },
    async reject({ fingerprint }, call) {
      const by = caller(call);
      const view = await waiting.answer(fingerprint, { rejected: true });
      const what = `${by} rejected ${fingerprint}, which calls itself ${view.name}`;
      events.emit({ host: "_", kind: "enrolment", severity: "info", what, by });
      return { rejected: true };
    },

    async rename({ host, to }, call) {
      const by = caller(call);
      const newest = (await readHead(bus)).head?.rollout;
      const rollout = newest === undefined ? null : ((await readRollout(bus, newest))?.state ?? null);
      if (rollout?.state === "running" && host.name in rollout.hosts)
        throw new FleetError(
          "CONFLICT",
          `generation ${rollout.generation} is on its way to ${host.name}: wait for it, or stop it`,
        );
      const renamed = await records.rename(host, to, { at: now(), by });
      const enrolment = { kind: "enrolment", severity: "warning", by } as const;
      if (renamed) {
        events.emit({ ...enrolment, host: to, what: `${by} renamed it: it was ${host.name}` });
        events.emit({ ...enrolment, host: host.name, what: `${by} renamed it: it is ${to} from now on` });
      }
      return { renamed };
    },

    accesses: (request) => ports.access.page(request),
    credential: (request, call) => credential(request, caller(call), ports),
    async revoke({ host, accesses, why }, call) {
      const by = caller(call);
      const [closed, marked] = await Promise.all([
        host !== null && records.retire(host, { at: now(), by, why }),
        ports.access.revoke(accesses, by, why),
      ]);
      const reason = why === "" ? "" : `: ${why}`;
      if (closed) {
        const what = `${by} took it out of the fleet${reason}`;
        events.emit({ host: host?.name ?? "_", kind: "host", severity: "warning", what, by });
      }
      if (marked > 0) {
        const what = `${by} made ${marked === 1 ? "an access" : `${marked} accesses`} to the bus void${reason}`;
        events.emit({ host: "_", kind: "credentials", severity: "warning", what, by });
      }
      return { host: closed, accesses: marked };
    },

    audit: (request) => auditPage(bus, request, { id: ports.id, head: ports.audit.head }),
    async note({ what, target, result }, call) {
      const note = { at: now(), kind: "act" as const, by: auditBy(call.principal), from: call.from };
      const authority = call.principal?.rank ?? "none";
      await ports.audit.before(entryOf({ ...note, what, target, authority, result }));
      return { noted: true };
    },

    async trust({ bundle }, call) {
      const by = caller(call);
      const version = await trust.publish(bus, bundle);
      events.emit({
        host: "_",
        kind: "trust",
        severity: "warning",
        what: `${by} published trust bundle ${version}`,
        by,
      });
      return { version };
    },
  };
}

const guestOf = (call: Call) => call.principal?.guest ?? null;

/** Every row that uses this asks for authority, so the dispatcher never calls it without a principal. */
function caller(call: Call): string {
  if (call.principal === null) throw new TypeError(`${call.method} was called by nobody`);
  return call.principal.name;
}
