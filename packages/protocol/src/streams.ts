/**
 * The streams of account FLEET, as `ctl init` makes them. All on disk, none is the only copy of an intent or an identity.
 *
 * What is written to most of them is published below `_R_.store.`: the broker takes no message of a client that names such a subject as its reply,
 * so that neither an acknowledgement nor the answer to a direct get can be sent there by whoever may ask for one (ADR 6). The stream takes
 * the prefix away: what is stored, read and republished has its plain subject.
 */
const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;

/** So far back numbers are kept, where there is room: by the stream, and by a host that waits for a broker. */
export const HISTORY_AGE_MS = 2 * DAY_MS;

/** Of one message of stream HISTORY. */
export const HISTORY_MESSAGE_BYTES = 256 * 1024;

/** A header of what had to wait for the broker: so many milliseconds, by the clock of who wrote it. */
export const LATE_HEADER = "Muster-Late";

/** So long a message with these headers waited, in milliseconds; 0 = it did not, or does not tell. */
export function lateMs(headers: Readonly<Record<string, string>>): number {
  const late_ms = Number(headers[LATE_HEADER] ?? 0);
  return Number.isSafeInteger(late_ms) && late_ms > 0 ? late_ms : 0;
}

/** A stream as `ctl init` makes it; sizes in bytes, ages in milliseconds, 0 = no limit. */
export type StreamSpec = {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly max_msgs_per_subject: number;
  readonly max_bytes: number;
  readonly max_age_ms: number;
  /** Of one message; none = what the broker takes. */
  readonly max_msg_bytes?: number;
  readonly republish?: { readonly src: string; readonly dest: string };
  /** A record: its messages may have a time to live, and what a key held before may go. */
  readonly per_message_ttl?: true;
  /** Messages may have a time to live. */
  readonly message_ttl?: true;
  /** Others listen to these subjects while they are stored: they are written as they are, and a reply may reach them. */
  readonly open?: true;
  /** When it is full: `old` messages go (the default), or a `new` one is refused. */
  readonly discard?: "old" | "new";
};

/** Buckets of the controllers' records: plain streams over `$KV.<bucket>.>`. */
export const BUCKETS = {
  /** One record a host, key = name. */
  hosts: { history: 1, max_bytes: 256 * MIB },
  /** Spent join ids and enrolment nonces, each with its own time to live; waiting enrolments. */
  joins: { history: 1, max_bytes: 64 * MIB },
  /** Accesses to the bus that people and programs have, key = public nkey; each goes when it ends. */
  access: { history: 1, max_bytes: 64 * MIB },
  /** One state machine a rollout, key = rollout id. */
  rollouts: { history: 1, max_bytes: 64 * MIB },
  /** Which blobs are stored whole, key = `<owner>.<sha256>`; see `blob.ts`. */
  blobs: { history: 1, max_bytes: 64 * MIB },
  /** Commands that were carried out and challenges that were given, each with its own time to live. */
  commands: { history: 1, max_bytes: 64 * MIB, discard: "new" },
  /** `rules`: the alert rules as an operator signed them; `host.<name>`: a host's alerts; `route.<name>`: what is on its way; `silence.<id>`; `summary`; `declared`: the folder's hosts as an operator signed them. */
  alerts: { history: 1, max_bytes: 64 * MIB },
  /** `generation`: the highest one allotted and its release; `leader`: the lease; `audit-writers`: the controllers that were. */
  fleet: { history: 16, max_bytes: 16 * MIB },
} as const;
export type Bucket = keyof typeof BUCKETS;

export const STREAMS: readonly StreamSpec[] = [
  {
    name: "DESIRED",
    subjects: ["desired.*"],
    max_msgs_per_subject: 10,
    max_bytes: 4096 * MIB,
    max_age_ms: 0,
    republish: { src: "desired.>", dest: "live.desired.>" },
  },
  {
    name: "TRUST",
    subjects: ["trust"],
    max_msgs_per_subject: 16,
    max_bytes: 64 * MIB,
    max_age_ms: 0,
    republish: { src: "trust", dest: "live.trust" },
  },
  {
    name: "RELEASE",
    subjects: ["release.>"],
    max_msgs_per_subject: 1,
    max_bytes: 1024 * MIB,
    max_age_ms: 90 * DAY_MS,
  },
  {
    name: "TELEMETRY",
    subjects: ["telemetry.>"],
    open: true,
    max_msgs_per_subject: 1,
    max_bytes: 512 * MIB,
    max_age_ms: 30 * DAY_MS,
  },
  // Numbers over time (ADR 21). A stolen host fills a third of it, and no more.
  {
    name: "HISTORY",
    subjects: ["history.>"],
    max_msgs_per_subject: 600,
    // With room for headers, which count.
    max_msg_bytes: HISTORY_MESSAGE_BYTES + 16 * 1024,
    max_bytes: 512 * MIB,
    max_age_ms: HISTORY_AGE_MS,
  },
  {
    name: "EVENT",
    subjects: ["event.>"],
    open: true,
    max_msgs_per_subject: 10_000,
    max_bytes: 256 * MIB,
    max_age_ms: 90 * DAY_MS,
  },
  // No limit a subject: what goes from the middle of a chain would look like what was taken away.
  {
    name: "AUDIT",
    subjects: ["audit.>"],
    max_msgs_per_subject: -1,
    max_bytes: 1024 * MIB,
    max_age_ms: 0,
    republish: { src: "audit.>", dest: "live.audit.>" },
  },
  // What is in force must not go because something else came. A controller takes away what nobody needs: by an empty message that lapses.
  {
    name: "BLOB",
    subjects: ["blob.>"],
    max_msgs_per_subject: 1,
    max_bytes: 1024 * MIB,
    max_age_ms: 0,
    discard: "new",
    message_ttl: true,
  },
  ...Object.entries(BUCKETS).map(([bucket, spec]) => ({
    name: `KV_${bucket}`,
    subjects: [`$KV.${bucket}.>`],
    max_msgs_per_subject: spec.history,
    max_bytes: spec.max_bytes,
    max_age_ms: 0,
    ...("discard" in spec ? { discard: spec.discard } : {}),
    per_message_ttl: true as const,
  })),
];

const INTAKE = "_R_.store.";

/** Where a message is published that shall be stored under this subject or pattern: below `_R_.store.`, or as it is. */
export function intakeOf(subject: string): string {
  return CLOSED.some((start) => subject.startsWith(start)) ? INTAKE + subject : subject;
}

/** What the subjects of closed streams begin with; `trust` is one whole subject. */
const CLOSED = STREAMS.filter(({ open }) => !open).flatMap(({ subjects }) =>
  subjects.map((subject) => subject.replace(/[*>]$/, "")),
);

/** How a closed stream gets and stores its only subject. */
function intake({ open, subjects: [subject = ""] }: StreamSpec) {
  if (open) return {};
  const src = INTAKE + subject;
  return { subjects: [src], subject_transform: { src, dest: subject.replace("*", "{{wildcard(1)}}") } };
}

/** A stream's configuration as the JetStream API takes it (durations in nanoseconds); source: ADR-8 and the API of nats-server 2.15. */
export function streamConfig(spec: StreamSpec, replicas: number): Record<string, unknown> {
  return {
    name: spec.name,
    subjects: spec.subjects,
    retention: "limits",
    storage: "file",
    discard: spec.discard ?? "old",
    num_replicas: replicas,
    max_msgs_per_subject: spec.max_msgs_per_subject,
    max_bytes: spec.max_bytes,
    max_age: spec.max_age_ms * 1_000_000,
    max_msgs: -1,
    max_consumers: -1,
    max_msg_size: spec.max_msg_bytes ?? -1,
    duplicate_window: 120_000_000_000,
    allow_direct: true,
    deny_delete: true,
    deny_purge: true,
    ...intake(spec),
    ...(spec.republish && { republish: spec.republish }),
    ...(spec.message_ttl && { allow_msg_ttl: true, subject_delete_marker_ttl: 0 }),
    ...(spec.per_message_ttl && {
      allow_msg_ttl: true,
      subject_delete_marker_ttl: 0,
      deny_delete: false,
      deny_purge: false,
      allow_rollup_hdrs: true,
    }),
  };
}
