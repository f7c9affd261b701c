/**
 * Kind `user`: an account, its groups and its ssh keys. Root is refused by name, a system account that Muster did not make is left alone.
 * Numbers are never changed and homes never moved or removed: what lies in them is the person's.
 */
import type { Step } from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { textDiff } from "../diff.ts";
import type { FileFacts } from "../ports/files.ts";
import type { Ports } from "../ports/index.ts";
import { GROUP, PASSWD, SHADOW, type UserFacts } from "../ports/users.ts";
import type { ApplyContext, Declared, KindPlan, PlanContext, ResourceKind } from "./kind.ts";
import { refuseProtected } from "./protected.ts";
import { packageComes } from "./service.ts";

export type ObservedUser = {
  readonly facts: UserFacts | null;
  readonly missing_groups: readonly string[];
  /** Of the account's authorized_keys; null where there is none, or its keys are not declared. */
  readonly keys: { readonly text: string; readonly owner: string; readonly mode: string } | null;
  /** Why its keys cannot be written: its directory is a link. */
  readonly keys_elsewhere: string | null;
  readonly changed_ms: number | null;
};

const KEYS_BYTES = 4 * 1024 * 1024;
const FIRST_PERSON = 1_000;
/** The account of nobody, and what systemd makes up for a while. */
const FIRST_SPECIAL = 60_000;

const keysFile = (home: string) => `${home}/.ssh/authorized_keys`;
const keysText = (keys: readonly string[]) =>
  ["# Written by Muster: keys that are not declared are taken out.", ...keys, ""].join("\n");
const homeOf = ({ name, spec }: Declared<"user">, facts: UserFacts | null) =>
  spec.home ?? facts?.home ?? `/home/${name}`;

export const user: ResourceKind<"user", ObservedUser> = {
  host_wide: true,
  async observe(resource, ports) {
    const { users, groups } = await ports.users.facts();
    const facts = users.get(resource.name) ?? null;
    const missing_groups = (resource.spec.groups ?? []).filter((group) => !groups.has(group));
    const home = homeOf(resource, facts);
    await refuseProtected(keysFile(home), ports.files);
    const passwd = await ports.files.facts(PASSWD);
    const none = { facts, missing_groups, keys: null, keys_elsewhere: null };
    if (resource.spec.authorized_keys === undefined || facts === null)
      return { ...none, changed_ms: passwd?.changed_ms ?? null };
    const elsewhere = await linkOnTheWay(home, ports);
    const kept = elsewhere === null ? await ports.files.facts(keysFile(home)) : null;
    return {
      ...none,
      keys: kept?.type === "file" ? await keysOf(keysFile(home), kept, ports) : null,
      keys_elsewhere: elsewhere,
      changed_ms: kept?.changed_ms ?? passwd?.changed_ms ?? null,
    };
  },
  plan: planUser,
  removal({ name }, { facts }, { made }) {
    if (facts === null) return { steps: [] };
    if (!made) return { left: `${name} was there before Muster managed it` };
    const step: Step = {
      ref: `user/${name}`,
      action: "remove",
      args: { name },
      why: "no longer declared",
      effect: `its files in ${facts.home} stay, owned by number ${facts.uid}`,
      reversible: true,
    };
    return { steps: [step] };
  },
  apply: applyUser,
  managed: ({ facts, keys }) => ({ facts, keys }),
  edit: ({ name }, { facts, changed_ms }) => ({
    what: facts === null ? `${name} was removed by hand` : `${name} was changed by hand`,
    at_ms: changed_ms,
  }),
  watch: ({ name, spec }) => [PASSWD, GROUP, SHADOW, keysFile(spec.home ?? `/home/${name}`)],
};

function planUser(resource: Declared<"user">, observed: ObservedUser, context: PlanContext): KindPlan {
  const { name, spec } = resource;
  const { facts } = observed;
  const waits = (unsupported: string): KindPlan => ({ steps: [], notes: [], unsupported });
  if (facts !== null && isSystem(facts) && !context.made)
    return waits(
      `${name} is a system account (number ${facts.uid}) that Muster did not make: it is left alone`,
    );
  if (facts !== null && spec.uid !== undefined && spec.uid !== facts.uid)
    return waits(`${name} has number ${facts.uid} here and ${spec.uid} is declared: renumber it by hand`);
  if (observed.missing_groups.length > 0 && !packageComes(context.coming))
    return waits(`there is no group ${observed.missing_groups.join(", ")} on this host`);
  if (observed.keys_elsewhere !== null) return waits(observed.keys_elsewhere);
  const steps: Step[] = [];
  const step = (action: string, args: Step["args"], why: string, more: Partial<Step> = {}) =>
    steps.push({ ref: `user/${name}`, action, args: { name, ...args }, why, ...more, reversible: true });
  const groups = spec.groups === undefined ? null : [...new Set(spec.groups)].sort();
  const home = homeOf(resource, facts);
  if (facts === null) {
    const { uid = null, system, shell, comment = null } = spec;
    const with_home = !system || spec.home !== undefined || spec.authorized_keys !== undefined;
    step(
      "create",
      { uid, system, groups, shell, home, with_home, comment, makes: true },
      "there is no such account",
    );
  } else {
    const wanted = { shell: spec.shell, home: spec.home, comment: spec.comment, groups: groups ?? undefined };
    const change: Record<string, string | string[]> = {};
    const words: string[] = [];
    for (const key of ["shell", "home", "comment", "groups"] as const) {
      const value = wanted[key];
      if (value === undefined || String(value) === String(facts[key])) continue;
      change[key] = value;
      words.push(`${key} ${String(facts[key]) || "none"} → ${String(value) || "none"}`);
    }
    const effect = change.home === undefined ? {} : { effect: `what is in ${facts.home} stays there` };
    if (words.length > 0) step("modify", change, words.join(", "), effect);
    if (spec.password === "locked" && !facts.locked) step("lock", {}, "a password opens it");
  }
  if (spec.authorized_keys !== undefined) {
    const text = keysText(spec.authorized_keys);
    const { keys } = observed;
    const diff = textDiff(keys?.text ?? "", text);
    const args = { home, group: facts?.group ?? name, keys_sha256: sha256(text) };
    if (diff.text !== "")
      step("keys", args, `authorized_keys +${diff.added} -${diff.removed}`, { diff: diff.text });
    else if (keys !== null && (keys.owner !== name || keys.mode !== "0600"))
      step("keys", args, `authorized_keys is ${keys.owner}'s, mode ${keys.mode}`);
  }
  return { steps, notes: [] };
}

const isSystem = ({ uid }: UserFacts) => uid < FIRST_PERSON || uid >= FIRST_SPECIAL;

async function applyUser(
  step: Step,
  ports: Ports,
  signal: AbortSignal,
  { resource }: ApplyContext<"user">,
): Promise<void> {
  const name = step.ref.slice("user/".length);
  const { args } = step;
  const facts = (await ports.users.facts()).users.get(name) ?? null;
  switch (step.action) {
    case "create":
      // Done already, by a run that ended before it was noted.
      if (facts !== null) return;
      return ports.users.change("useradd", addArgs(name, args), signal);
    case "modify":
      return ports.users.change("usermod", [...changeArgs(args), "--", name], signal);
    case "lock":
      return ports.users.change("usermod", ["--lock", "--", name], signal);
    case "keys":
      return writeKeys(step, name, resource, ports);
    case "remove":
      if (facts === null) return;
      return ports.users.change("userdel", ["--", name], signal);
    default:
      throw new FleetError("INVALID", `user has no step ${step.action}`);
  }
}

function addArgs(name: string, args: Step["args"]): string[] {
  return [
    "--user-group",
    ...(args.with_home === true ? ["--create-home"] : ["--no-create-home"]),
    ...(args.system === true ? ["--system"] : []),
    ...(typeof args.uid === "number" ? ["--uid", String(args.uid)] : []),
    ...changeArgs(args),
    "--",
    name,
  ];
}

function changeArgs(args: Step["args"]): string[] {
  return [
    ...(typeof args.shell === "string" ? ["--shell", args.shell] : []),
    ...(typeof args.home === "string" ? ["--home", args.home] : []),
    ...(typeof args.comment === "string" ? ["--comment", args.comment] : []),
    ...(Array.isArray(args.groups) ? ["--groups", args.groups.join(",")] : []),
  ];
}

/** The home is the person's: a link in it must not lead root's hand elsewhere, so the directory is held while the file is written. */
async function writeKeys(
  step: Step,
  name: string,
  resource: Declared<"user"> | null,
  ports: Ports,
): Promise<void> {
  const text = keysText(resource?.spec.authorized_keys ?? []);
  if (resource === null || sha256(text) !== step.args.keys_sha256)
    throw new FleetError("ALTERED", `${step.ref}: its keys are not the ones that were planned`);
  const home = String(step.args.home);
  await refuseProtected(keysFile(home), ports.files);
  const elsewhere = await linkOnTheWay(home, ports);
  if (elsewhere !== null) throw new FleetError("FAILED", elsewhere);
  const owned = { owner: name, group: String(step.args.group) };
  await ports.files.makeDirectory(`${home}/.ssh`, { ...owned, mode: "0700" });
  await ports.files.replace(keysFile(home), Buffer.from(text), { ...owned, mode: "0600" }, undefined, "held");
}

async function linkOnTheWay(home: string, { files }: Ports): Promise<string | null> {
  const facts = await files.facts(`${home}/.ssh`);
  if (facts === null || facts.type === "directory") return null;
  return `${home}/.ssh is ${facts.type === "link" ? "a link" : "no directory"}: remove it by hand first`;
}

async function keysOf(path: string, facts: FileFacts, { files }: Ports): Promise<ObservedUser["keys"]> {
  const text = (await files.read(path, KEYS_BYTES))?.toString("utf8");
  return text === undefined ? null : { text, owner: facts.owner, mode: facts.mode };
}
