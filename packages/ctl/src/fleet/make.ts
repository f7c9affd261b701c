/**
 * Makes a fleet, or finishes one, in an order in which every step can be repeated: Vault, keys and kit, signed papers, files, and (where a broker answers)
 * accounts, streams and the first trust bundle. Keys are kept in the kit before anything depends on them.
 */
import { basename, join } from "node:path";
import { transit } from "@muster/ports/transit";
import type { Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { memorySigner, operatorJwt, sentinelJwt } from "@muster/protocol/jwt";
import { createNkey, encodePublic, nkeyFromSeed } from "@muster/protocol/nkey";
import { SENTINEL_PERMISSIONS } from "@muster/protocol/subjects";
import { anchorOf, succeeding } from "@muster/protocol/trust";
import { FLEET_RECORD } from "../session/login.ts";
import { loadProfile, type Profile, saveProfile } from "../session/profile.ts";
import { accountSpecs, issuedAt, signAccount } from "./accounts.ts";
import type { BrokerThere } from "./broker-setup.ts";
import { type BundleParts, bundleOf, newerBundle, readBundle, saysTheSame, signBundle } from "./bundle.ts";
import { readText, writeText } from "./disk.ts";
import { ensureDocument } from "./document.ts";
import { fleetFiles, pageNames } from "./files.ts";
import {
  accountKeysOf,
  adminKeyOf,
  adminSigner,
  brokerCertificate,
  type Identities,
  makeIdentities,
} from "./identities.ts";
import type { KitFile } from "./kit-file.ts";
import { programLogin } from "./program-login.ts";
import { loadState, type MadeFleet, stateFile } from "./state.ts";
import type { Program } from "./vault-roles.ts";
import { type Changes, setUpVault, type VaultMade } from "./vault-setup.ts";

/** The broker's certificate is made anew when it has less left than this. */
const RENEW_BEFORE_MS = 60 * 86_400_000;
/** More trust bundles than anybody signs between two backups: hosts take only a higher number than they hold. */
const SIGNED_SINCE_BACKUP = 1_000;
const LOCAL_NAMES = ["localhost", "127.0.0.1", "[::1]"];
/** How what runs beside the broker reaches it, whatever names and firewalls say. */
export const LOCAL_BROKER = "localhost:4222";

export type Order = {
  readonly fleet: string;
  /** With ports, IPv6 in brackets. */
  readonly addresses: readonly string[];
  /** Broker and controller run on this machine: they meet at `localhost`, which the broker's certificate then names too. */
  readonly here: boolean;
  readonly vault: Vault;
  /** `https://host:port`, the first is asked first. */
  readonly vault_addresses: readonly string[];
  /** Where the controller finds it. */
  readonly controller_vault: readonly string[];
  readonly vault_ca: string;
  /** What opens the fleet's own Vault, for a new kit; undefined where Vault is somebody else's. */
  readonly vault_keys: readonly string[] | undefined;
  readonly admin: string;
  readonly out: string;
  readonly kit: KitFile;
  /** undefined: as it is at Vault, from anywhere at first. */
  readonly controller_networks: readonly string[] | undefined;
  readonly audit_file: string;
  /** What the running broker holds, which may void more than we know of; null when there is none to ask. */
  held(made: Pick<MadeFleet, "broker_ca" | "accounts">): Promise<BrokerThere | null>;
  /** Made again from a backup: hosts may hold what was signed after it. */
  readonly restored?: boolean;
  now(): number;
};

export type Made = { readonly state: MadeFleet; readonly profile: Profile; readonly kit_made: boolean };

/** Everything but the running broker. Errors: CONFLICT for another fleet in the folder, VAULT_*, USAGE. */
export async function makeFleet(order: Order, changes: Changes): Promise<Made> {
  const before = await loadState(order.out);
  if (before !== null && before.fleet !== order.fleet) {
    throw new FleetError("CONFLICT", `${order.out} holds the fleet ${before.fleet}`);
  }
  const vault_made = await setUpVault(
    order.vault,
    order.fleet,
    {
      networks: order.controller_networks,
      page_names: pageNames(order.addresses),
      audit_file: order.audit_file,
    },
    changes,
  );
  const keys = await fleetKeys(order, before, vault_made);
  const { state, certificate } = await papers(order, before, vault_made, keys, changes);
  const profile = profileOf(state, order.admin);
  if (keys.made !== null) {
    const vault_keys = order.vault_keys === undefined ? {} : { vault_keys: [...order.vault_keys] };
    await order.kit.write({ ...keys.made, ...vault_keys, profile });
    changes.made.push(`recovery kit ${basename(order.kit.path)}`);
  }
  const { operator, system, fleet, enrol } = state.accounts;
  await ensureDocument(
    order.vault,
    FLEET_RECORD,
    { fleet: order.fleet, accounts: { operator, system, fleet, enrol } },
    changes,
  );
  const loginOf = async (program: Program) =>
    programLogin(
      order.vault,
      program,
      (await readText(join(order.out, program, "secret_id")))?.trim() ?? null,
      changes,
    );
  const files = fleetFiles(state, {
    certificate,
    brokers: order.here ? [LOCAL_BROKER] : order.addresses,
    vault: { addresses: order.controller_vault, ca_pem: order.vault_ca },
    controller: await loginOf("controller"),
    backup: order.here && order.vault_keys !== undefined ? await loginOf("backup") : null,
  });
  for (const [name, text] of Object.entries(files)) {
    const path = join(order.out, name);
    if ((await readText(path)) === text) continue;
    await writeText(path, text);
    changes.made.push(name);
  }
  const state_text = `${JSON.stringify(state, undefined, 2)}\n`;
  if ((await readText(stateFile(order.out))) !== state_text)
    await writeText(stateFile(order.out), state_text);
  return { state, profile, kit_made: keys.made !== null };
}

type Keys = {
  /** New ones, which have to go into the kit. */
  readonly made: Identities | null;
  /** The secret ones, from the kit: asked for only when something has to be signed with them. */
  open(): Promise<Identities>;
};

async function fleetKeys(order: Order, before: MadeFleet | null, vault_made: VaultMade): Promise<Keys> {
  const open = async (): Promise<Identities> => {
    const { profile, vault_keys, ...identities } = await order.kit.open();
    return identities;
  };
  if (before !== null || (await order.kit.exists())) return { made: null, open };
  const made = await makeIdentities(order.fleet, order.vault, vault_made.ca.operators, order.now());
  return { made, open: () => Promise.resolve(made) };
}

/** What is signed: operator, accounts, sentinel, bundle, the broker's certificate. What still holds is kept as it is. */
async function papers(
  order: Order,
  before: MadeFleet | null,
  vault_made: VaultMade,
  keys: Keys,
  changes: Changes,
): Promise<{ state: MadeFleet; certificate: { chain_pem: string; key_pem: string } | null }> {
  const now_ms = order.now();
  const base = before ?? (await beginning(order, vault_made, await keys.open()));
  const signing = transit(order.vault);
  const signer = {
    issuer: encodePublic("operator", vault_made.keys["operator-signing"]),
    sign: (data: Uint8Array) => signing.signEd25519("operator-signing", data),
  };
  const account_jwts: Record<string, string> = {};
  // A fleet whose keys were just made has no broker yet.
  const there = keys.made === null ? await order.held(base) : null;
  for (const spec of accountSpecs(base.accounts, vault_made.keys)) {
    const ours = base.account_jwts[spec.key];
    const held = newerOf(ours, there?.accounts.get(spec.key));
    // With no broker to ask nobody knows what was revoked since: a JWT of now would take that back where one starts with it.
    account_jwts[spec.key] =
      there === null && ours !== undefined ? ours : await signAccount(spec, signer, held, now_ms);
  }
  const parts: BundleParts = {
    fleet: order.fleet,
    vault_made,
    admin_key: base.admin_key,
    broker_ca: base.broker_ca,
    brokers: order.addresses,
    vault: { addresses: order.vault_addresses, ca_pem: order.vault_ca },
  };
  let bundle = before === null ? base.bundle : newerBundle(before.bundle, there?.bundle ?? null);
  const held = before === null ? null : readBundle(bundle);
  if (held === null || !saysTheSame(held, parts)) {
    const version = (held?.version ?? 0) + (order.restored === true ? SIGNED_SINCE_BACKUP : 1);
    const next = bundleOf(parts, version, now_ms);
    const signer = adminSigner(await keys.open());
    const following =
      held === null
        ? next
        : succeeding(
            held,
            { ...next, voided: held.voided, ssh_krl: held.ssh_krl, policy: held.policy },
            signer,
            now_ms,
          );
    bundle = signBundle(following, signer, now_ms);
    if (held !== null) changes.made.push(`trust bundle ${next.version}`);
  }
  const certified = before !== null && before.addresses.join() === order.addresses.join();
  const fresh = certified && before.broker_certificate_ends - now_ms > RENEW_BEFORE_MS;
  const on_disk = (await readText(join(order.out, "nats", "tls.key"))) !== null;
  const names = order.here ? [...order.addresses, ...LOCAL_NAMES] : order.addresses;
  const certificate = fresh && on_disk ? null : await brokerCertificate(await keys.open(), names, now_ms);
  const state: MadeFleet = {
    ...base,
    addresses: [...order.addresses],
    broker_certificate_ends: certificate?.not_after ?? base.broker_certificate_ends,
    account_jwts,
    bundle,
  };
  return { state, certificate };
}

/** Of two JWTs of an account the one that was issued later. */
function newerOf(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return issuedAt(other) > issuedAt(one) ? other : one;
}

async function beginning(order: Order, vault_made: VaultMade, identities: Identities): Promise<MadeFleet> {
  const now_ms = order.now();
  const accounts = accountKeysOf(identities);
  const { seeds, broker_ca } = identities;
  return {
    v: 1,
    fleet: order.fleet,
    admin: order.admin,
    addresses: [...order.addresses],
    anchor: anchorOf(broker_ca.certificate_pem),
    broker_ca: broker_ca.certificate_pem,
    broker_certificate_ends: 0,
    admin_key: adminKeyOf(identities.admin_key),
    accounts,
    operator_jwt: await operatorJwt(
      {
        name: order.fleet,
        key: accounts.operator,
        signing_keys: [encodePublic("operator", vault_made.keys["operator-signing"])],
        system_account: accounts.system,
      },
      memorySigner(nkeyFromSeed(seeds.operator)),
      now_ms,
    ),
    sentinel_jwt: await sentinelJwt(
      { key: createNkey("user").public, permissions: SENTINEL_PERMISSIONS },
      memorySigner(nkeyFromSeed(seeds.enrol)),
      now_ms,
    ),
    account_jwts: {},
    bundle: { headers: {}, body: "" },
    backup_key: identities.backup?.public ?? null,
    kit_file: order.kit.path,
  };
}

function profileOf(state: MadeFleet, admin: string): Profile {
  return {
    v: 1,
    fleet: state.fleet,
    brokers: state.addresses,
    anchor: state.anchor,
    broker_ca: state.broker_ca,
    bundle: readBundle(state.bundle),
    person: admin,
  };
}

/** What this machine knows of the fleet, unless it knows newer. */
export async function keepProfile(home: string, profile: Profile): Promise<void> {
  const known = await loadProfile(home, profile.fleet);
  if (known?.anchor !== profile.anchor || known.bundle.version < profile.bundle.version)
    await saveProfile(home, profile);
}
