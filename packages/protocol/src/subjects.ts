/**
 * Every subject of the fleet, and from the same table what each role may do with them. Nothing else builds a subject.
 * Allow lists only. `{{subject()}}` is the client's own public nkey and `{{name()}}` the name in its JWT, filled in by the server.
 */
import { FleetError } from "./errors.ts";
import type { Export, Import, Permissions } from "./jwt.ts";
import { BUCKETS, intakeOf } from "./streams.ts";

const TOKEN = /^[A-Za-z0-9_-]+$/;

function token(value: string): string {
  if (!TOKEN.test(value)) throw new FleetError("INVALID", `"${value}" cannot be part of a subject`);
  return value;
}

const join = (...tokens: string[]) => tokens.map(token).join(".");

/** Builds subjects from checked tokens; INVALID for a token with dots, wildcards or spaces. */
export const subjects = {
  desired: (id: string) => join("desired", id),
  liveDesired: (id: string) => join("live", "desired", id),
  trust: () => "trust",
  liveTrust: () => "live.trust",
  release: (rollout: string) => join("release", rollout),
  staged: (rollout: string, id: string) => join("release", rollout, id),
  rpc: (id: string, method: string) => join("rpc", id, method),
  rpcAll: (method: string) => join("rpc", "all", method),
  telemetry: (id: string, host: string, kind: string) => join("telemetry", id, host, kind),
  event: (id: string, host: string, kind: string) => join("event", id, host, kind),
  history: (id: string, host: string) => join("history", id, host),
  log: (id: string, host: string) => join("log", id, host),
  audit: (id: string, kind: string) => join("audit", id, kind),
  ctl: (method: string) => join("ctl", method),
  host: (id: string, method: string) => join("host", id, method),
  enrol: (method: string) => join("enrol", method),
  /** Asks every broker for FLEET's own connections; the broker puts the account in. */
  connections: () => "$SYS.REQ.ACCOUNT.PING.CONNZ",
  /** Closes one connection at a broker. */
  kick: (server: string) => `$SYS.REQ.SERVER.${token(server)}.KICK`,
  page: (id: string, method: string) => join("page", id, method),
  blob: (id: string, hash: string, chunk: number) => join("blob", id, hash, String(chunk)),
  /** Where `id` answers a broadcast of `asker`, whose inbox is `_INBOX_<asker>.<connection>.<request>`: see `answerSubject`. */
  answer: (id: string, asker: string, connection: string, request: string) =>
    join("answer", id, asker, connection, request),
  inboxPrefix: (id: string) => `_INBOX_${token(id)}`,
  enrolInboxPrefix: () => "_INBOX_ENROL",
} as const;

/** Subscriptions with wildcards. */
export const patterns = {
  rpcOf: (id: string) => `rpc.${token(id)}.*`,
  rpcAll: "rpc.all.*",
  telemetry: (host = "*", kind = "*") =>
    `telemetry.*.${host === "*" ? host : token(host)}.${kind === "*" ? kind : token(kind)}`,
  event: (host = "*", kind = "*") =>
    `event.*.${host === "*" ? host : token(host)}.${kind === "*" ? kind : token(kind)}`,
  /** What a host told over time, under whatever name it had. */
  history: (id: string) => `history.${token(id)}.*`,
  /** Lines of logs; controllers alone hear them. */
  log: "log.*.*",
  /** Answers to broadcasts that were sent with an inbox below `_INBOX_<asker>.<connection>`. */
  answers: (inbox: string) => `answer.*.${inbox.replace(/^_INBOX_/, "")}.*`,
  liveAudit: "live.audit.>",
  /** Who of FLEET connects and leaves, as the brokers tell account SYS; only controllers hear it. */
  connected: "broker.connected",
  disconnected: "broker.disconnected",
  ctl: "ctl.*",
  host: "host.*.*",
  enrol: "enrol.*",
  page: "page.*.*",
} as const;

/**
 * Where `id` answers a broadcast whose reply is the inbox `_INBOX_<asker>.<connection>.<request>`: `answer.<id>.<asker>.<connection>.<request>`. The broker
 * lets nobody publish there but `id`, so that nobody answers for another. Null for a reply that is no such inbox.
 * Errors: INVALID for one that holds what no subject may.
 */
export function answerSubject(id: string, reply: string): string | null {
  const [, asker, connection, request, rest] = reply.replace(/^_INBOX_/, "_INBOX_.").split(".");
  if (!reply.startsWith("_INBOX_") || !asker || !connection || !request || rest !== undefined) return null;
  return subjects.answer(id, asker, connection, request);
}

/** Who answered a broadcast on this subject; undefined for any other subject. */
export function answererOf(subject: string): string | undefined {
  return /^answer\.([^.]+)\./.exec(subject)?.[1];
}

/** The queue group in which controllers share work. */
export const CONTROLLER_QUEUE = "controllers";

const SELF = "{{subject()}}";
const NAME = "{{name()}}";
const directGet = (stream: string, subject: string) => `$JS.API.DIRECT.GET.${stream}.${subject}`;

/** Methods of `rpc` and `ctl` that a viewer may call; the tables of `rpc/` and `control/` are held against this by a test. */
export const VIEWER_RPC = ["ping", "facts", "health", "bgp", "checks", "status", "birdc"] as const;
export const VIEWER_CTL = [
  "hosts",
  "names",
  "last",
  "history",
  "rollouts",
  "events",
  "alerts",
  "ticket",
] as const;
/**
 * What a web page may ask of controllers. It has no certificate to sign with: that the broker lets it ask under its own key is its proof. For the audit, which is
 * for operators, controllers look up whose page it is.
 */
export const PAGE_METHODS = ["hosts", "last", "history", "events", "alerts", "rollouts", "audit"] as const;

export type Role = "agent" | "controller" | "operator" | "viewer" | "guest" | "page";
export const ROLES: readonly Role[] = ["agent", "controller", "operator", "viewer", "guest", "page"];

/** What each role of account FLEET may publish and subscribe to. */
export const PERMISSIONS: Record<Role, Permissions> = {
  agent: {
    pub: [
      `telemetry.${SELF}.${NAME}.>`,
      `event.${SELF}.${NAME}.>`,
      `log.${SELF}.${NAME}`,
      `answer.${SELF}.>`,
      intakeOf(`audit.${SELF}.>`),
      intakeOf(`history.${SELF}.${NAME}`),
      `host.${SELF}.*`,
      directGet("DESIRED", `desired.${SELF}`),
      directGet("TRUST", "trust"),
      directGet("BLOB", `blob.${SELF}.>`),
    ],
    sub: [`live.desired.${SELF}`, "live.trust", `rpc.${SELF}.*`, "rpc.all.*", `_INBOX_${SELF}.>`],
    resp: { max: 64, ttl_ms: 120_000 },
  },
  controller: {
    pub: [
      ...["desired.*", "trust", "release.>", "blob.>", `audit.${SELF}.>`].map(intakeOf),
      ...Object.keys(BUCKETS).map((bucket) => intakeOf(`$KV.${bucket}.>`)),
      "rpc.*.*",
      `event.${SELF}.*.*`,
      ...Object.keys(BUCKETS).map((bucket) => directGet(`KV_${bucket}`, ">")),
      ...["DESIRED", "TRUST", "RELEASE", "TELEMETRY", "HISTORY", "EVENT", "AUDIT", "BLOB"].map((stream) =>
        directGet(stream, ">"),
      ),
      ...[
        "DESIRED",
        "TELEMETRY",
        "HISTORY",
        "EVENT",
        "AUDIT",
        "KV_hosts",
        "KV_joins",
        "KV_access",
        "KV_rollouts",
        "KV_blobs",
        "KV_alerts",
      ].map((stream) => `$JS.API.DIRECT.GET.${stream}`),
      "$SYS.REQ.ACCOUNT.PING.CONNZ",
      "$SYS.REQ.SERVER.*.KICK",
    ],
    sub: [
      "broker.connected",
      "broker.disconnected",
      "ctl.*",
      "enrol.*",
      "host.*.*",
      "page.*.*",
      "telemetry.>",
      "event.>",
      "log.*.*",
      "live.trust",
      "live.audit.>",
      `_INBOX_${SELF}.>`,
      `answer.*.${SELF}.>`,
    ],
    resp: { max: 64, ttl_ms: 60_000 },
  },
  operator: {
    pub: [
      "ctl.*",
      "rpc.*.*",
      directGet("DESIRED", "desired.*"),
      directGet("TRUST", "trust"),
      directGet("RELEASE", "release.>"),
    ],
    sub: ["telemetry.>", "event.>", `_INBOX_${SELF}.>`, `answer.*.${SELF}.>`],
  },
  viewer: {
    pub: [...VIEWER_CTL.map((method) => `ctl.${method}`), ...VIEWER_RPC.map((method) => `rpc.*.${method}`)],
    sub: ["telemetry.>", "event.>", `_INBOX_${SELF}.>`, `answer.*.${SELF}.>`],
  },
  // Somebody who was invited. The tags of the JWT are the hosts that may be seen, or `*`; without any nothing but the controllers' pages is left, which
  // are cut to what the certificate says. Events carry differences of files and words of commands, so they come through a controller, without those.
  guest: {
    pub: [
      ...VIEWER_CTL.map((method) => `ctl.${method}`),
      ...VIEWER_RPC.map((method) => `rpc.{{tag(id)}}.${method}`),
    ],
    sub: ["telemetry.*.{{tag(host)}}.*", `_INBOX_${SELF}.>`],
  },
  // A web page that a person opened with `ctl dashboard`: it looks, and orders nothing.
  page: {
    pub: PAGE_METHODS.map((method) => `page.${SELF}.${method}`),
    sub: ["telemetry.>", "event.>", `_INBOX_${SELF}.>`],
  },
};

/** What a client without credentials may do in account ENROL. */
export const SENTINEL_PERMISSIONS: Permissions = { pub: ["enrol.*"], sub: ["_INBOX_ENROL.>"] };

const CONNECT = (account: string) => `$SYS.ACCOUNT.${account}.CONNECT`;
const DISCONNECT = (account: string) => `$SYS.ACCOUNT.${account}.DISCONNECT`;
const KICK = "$SYS.REQ.SERVER.*.KICK";

/** What account SYS lets FLEET have: who connects to FLEET, and the closing of a connection. The broker holds an importer to its own account's events. */
export const SYSTEM_EXPORTS: readonly Export[] = [
  { name: "connects", subject: CONNECT("*"), stream: { account_at: 3 } },
  { name: "disconnects", subject: DISCONNECT("*"), stream: { account_at: 3 } },
  { name: "kick", subject: KICK },
];

/** FLEET's side of it. */
export const systemImports = (keys: { readonly system: string; readonly fleet: string }): Import[] => [
  {
    name: "connects",
    subject: CONNECT(keys.fleet),
    account: keys.system,
    stream: { local: patterns.connected },
  },
  {
    name: "disconnects",
    subject: DISCONNECT(keys.fleet),
    account: keys.system,
    stream: { local: patterns.disconnected },
  },
  { name: "kick", subject: KICK, account: keys.system },
];

/** An admin's rights in account SYS: push account claims, see who is connected, and close a connection that should not be there. */
export const SYSTEM_PERMISSIONS: Permissions = {
  pub: [
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SYS.REQ.CLAIMS.LIST",
    "$SYS.REQ.CLAIMS.PACK",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.SERVER.*.CONNZ",
    "$SYS.REQ.SERVER.*.KICK",
  ],
  sub: [`_INBOX_${SELF}.>`],
};

/** `ctl init` makes the streams with this scope of FLEET; `ctl backup` copies them with it, `ctl restore` brings them back. */
export const SETUP_PERMISSIONS: Permissions = {
  pub: ["$JS.API.>", "$JS.SNAPSHOT.ACK.>", "$JS.SNAPSHOT.RESTORE.>", intakeOf("trust")],
  sub: [`_INBOX_${SELF}.>`],
};
