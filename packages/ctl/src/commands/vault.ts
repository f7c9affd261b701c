/** `ctl vault`: a Vault or OpenBao that exists, made fit for the fleet: what it is to hold, whether it does, and who may do what there. */
import { join, resolve } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { checkedNetwork } from "../fleet/networks.ts";
import type { Known } from "../fleet/vault-roles.ts";
import { errorLines } from "../output/error.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { ACCESS_OPTIONS, type AccessOptions, vaultAccess } from "../vault/access.ts";

const AUDIT_FILE = "/var/log/vault/audit.log";
const WRITE_OPTIONS = {
  controller_cidr: {
    flag: "--controller-cidr <cidr>",
    help: "the controller's log-in works from there only; may be repeated",
    many: true,
  },
  audit_file: {
    flag: "--audit-file <file>",
    help: `where Vault writes its audit log, on its own machines (default ${AUDIT_FILE})`,
  },
} as const;

const networksOf = (typed: readonly string[]) => (typed.length === 0 ? undefined : typed.map(checkedNetwork));

const bootstrap = defineCommand({
  name: "bootstrap",
  summary: "make the fleet's mounts, keys, roles and policies; again, what is missing",
  args: "<fleet>",
  options: { ...ACCESS_OPTIONS, ...WRITE_OPTIONS },
  example: `ctl vault bootstrap as64500 --vault https://a.example:8200 --vault-ca ca.pem --vault-token-file token
ctl vault policies bootstrap      what that token needs; it is for an hour`,
  async run(context, { args, options }) {
    const { output } = context;
    if (options.vault.length === 0)
      throw new FleetError(
        "USAGE",
        "--vault is missing: this needs a token of Vault's owner, not your log-in",
      );
    const access = await vaultAccess(context, args[0], options);
    const { setUpVault } = await import("../fleet/vault-setup.ts");
    const changes = { made: [], warnings: [] } as { made: string[]; warnings: string[] };
    output.begin(access.fleet, access.person);
    const progress = output.progress("Vault: mounts, keys, roles, policies");
    const networks = networksOf(options.controller_cidr);
    await setUpVault(
      access.vault,
      access.fleet,
      { networks, audit_file: options.audit_file ?? AUDIT_FILE },
      changes,
    ).finally(() => progress.done());
    for (const name of changes.made) output.line(`made     ${name}`);
    for (const warning of changes.warnings) output.line(`warning  ${output.colour.amber(warning)}`);
    if (changes.made.length === 0) output.line("nothing: it is as it should be");
    else output.line(`next     ctl init ${access.fleet} --address …, with the same --vault`);
    output.json({ fleet: access.fleet, changed: changes.made, warnings: changes.warnings });
    return undefined;
  },
});

const check = defineCommand({
  name: "check",
  summary: "whether it is as it should be, field by field, and how its servers are",
  args: "[fleet]",
  options: { ...ACCESS_OPTIONS, ...WRITE_OPTIONS },
  example: `ctl vault check                   with your log-in (admin); exit 3 when bootstrap has something to do, 1 when something is wrong
ctl vault check -o wide           and each write that it would do, as a vault command
ctl vault check as64500 --vault https://a.example:8200 --vault-ca ca.pem --vault-token-file token`,
  async run(context, { args, options }) {
    const { output } = context;
    const [{ examine }, { vaultLine }] = await Promise.all([
      import("../vault/examine.ts"),
      import("../vault/finding.ts"),
    ]);
    const access = await vaultAccess(context, args[0], options);
    const networks = networksOf(options.controller_cidr);
    const audit_file = options.audit_file ?? AUDIT_FILE;
    const line = `ctl vault bootstrap ${access.fleet} ${access.addresses.map((url) => `--vault ${url}`).join(" ")} --vault-ca FILE --vault-token-file FILE`;
    const { findings, differences, unseen } = await examine(
      access,
      { networks, audit_file, bootstrap: line },
      context.now(),
      context.asking,
    );
    output.json({
      fleet: access.fleet,
      findings,
      would_write: differences.flatMap(({ write }) => (write === null ? [] : [write])),
      unseen: unseen?.message ?? null,
    });
    const paint = { red: output.colour.red, amber: output.colour.amber, pending: output.colour.bold };
    let before = "";
    for (const { level, where, what, why, next } of findings) {
      output.line(`${paint[level](level.padEnd(7))}  ${where}  ${what}`);
      const reason = `         ${why}\n         next  ${next}`;
      // Fifty roles that are missing for one reason say it once.
      if (reason !== before) output.line(reason);
      before = reason;
    }
    if (output.form === "wide")
      for (const { write } of differences) if (write !== null) output.line(`run      ${vaultLine(write)}`);
    if (unseen !== null) {
      for (const text of errorLines(unseen, output.colour)) output.note(text);
      return unseen.exit;
    }
    if (findings.length === 0)
      output.line(`${output.colour.green("as it should be")}  ${access.addresses.join(", ")}`);
    if (findings.some(({ level }) => level === "red")) return EXIT.failed;
    return differences.length > 0 ? EXIT.changes : EXIT.done;
  },
});

/** What policies say of a Vault, by that Vault; placeholders where nobody is logged in or it does not answer. */
async function knownOfAccess(context: Context, options: AccessOptions): Promise<Known> {
  const [{ knownLogins }, { NOTHING_KNOWN }] = await Promise.all([
    import("../fleet/vault-pieces.ts"),
    import("../fleet/vault-roles.ts"),
  ]);
  try {
    const { fleet, vault } = await vaultAccess(context, undefined, options);
    return await knownLogins(vault, fleet);
  } catch (error) {
    if (!(error instanceof FleetError) || options.vault.length > 0) throw error;
    context.output.note(`what stands in < > your Vault knows, and was not asked: ${error.message}`);
    return NOTHING_KNOWN;
  }
}

const policies = defineCommand({
  name: "policies",
  summary: "who may do what at Vault, in Vault's own words",
  args: "[name]",
  options: ACCESS_OPTIONS,
  example: `ctl vault policies                       all of them, with what your Vault calls its log-ins where it answers you
ctl vault policies controller            one: vault policy write muster-controller - <<< "$(ctl vault policies controller)"
ctl vault policies bootstrap             what the token for ctl vault bootstrap needs; init, check likewise`,
  async run(context, { args, options }) {
    const { output } = context;
    const { policyOf } = await import("../session/ranks.ts");
    const { allPolicies } = await import("../fleet/vault-policies.ts");
    const plain = allPolicies();
    const wanted = args[0];
    const shown =
      wanted === undefined
        ? Object.values(plain).join("")
        : (plain[wanted] ?? plain[`${policyOf("")}${wanted}`]);
    // Most depend on no Vault, and are there before the fleet is.
    const all = shown?.includes("<") === true ? allPolicies(await knownOfAccess(context, options)) : plain;
    if (wanted === undefined) {
      for (const [name, text] of Object.entries(all)) output.line(`# ${name}\n${text}`);
      output.json(all);
      return undefined;
    }
    const name = wanted in all ? wanted : `${policyOf("")}${wanted}`;
    const text = all[name];
    if (text === undefined)
      throw new FleetError("NOT_FOUND", `${wanted}: the fleet has ${Object.keys(all).join(", ")}`);
    output.line(text.trimEnd());
    output.json({ [name]: text });
    return undefined;
  },
});

const layout = defineCommand({
  name: "layout",
  summary: "configuration and certificates of several Vault servers, as files",
  args: "<name=address...>",
  options: {
    out: {
      flag: "--out <directory>",
      help: "where they go: a directory a server, and the CA",
      required: true,
    },
  },
  example: `ctl vault layout a=a.example b=b.example c=c.example --out vault-servers
each directory goes to /etc/muster/vault of its server; how to start, open, save and upgrade them: docs/runbook/vault.md`,
  async run(context, { args, options }) {
    const { output } = context;
    const { readServer, writeLayout } = await import("../vault/layout.ts");
    const { vaultUrl } = await import("../server/vault-config.ts");
    const servers = args.map(readServer);
    const out = resolve(context.cwd, options.out);
    const written = await writeLayout(out, servers, context.now());
    for (const { name, host } of servers)
      output.line(`${name.padEnd(8)} ${vaultUrl(host)}   ${join(out, name)} → /etc/muster/vault`);
    output.line(
      `ca.key   ${join(out, "ca.key")}: makes the next server and the next certificates; keep it off these machines`,
    );
    output.line(`changed  ${written.length === 0 ? "nothing" : written.join(", ")}`);
    output.json({ out, servers, changed: written });
    return undefined;
  },
});

export const vault = defineCommand({
  name: "vault",
  example: `ctl vault check
ctl vault policies`,
  subcommands: [bootstrap, check, policies, layout],
});
