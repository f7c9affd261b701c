/** `ctl join`: one string a machine, signed by the person. It names no secret but works once, for a short time, from the networks given. */
import { resolve } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { GroupName, HostName } from "@muster/protocol/names";
import { z } from "zod";
import { writeText } from "../fleet/disk.ts";
import { checkHosts } from "../fleet/folder.ts";
import { checkedNetwork } from "../fleet/networks.ts";
import { joinString } from "../join/claims.ts";
import { countText, durationText, readDuration, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { readWord } from "../program/word.ts";
import { openSession } from "../session/session.ts";

const DEFAULT_LIFE = "15m";
const LIFE_LIMIT_MS = 7 * 86_400_000;
const COUNT_LIMIT = 10_000;

export const join = defineCommand({
  name: "join",
  args: "[host...]",
  options: {
    count: {
      flag: "--count <n>",
      help: "that many strings for machines that bring their own names; needs --group",
    },
    group: { flag: "--group <group>", help: "a group of the machines; may be repeated", many: true },
    life: { flag: "--for <duration>", help: `how long the strings work: 15m, 24h (default ${DEFAULT_LIFE})` },
    network: { flag: "--network <cidr>", help: "they work from there only; may be repeated", many: true },
    out: {
      flag: "--out <file>",
      help: "write them there (0600): a line a machine, or one line for one machine",
    },
    print: { flag: "--print", help: "print them (also when nothing is said)" },
  },
  example: `ctl join ixp1 probe1                                  one string each
ctl join ixp1 --out ixp1.join --network 192.0.2.0/24
ctl join --count 20 --group probe --for 2h`,
  async run(context, { args, options }) {
    const names = readWord(z.array(HostName), args, "host");
    const groups = readWord(z.array(GroupName), options.group, "--group");
    const count = readCount(options.count, names, groups);
    const life_ms = readDuration(options.life ?? DEFAULT_LIFE);
    if (life_ms === undefined || life_ms > LIFE_LIMIT_MS || life_ms < 1_000) {
      throw new FleetError("USAGE", `--for ${options.life}: must be like 15m, 24h or 7d, and 7 d at most`);
    }
    const networks = options.network.map(checkedNetwork);
    await checkHosts(context.cwd, names);
    const session = await openSession(context, { rank: "operator" });
    const not_after = context.now() + life_ms;
    const wanted: (string | null)[] = names.length > 0 ? names : Array.from({ length: count }, () => null);
    const strings = wanted.map((name) => ({
      name,
      join: joinString(session, { name, groups, networks, not_after }, context.now()),
    }));

    context.output.note(`${session.fleet} · ${session.person}`);
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
