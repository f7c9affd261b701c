/**
 * The table of methods that controllers answer on `ctl.<method>`. Each request is a signed command like an RPC; each reply has the same form.
 * How an apply goes: `head` → sign → `stage` each manifest → `apply` the release (compare-and-set of the generation) → watch telemetry or `rollout`.
 */
import { z } from "zod";
import { AccessRecord, LONGEST_ACCESS_MS } from "../access.ts";
import { AlertSummary } from "../alert.ts";
import { BackupReport } from "../backup.ts";
import { BLOB_CHUNK_BYTES, BlobRef } from "../blob.ts";
import { HostBrief } from "../brief.ts";
import { MissingHost } from "../declared.ts";
import { StoredEnvelope } from "../envelope.ts";
import { EVENT_KINDS, FleetEvent } from "../event.ts";
import { Json } from "../json.ts";
import { GroupName, HostId, HostName, Instant, PersonName, RandomId, Sha256 } from "../names.ts";
import { HostRecord, HostView, Rollout, WaitingEnrolment } from "../record.ts";
import { type Method, method } from "../rpc/method.ts";
import type { PAGE_METHODS } from "../subjects.ts";
import { TELEMETRY_KINDS } from "../telemetry/index.ts";
import { alerts, rules, set_rules, silence, unsilence } from "./alerts.ts";
import { audit, note } from "./audit.ts";
import { declare, declared } from "./declared.ts";
import { history } from "./history.ts";
import { names } from "./names.ts";
import { rollouts } from "./rollouts.ts";

const none = z.strictObject({});

const After = HostName.nullable().describe("The last name of the page before; null for the first.");
const Next = HostName.nullable().describe("Give it as `after` for the next page; null = no more.");
const Ordered = RandomId.describe("Id of the rollout.");
const Fingerprint = z.string().max(64).describe("As `ctl enrol` shows it, and the machine itself.");
const Limit = z.int().min(1).max(500).describe("The most hosts on a page.");

export const CONTROL = {
  hosts: method({
    what: "Every host with its last samples, paged by name.",
    authority: "viewer",
    for_ci: true,
    timeout_ms: 5_000,
    request: z.strictObject({
      after: After,
      limit: z
        .int()
        .min(1)
        .max(2_000)
        .describe("The most hosts on a page; there are fewer where they would not fit."),
      brief: z.boolean().optional().describe("Hosts with nothing to say come in `brief` and not in `hosts`."),
    }),
    reply: z.object({
      hosts: z.array(HostView).describe("Ordered by name."),
      brief: z.array(HostBrief).optional().describe("Where it was asked for, ordered by name."),
      missing: z
        .array(MissingHost)
        .optional()
        .describe(
          "Hosts of the folder that no machine ever joined as, ordered by name; absent = none are here.",
        ),
      next: Next,
      now: Instant.describe("The controller's clock, against which silence is judged."),
      stalled_since: Instant.nullable()
        .optional()
        .describe("Since when the broker stores nothing, as with a full disk; null = it stores."),
      backup: BackupReport.nullish().describe(
        "How the fleet's backups stand; null = they go nowhere yet; absent = not made by a controller's server.",
      ),
      alerts: AlertSummary.nullish().describe(
        "How alerts stand; null = no controller has looked yet; absent = it cannot be read, or is not for who asks.",
      ),
    }),
  }),
  names,
  last: method({
    what: "Last values of one kind, paged by host.",
    authority: "viewer",
    timeout_ms: 5_000,
    request: z.strictObject({
      kind: z.enum(TELEMETRY_KINDS).describe("Which telemetry."),
      host: HostName.optional().describe("Of this host only."),
      after: After,
      limit: Limit,
    }),
    reply: z.object({
      values: z
        .array(
          z.object({
            host: HostName,
            id: HostId,
            heard_at: Instant,
            sample: Json.describe("By the schema of its kind."),
          }),
        )
        .describe("Ordered by name."),
      next: Next,
      now: Instant.optional().describe("The controller's clock, by which `heard_at` is old or not."),
    }),
  }),
  history,
  rollouts,
  events: method({
    what: "Events that are kept, newest last.",
    authority: "viewer",
    timeout_ms: 5_000,
    request: z.strictObject({
      since: Instant.nullable().describe("Not older than this; null = all that are kept."),
      host: HostName.optional().describe("About this host only."),
      kind: z.enum(EVENT_KINDS).optional().describe("Of this kind only."),
      limit: z.int().min(1).max(1_000).describe("The newest so many."),
    }),
    reply: z.object({
      events: z
        .array(
          z.object({
            host: z.string().describe("Whom it is about; `_` = the fleet."),
            id: z.string().describe("Who told it."),
            event: FleetEvent.describe("The event itself."),
            late_ms: z
              .int()
              .min(1)
              .optional()
              .describe("So long after it happened it was told, where it had to wait for the broker."),
          }),
        )
        .describe("Newest last."),
    }),
  }),
  alerts,
  silence,
  unsilence,
  rules,
  set_rules,
  declared,
  declare,
  ticket: method({
    what: "Takes note of a ticket with which one web page gets bus access of its own, once.",
    authority: "viewer",
    audited: "acts",
    timeout_ms: 5_000,
    request: z.strictObject({
      hash: Sha256.describe("Of the ticket, which is made where it is asked for."),
    }),
    reply: z.object({
      pages: z.array(z.url()).describe("Where controllers serve the page; none = they do not."),
      ends: Instant.describe("It is taken until then."),
    }),
  }),
  head: method({
    what: "The newest release, for its signature to be checked by who asks.",
    authority: "operator",
    for_ci: true,
    timeout_ms: 5_000,
    audited: "sums",
    request: none,
    reply: z.object({
      generation: z.int().describe("The highest that was ordered; 0 = none yet."),
      rollout: RandomId.nullable().describe("The newest; null = none yet."),
      release: StoredEnvelope.nullable().describe("What a person signed for it."),
    }),
  }),
  stage: method({
    what: "Hands over one signed manifest of a rollout that is not yet ordered. The contents that it names are stored for its host with it.",
    authority: "operator",
    for_ci: true,
    timeout_ms: 60_000,
    audited: "sums",
    request: z.strictObject({
      rollout: Ordered,
      id: HostId,
      manifest: StoredEnvelope.describe("The host's manifest, signed."),
    }),
    reply: z.object({ staged: z.literal(true) }),
  }),
  blobs: method({
    what: "Which of these contents the fleet's store does not hold whole: they are handed over with `blob`, and then asked for once more, which proves them.",
    authority: "operator",
    for_ci: true,
    timeout_ms: 60_000,
    audited: "sums",
    request: z.strictObject({ blobs: z.array(BlobRef).max(1_000).describe("Contents by their hash.") }),
    reply: z.object({ missing: z.array(Sha256).describe("Those that are to be handed over.") }),
  }),
  blob: method({
    what: "Hands over one chunk of a content.",
    authority: "operator",
    for_ci: true,
    timeout_ms: 30_000,
    audited: "sums",
    request: z.strictObject({
      blob: BlobRef.describe("The whole that it is a part of."),
      chunk: z.int().min(0).describe("Counted from 0; each but the last has 512 KiB."),
      data: z
        .base64()
        .max(Math.ceil(BLOB_CHUNK_BYTES / 3) * 4)
        .describe("Its bytes, base64."),
    }),
    reply: z.object({ stored: z.literal(true) }),
  }),
  apply: method({
    what: "Orders a rollout: every manifest that the release names must be staged and fit. CONFLICT when the generation was taken.",
    authority: "operator",
    for_ci: true,
    timeout_ms: 10_000,
    told: ({ rollout }) => `rollout ${rollout}`,
    request: z.strictObject({
      rollout: Ordered,
      release: StoredEnvelope.describe("The release over all manifests, signed."),
    }),
    reply: z.object({ rollout: Ordered, generation: z.int().describe("What it brings.") }),
  }),
  rollout: method({
    what: "How a rollout stands.",
    authority: "operator",
    for_ci: true,
    timeout_ms: 5_000,
    audited: "sums",
    request: z.strictObject({ rollout: RandomId.nullable().describe("Null = the newest.") }),
    reply: z.object({ rollout: Rollout.nullable().describe("Null when there is none.") }),
  }),
  abort: method({
    what: "Stops a rollout: no further wave goes out.",
    authority: "operator",
    timeout_ms: 5_000,
    told: ({ rollout }) => `rollout ${rollout}`,
    request: z.strictObject({ rollout: Ordered }),
    reply: z.object({ rollout: Rollout.describe("As it stands now.") }),
  }),
  enrolments: method({
    what: "Machines that wait for approval.",
    authority: "operator",
    timeout_ms: 5_000,
    audited: "sums",
    request: none,
    reply: z.object({ waiting: z.array(WaitingEnrolment).describe("Oldest first.") }),
  }),
  approve: method({
    what: "Lets a waiting machine in, under this name.",
    authority: "operator",
    timeout_ms: 10_000,
    told: ({ fingerprint, name }) => `${name} ${fingerprint}`,
    request: z.strictObject({
      fingerprint: Fingerprint,
      name: HostName,
      groups: z.array(GroupName).max(32).describe("What it may be until its first manifest."),
    }),
    reply: z.object({ name: HostName, id: HostId }),
  }),
  clear: method({
    what: "Ends a host's quarantine: what tells its key next is taken for the host. Of a name that a host had before, frees it.",
    authority: "operator",
    timeout_ms: 5_000,
    request: z.strictObject({ name: HostName }),
    reply: z.object({ cleared: z.boolean().describe("False: there was nothing to end.") }),
  }),
  reject: method({
    what: "Turns a waiting machine away.",
    authority: "operator",
    timeout_ms: 5_000,
    told: ({ fingerprint }) => fingerprint,
    request: z.strictObject({ fingerprint: Fingerprint }),
    reply: z.object({ rejected: z.literal(true) }),
  }),
  host: method({
    what: "One host's record, by name.",
    authority: "operator",
    for_ci: true,
    timeout_ms: 5_000,
    audited: "sums",
    request: z.strictObject({ name: HostName }),
    reply: z.object({ record: HostRecord.nullable().describe("Null when there is no such host.") }),
  }),
  accesses: method({
    what: "Accesses to the bus that people and programs have, paged by key.",
    authority: "operator",
    timeout_ms: 5_000,
    audited: "sums",
    request: z.strictObject({
      after: HostId.nullable().describe("The last key of the page before; null for the first."),
      name: PersonName.optional().describe("Of this person or program only."),
    }),
    reply: z.object({
      accesses: z.array(AccessRecord).describe("Ordered by key."),
      next: HostId.nullable().describe("Give it as `after` for the next page; null = no more."),
    }),
  }),
  credential: method({
    what: "A viewer's access for a program that has no log-in; its key is made where it is asked for.",
    authority: "admin",
    timeout_ms: 10_000,
    told: ({ id, name }) => `${name} ${id}`,
    request: z.strictObject({
      id: HostId.describe("The program's public key on the bus."),
      name: PersonName.describe("What the program is called."),
      life_ms: z.int().min(60_000).max(LONGEST_ACCESS_MS).describe("How long it lives."),
    }),
    reply: z.object({
      user_jwt: z.string().describe("For the program's connection; worth nothing without its key."),
      ends: Instant.describe("When it ends."),
    }),
  }),
  revoke: method({
    what: "Writes down that a host or accesses belong to the fleet no more: nothing is issued or renewed for them. The broker is told by an admin.",
    authority: "admin",
    timeout_ms: 10_000,
    told: ({ host, accesses }) => [...(host === null ? [] : [host.name]), ...accesses].join(" "),
    request: z.strictObject({
      host: z
        .strictObject({ name: HostName, id: HostId })
        .nullable()
        .describe("The host whose record is closed; its name stays taken."),
      accesses: z.array(HostId).max(1_000).describe("Accesses by their key."),
      why: z.string().max(500).describe("In the person's words."),
    }),
    reply: z.object({
      host: z.boolean().describe("Whether the host's record changed."),
      accesses: z.int().describe("How many accesses were not void before."),
    }),
  }),
  rename: method({
    what: "Gives a host another name: its record moves there, and the name that it had stays taken.",
    authority: "admin",
    timeout_ms: 10_000,
    told: ({ host, to }) => `${host.name} to ${to}`,
    request: z.strictObject({
      host: z
        .strictObject({ name: HostName, id: HostId })
        .describe("The host, and the key that it must have."),
      to: HostName,
    }),
    reply: z.object({ renamed: z.boolean().describe("False: it was so before.") }),
  }),
  audit,
  note,
  trust: method({
    what: "A newer trust bundle, signed by an admin; it is checked and then stored for everybody.",
    authority: "admin",
    timeout_ms: 5_000,
    request: z.strictObject({ bundle: StoredEnvelope.describe("The new bundle, signed by an admin.") }),
    reply: z.object({ version: z.int().describe("Of the bundle that holds now.") }),
  }),
} as const;

/**
 * The rows that a web page is answered on `page.<id>.<method>`: nothing is signed there, the broker's grant on the subject is the proof. What is for more
 * than viewers asks besides for whom the page was opened, which the controllers have written down (ADR 26).
 */
const ofPage = <R extends Method>(row: R): R => ({ ...row, authority: "none", audited: "refusals" });
export const PAGE = {
  hosts: ofPage(CONTROL.hosts),
  last: ofPage(CONTROL.last),
  history: ofPage(CONTROL.history),
  events: ofPage(CONTROL.events),
  alerts: ofPage(CONTROL.alerts),
  rollouts: ofPage(CONTROL.rollouts),
  audit: CONTROL.audit,
} as const satisfies Record<(typeof PAGE_METHODS)[number], Method>;

export type ControlMethod = keyof typeof CONTROL;
export const CONTROL_METHODS = Object.keys(CONTROL) as ControlMethod[];
export type ControlRequest<M extends ControlMethod> = z.output<(typeof CONTROL)[M]["request"]>;
export type ControlReply<M extends ControlMethod> = z.output<(typeof CONTROL)[M]["reply"]>;
