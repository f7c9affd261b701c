/**
 * A fleet without Vault for tests: a real nats-server in operator mode with TLS, the accounts SYS, FLEET and ENROL built from the tables of
 * `protocol`, its streams, CAs of operators and controllers, and a signed trust bundle. Signing keys are in memory.
 */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { type Bus, type BusCredentials, connectBus } from "@muster/ports/bus";
import { type Ca, makeCa } from "@muster/ports/csr";
import {
  accountJwt,
  anchoredKeysHash,
  anchorOf,
  createNkey,
  type Envelope,
  memorySigner,
  type Nkey,
  operatorJwt,
  PERMISSIONS,
  patterns,
  ROLES,
  type Role,
  rawPublic,
  SENTINEL_PERMISSIONS,
  SETUP_PERMISSIONS,
  STREAMS,
  type StreamSpec,
  SYSTEM_EXPORTS,
  SYSTEM_PERMISSIONS,
  seal,
  sentinelJwt,
  signEd25519,
  storeEnvelope,
  streamConfig,
  subjects,
  systemImports,
  type TrustBundle,
  userJwt,
} from "@muster/protocol";
import { type NatsServer, startNats } from "./nats.ts";
import { PeopleCa, type Person } from "./people.ts";

const DAY_MS = 86_400_000;
const MIB = 1024 * 1024;
/** A real key in OpenSSH's form, for what only has to look like one. */
export const SSH_PUBLIC_KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDNzXbEk1Pqt5AyEd4kx8pKmVx0xnkHpgLOyGqHbRcA";

export type TestFleet = {
  readonly name: string;
  readonly server: NatsServer;
  readonly broker_ca: Ca;
  readonly anchor: string;
  /** Public key of account FLEET. */
  readonly account: string;
  /** Public keys of the accounts SYS and ENROL. */
  readonly other_accounts: { readonly system: string; readonly enrol: string };
  /** The scoped signing keys of FLEET. */
  readonly roles: Readonly<Record<Role, Nkey>>;
  readonly operators: PeopleCa;
  readonly controllers: PeopleCa;
  readonly admin_key: KeyObject;
  /** The newest trust bundle that was published, and its envelope. */
  bundle: TrustBundle;
  bundle_envelope: Envelope;
  /** A person with a certificate of that OU: viewer, operator, admin, ci, kit. */
  person(name: string, ou?: string): Promise<Person>;
  /** Bus credentials of a role; the nkey's public part is the id. */
  credentials(role: Role, name: string, key?: Nkey): Promise<BusCredentials & { id: string }>;
  /** A connection of a role, with its inbox prefix. `tags` say what a guest may see. */
  connect(
    role: Role,
    name: string,
    signal: AbortSignal,
    key?: Nkey,
    tags?: readonly string[],
  ): Promise<{ bus: Bus; id: string; key: Nkey }>;
  /** A connection with the rights of `ctl init` over streams: what no program of the fleet has. */
  setup(signal: AbortSignal): Promise<Bus>;
  /** An admin's connection in account SYS. */
  system(signal: AbortSignal): Promise<Bus>;
  /** A connection that may publish all telemetry, as no client of a fleet may: it stands for a thousand hosts. */
  everyHost(signal: AbortSignal): Promise<Bus>;
  /** A connection without credentials: account ENROL. */
  anonymous(signal: AbortSignal): Promise<Bus>;
  /** Signs a bundle with the admin key. */
  signBundle(bundle: TrustBundle): Envelope;
  stop(): Promise<void>;
};

/** `more_roles`: public keys that sign for these roles too, such as those that a real Vault holds. `bundle`: fields of the first trust bundle. */
export async function startFleet(
  options: {
    name?: string;
    more_roles?: Partial<Record<Role, string>>;
    bundle?: Partial<TrustBundle>;
    /** Port on which the broker takes browsers too. */
    websocket?: number;
  } = {},
): Promise<TestFleet> {
  const name = options.name ?? "lab";
  const operators = await PeopleCa.make("operators");
  const controllers = await PeopleCa.make("controllers");
  const admin_key = generateKeyPairSync("ed25519").privateKey;
  const anchored = {
    operators_ca: [operators.pem],
    admin_keys: [rawPublic(admin_key).toString("base64")],
  };
  const broker_ca = await makeCa({
    common_name: `${name} brokers`,
    unit: anchoredKeysHash(anchored),
    not_after: Date.now() + 365 * DAY_MS,
  });
  const jwts = await makeAccounts(name, options.more_roles ?? {});
  const server = await startNats({
    ca: broker_ca,
    config: (directory) => operatorMode(directory, jwts, options.websocket),
  });
  const brokers = [server.address];

  const bundle: TrustBundle = {
    v: 1,
    fleet: name,
    version: 1,
    issued_at: Date.now(),
    ...anchored,
    broker_ca: [broker_ca.certificate_pem],
    controllers_ca: [controllers.pem],
    services_ca: [broker_ca.certificate_pem],
    identity_ca: [],
    vault_ca: [],
    vault: [],
    brokers,
    ssh_host_ca: [SSH_PUBLIC_KEY],
    ssh_user_ca: [],
    voided: [],
    ssh_krl: null,
    policy: {
      controller_may: ["ping", "facts", "health", "bgp", "reconcile", "return"],
      operators: {},
    },
    ...options.bundle,
  };
  const signBundle = (next: TrustBundle) =>
    seal(
      subjects.trust(),
      Buffer.from(JSON.stringify(next)),
      { admin_key: anchored.admin_keys[0] ?? "", key: admin_key },
      Date.now(),
    );

  const dial = (
    credentials: BusCredentials | null,
    inbox_prefix: string,
    label: string,
    signal: AbortSignal,
  ) =>
    connectBus(
      {
        servers: brokers,
        ca_pem: broker_ca.certificate_pem,
        name: label,
        inbox_prefix,
        credentials: () => credentials,
        reconnect_max_ms: 100,
        ...{ first_connect: "once", connect_timeout_ms: 30_000 },
      },
      signal,
    );
  const credentialsOf = async (
    signer: Nkey,
    label: string,
    key: Nkey,
    account: string = jwts.fleet.public,
    tags: readonly string[] = [],
  ) => ({
    id: key.public,
    jwt: await userJwt(
      { name: label, key: key.public, account, tags, expires_ms: Date.now() + DAY_MS },
      memorySigner(signer),
      Date.now(),
    ),
    sign: (nonce: Uint8Array) => signEd25519(key.key, nonce),
  });

  const fleet: TestFleet = {
    name,
    server,
    broker_ca,
    anchor: anchorOf(broker_ca.certificate_pem),
    account: jwts.fleet.public,
    other_accounts: { system: jwts.system, enrol: jwts.enrol },
    roles: jwts.roles,
    operators,
    controllers,
    admin_key,
    bundle,
    bundle_envelope: signBundle(bundle),
    person: (person, ou = "operator") => operators.person(person, ou),
    credentials: (role, label, key = createNkey("user")) => credentialsOf(jwts.roles[role], label, key),
    async connect(role, label, signal, key = createNkey("user"), tags = []) {
      const credentials = await credentialsOf(jwts.roles[role], label, key, jwts.fleet.public, tags);
      const bus = await dial(credentials, subjects.inboxPrefix(credentials.id), label, signal);
      return { bus, id: credentials.id, key };
    },
    async setup(signal) {
      const credentials = await credentialsOf(jwts.setup, "setup", createNkey("user"));
      return dial(credentials, subjects.inboxPrefix(credentials.id), "setup", signal);
    },
    async system(signal) {
      const key = createNkey("user");
      const credentials = await credentialsOf(jwts.sys_admin, "admin", key, jwts.system);
      return dial(credentials, subjects.inboxPrefix(key.public), "admin", signal);
    },
    async everyHost(signal) {
      const key = createNkey("user");
      const permissions = { pub: ["telemetry.>"], sub: [`${subjects.inboxPrefix(key.public)}.>`] };
      const jwt = await sentinelJwt({ key: key.public, permissions }, memorySigner(jwts.fleet), Date.now());
      const sign = (nonce: Uint8Array) => signEd25519(key.key, nonce);
      return dial({ jwt, sign }, subjects.inboxPrefix(key.public), "every host", signal);
    },
    anonymous: (signal) => dial(null, subjects.enrolInboxPrefix(), "new machine", signal),
    signBundle,
    stop: () => server.stop(),
  };

  const setup_life = new AbortController();
  const setup = await fleet.setup(setup_life.signal);
  for (const spec of STREAMS) await makeStream(setup, spec);
  await setup.publishStored(subjects.trust(), fleet.bundle_envelope.body, {
    headers: fleet.bundle_envelope.headers,
  });
  await setup.close();
  setup_life.abort();
  return fleet;
}

type Accounts = {
  readonly operator_jwt: string;
  readonly preload: Readonly<Record<string, string>>;
  readonly system: string;
  readonly enrol: string;
  readonly sentinel_jwt: string;
  readonly fleet: Nkey;
  readonly setup: Nkey;
  readonly sys_admin: Nkey;
  readonly roles: Record<Role, Nkey>;
};

async function makeAccounts(name: string, more: Partial<Record<Role, string>>): Promise<Accounts> {
  const now = Date.now();
  const [operator, system, fleet, enrol, setup, sys_admin] = [
    createNkey("operator"),
    createNkey("account"),
    createNkey("account"),
    createNkey("account"),
    createNkey("account"),
    createNkey("account"),
  ];
  const roles = Object.fromEntries(ROLES.map((role) => [role, createNkey("account")])) as Record<Role, Nkey>;
  const signer = memorySigner(operator);
  const sign = (spec: Parameters<typeof accountJwt>[0]) => accountJwt(spec, signer, now);
  const preload = {
    [system.public]: await sign({
      name: "SYS",
      key: system.public,
      scopes: [{ role: "sys-admin", key: sys_admin.public, permissions: SYSTEM_PERMISSIONS }],
      exports: SYSTEM_EXPORTS,
      jetstream: false,
    }),
    [fleet.public]: await sign({
      name: "FLEET",
      key: fleet.public,
      jetstream: true,
      exports: [{ name: "enrol", subject: patterns.enrol }],
      imports: systemImports({ system: system.public, fleet: fleet.public }),
      scopes: [
        ...ROLES.map((role) => ({ role, key: roles[role].public, permissions: PERMISSIONS[role] })),
        ...Object.entries(more).map(([role, key]) => ({
          role: `${role}-2`,
          key,
          permissions: PERMISSIONS[role as Role],
        })),
        { role: "setup", key: setup.public, permissions: SETUP_PERMISSIONS },
      ],
    }),
    [enrol.public]: await sign({
      name: "ENROL",
      key: enrol.public,
      jetstream: false,
      scopes: [],
      imports: [{ name: "enrol", subject: patterns.enrol, account: fleet.public }],
      limits: { connections: 1_000, subscriptions: 10_000, payload_bytes: 64 * 1024 },
    }),
  };
  return {
    operator_jwt: await operatorJwt(
      { name, key: operator.public, signing_keys: [], system_account: system.public },
      signer,
      now,
    ),
    preload,
    system: system.public,
    enrol: enrol.public,
    sentinel_jwt: await sentinelJwt(
      { key: createNkey("user").public, permissions: SENTINEL_PERMISSIONS },
      memorySigner(enrol),
      now,
    ),
    fleet,
    setup,
    sys_admin,
    roles,
  };
}

function operatorMode(directory: string, jwts: Accounts, websocket?: number): string {
  const preload = Object.entries(jwts.preload).map(([key, jwt]) => `  ${key}: "${jwt}"`);
  return [
    `operator: "${jwts.operator_jwt}"`,
    `system_account: ${jwts.system}`,
    `resolver: { type: full, dir: "${join(directory, "jwt")}", allow_delete: true, interval: "2m" }`,
    "resolver_preload: {",
    ...preload,
    "}",
    `default_sentinel: "${jwts.sentinel_jwt}"`,
    ...(websocket === undefined
      ? []
      : [
          `websocket { listen: "127.0.0.1:${websocket}", compression: true, tls {`,
          `  cert_file: "${join(directory, "server.pem")}", key_file: "${join(directory, "server.key")}" } }`,
        ]),
  ].join("\n");
}

/** Makes a stream by the rights of `setup`. */
export async function makeStream(bus: Bus, spec: StreamSpec): Promise<void> {
  // The real sizes are reserved at once, and no test needs them.
  const config = { ...streamConfig(spec, 1), max_bytes: Math.min(spec.max_bytes, 64 * MIB) };
  const answer = await bus.request(
    `$JS.API.STREAM.CREATE.${spec.name}`,
    Buffer.from(JSON.stringify(config)),
    {
      timeout_ms: 10_000,
    },
  );
  const text = Buffer.from(answer.body).toString();
  if (text.includes('"error"')) throw new Error(`stream ${spec.name}: ${text}`);
}

/** The bundle of a fleet as it is handed to enrollees. */
export const storedBundle = (fleet: TestFleet) => storeEnvelope(fleet.bundle_envelope);
