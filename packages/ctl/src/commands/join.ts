/** `ctl join`: one string a machine, signed by the person: printed, written, put into user data for a provider, or carried there over ssh. */
import { join as joinPath, resolve } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { GroupName, HostName } from "@muster/protocol/names";
import { z } from "zod";
import { writeText } from "../fleet/disk.ts";
import { fleetString } from "../fleet/files.ts";
import { checkHosts } from "../fleet/folder.ts";
import { checkedNetwork } from "../fleet/networks.ts";
import { joinString } from "../join/claims.ts";
import type { HostLogins } from "../join/host-logins.ts";
import { countText, durationText, readDuration, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { folderHere, requireFolder } from "../roster/roster.ts";
import { openSession, type Session } from "../session/session.ts";

const DEFAULT_LIFE = "15m";
const LIFE_LIMIT_MS = 7 * 86_400_000;
const COUNT_LIMIT = 10_000;

export const join = defineCommand({
  name: "join",
  args: "[host...]",
  options: {
    ssh: {
      flag: "--ssh",
      help: "bring package and string there over your own ssh (ansible_host, ansible_user), and wait until they have joined; to those that are in and do not find their brokers, where these are now",
    },
    cloud_init: {
      flag: "--cloud-init",
      help: "user data for a machine that a provider makes; needs --package URL",
    },
    package: {
      flag: "--package <file>",
      help: "muster-agent.deb for --ssh (default: the one in this folder), or its https URL for --cloud-init",
    },
    count: {
      flag: "--count <n>",
      help: "that many strings for machines that bring their own names; needs --group",
    },
    group: { flag: "--group <group>", help: "a group of the machines; may be repeated", many: true },
    life: { flag: "--for <duration>", help: `how long the strings work: 15m, 24h (default ${DEFAULT_LIFE})` },
    network: { flag: "--network <cidr>", help: "they work from there only; may be repeated", many: true },
    out: {
      flag: "--out <file>",
      help: "write them there (0600): a line a machine; with --cloud-init and several machines a directory",
    },
    print: { flag: "--print", help: "print them (also when nothing is said)" },
  },
  example: `ctl join ixp1 probe1 --ssh                            they join now; also: ctl join all --ssh
ctl join ixp1 probe1                                  one string each
ctl join ixp1 --out ixp1.join --network 192.0.2.0/24
ctl join ixp2 --cloud-init --for 24h --package https://example.net/muster-agent.deb > user-data
ctl join --count 20 --group probe --for 2h`,
  async run(context, { args, options }) {
    const names = await namesOf(context, args);
    const groups = readWord(z.array(GroupName), options.group, "--group");
    const count = readCount(options.count, names, groups);
    const life_ms = readDuration(options.life ?? DEFAULT_LIFE);
    if (life_ms === undefined || life_ms > LIFE_LIMIT_MS || life_ms < 1_000) {
      throw new FleetError("USAGE", `--for ${options.life}: must be like 15m, 24h or 7d, and 7 d at most`);
    }
    const networks = options.network.map(checkedNetwork);
    if ((options.ssh || options.cloud_init) && names.length === 0)
      throw new FleetError("USAGE", "--ssh and --cloud-init are for hosts that have a name: say which");
    if (options.ssh && (options.cloud_init || options.out !== undefined || options.print))
      throw new FleetError(
        "USAGE",
        "--ssh carries the strings there: leave --cloud-init, --out and --print away",
      );
    const url = options.cloud_init
      ? (await import("../join/cloud-init.ts")).checkedUrl(options.package)
      : null;
    await checkHosts(context.cwd, names);
    const session = await openSession(context, { rank: "operator" });
    const not_after = context.now() + life_ms;
    const logins = await loginsOf(context, session, names);
    const stringOf = (name: string | null) =>
      joinString(session, logins, { name, groups, networks, not_after }, context.now());
    if (options.ssh) return overSsh(context, session, names, options.package, stringOf);

    const wanted: (string | null)[] = names.length > 0 ? names : Array.from({ length: count }, () => null);
    const strings = await Promise.all(wanted.map(async (name) => ({ name, join: await stringOf(name) })));
    context.output.note(`${session.fleet} · ${session.person}`);
    if (url !== null) return userData(context, session, strings, { url, not_after, out: options.out });
    if (options.out !== undefined) {
      await writeText(resolve(context.cwd, options.out), strings.map((row) => `${row.join}\n`).join(""));
      context.output.line(
        `${options.out}  ${countText(strings.length, "join string")}, good until ${timeText(not_after)}`,
      );
    }
    if (options.out === undefined || options.print) {
      for (const row of strings)
        context.output.line(
          row.name === null || strings.length === 1 ? row.join : `${row.name}  ${row.join}`,
        );
    }
    context.output.json({ not_after, strings });
    context.output.note(
      `each works once, for ${durationText(life_ms)}; on the machine: /etc/muster/join (0600), then systemctl start muster-agent`,
    );
    return undefined;
  },
});

/** What gives hosts their own log-in at Vault; null, and said, where that cannot be now: everything else of joining needs no Vault here. */
async function loginsOf(
  context: Context,
  session: Session,
  names: readonly string[],
): Promise<HostLogins | null> {
  const later = (why: string) => {
    const whose = names.length === 0 ? "these hosts" : names.join(", ");
    context.output.note(
      `${why}: ${whose} will have no log-in at Vault (no secrets, certificates by way of a controller) until: ctl host identity ${names.join(" ") || "NAME"}`,
    );
    return null;
  };
  if (names.length === 0) return later("a machine that brings its own name is not given a log-in by it");
  try {
    const { hostLogins } = await import("../join/host-logins.ts");
    return await hostLogins(await session.vault());
  } catch (error) {
    if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
    return later(error.message);
  }
}

/** Names as they are typed; where a folder is around, also groups of it, and `all`. */
async function namesOf(context: Context, words: readonly string[]): Promise<string[]> {
  const names = new Set<string>();
  const folder = words.length === 0 ? null : await folderHere(context);
  const declared = await folder?.declared(false);
  for (const word of words) {
    const hosts = declared?.hosts ?? [];
    const members = hosts.filter((host) => word === "all" || host.groups.includes(word));
    const known = hosts.some((host) => host.name === word);
    if (!known && members.length > 0) for (const host of members) names.add(host.name);
    else names.add(word);
  }
  return readWord(z.array(HostName), [...names], "host");
}

async function overSsh(
  context: Context,
  session: Session,
  names: readonly string[],
  named: string | undefined,
  stringOf: (name: string) => Promise<string>,
): Promise<number> {
  const [{ bringAll }, { sshTargets }, { readPackage }] = await Promise.all([
    import("../join/bring.ts"),
    import("../join/targets.ts"),
    import("../join/package.ts"),
  ]);
  const folder = await requireFolder(context);
  const targets = sshTargets(await folder.load(), names);
  let deb: Promise<Uint8Array> | undefined;
  const order = {
    targets,
    always: named !== undefined,
    deb: () => {
      deb ??= readPackage(named, { cwd: context.cwd, folder: folder.root, home: context.home });
      return deb;
    },
    fleet_string: fleetString({ addresses: session.profile.brokers, anchor: session.profile.anchor }),
    string: stringOf,
  };
  context.output.begin(session.fleet, session.person);
  return bringAll(context, await session.connect(), order);
}

async function userData(
  context: Context,
  session: Session,
  strings: readonly { name: string | null; join: string }[],
  how: { url: string; not_after: number; out: string | undefined },
): Promise<undefined> {
  const { cloudInit } = await import("../join/cloud-init.ts");
  const { url, not_after, out } = how;
  const texts = strings.map(({ name, join }) => ({
    name: name ?? "",
    text: cloudInit({ fleet: session.fleet, name: name ?? "", join, url, not_after }),
  }));
  if (out === undefined && texts.length > 1)
    throw new FleetError("USAGE", "each machine has user data of its own: say --out DIRECTORY");
  for (const { name, text } of texts) {
    if (out === undefined) {
      context.output.line(text.trimEnd());
      continue;
    }
    const path = resolve(context.cwd, texts.length === 1 ? out : joinPath(out, `${name}.yaml`));
    await writeText(path, text);
    context.output.line(`${path}  good until ${timeText(not_after)}`);
  }
  context.output.json({ not_after, hosts: texts.map(({ name, text }) => ({ name, user_data: text })) });
  return undefined;
}

function readCount(text: string | undefined, names: readonly string[], groups: readonly string[]): number {
  if (text === undefined && names.length === 0)
    throw new FleetError("USAGE", "say for which hosts, or --count N --group GROUP");
  if (text === undefined) return names.length;
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > COUNT_LIMIT)
    throw new FleetError("USAGE", `--count ${text}: must be 1 to ${COUNT_LIMIT}`);
  if (names.length > 0)
    throw new FleetError(
      "USAGE",
      "--count is for machines without names here: leave the names or the count away",
    );
  if (groups.length === 0)
    throw new FleetError("USAGE", "--count needs --group: it says what the machines will be");
  return count;
}
