/** `ctl restore`: from recovery kit and backup to a fleet whose hosts have come back by themselves. */
import { isIP } from "node:net";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { HostName } from "@muster/protocol/names";
import { readText } from "../fleet/disk.ts";
import { loginLine } from "../fleet/files.ts";
import { KitHead } from "../fleet/kit.ts";
import { kitFile } from "../fleet/kit-file.ts";
import { brokerAddress, hostOf } from "../fleet/networks.ts";
import { durationText, listText, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { hostViews } from "../roster/roster.ts";
import { readSecret } from "../session/passphrase.ts";
import { openSession } from "../session/session.ts";

/** A round over all addresses that a host knows, dead ones included, and the pause before it. */
const QUIET_MS = 45_000;
const POLL_MS = 500;

export const restore = defineCommand({
  name: "restore",
  args: "<kit>",
  options: {
    from: {
      flag: "--from <place>",
      help: "a directory, one file of it, or rclone:REMOTE/PATH",
      required: true,
    },
    address: {
      flag: "--address <address>",
      help: "where servers and people reach this machine; the old names stay valid",
      many: true,
    },
    name: { flag: "--name <host>", help: "this server's name in the fleet (default: its own)" },
    password_file: { flag: "--password-file <file>", help: "your password; asked for without it" },
  },
  example: `ctl restore as64500.kit --from rclone:off/as64500 --address core2.as64500.example
ctl restore as64500.kit --from /mnt/backup/as64500-20261125T020000Z.muster --address 198.51.100.2`,
  async run(context, { args, options }) {
    const { output } = context;
    if (options.address.length === 0)
      throw new FleetError("USAGE", "--address is missing: how do servers reach this machine?");
    const name = readWord(HostName, options.name ?? hostname().split(".")[0]?.toLowerCase(), "--name");
    const path = resolve(context.cwd, args[0] ?? "");
    const { fleet } = parseJson(KitHead, await kitText(path), path);
    const [{ AGENT, BROKER, CONTROLLER, checkReady, VAULT }, { restoreServer }] = await Promise.all([
      import("../server/ready.ts"),
      import("../backup/restore.ts"),
    ]);
    await checkReady([VAULT, BROKER, CONTROLLER, AGENT], context.asking);
    const ask = () => readSecret(context, context.global.passphrase_file, `passphrase of ${path}`);
    const began = performance.now();
    const progress = output.progress("restore");
    const made = await restoreServer(
      context,
      {
        kit: kitFile(path, fleet, ask),
        from: options.from,
        addresses: [...new Set(options.address.map(brokerAddress))],
        name,
        password: () => readSecret(context, options.password_file, "your password"),
      },
      progress.update,
    ).finally(() => progress.done());
    const login = loginLine(made.state.admin, made.state);
    output.begin(fleet, made.state.admin);
    output.line(
      `server   ${name} is the first server now, after ${durationText(performance.now() - began)}; from ${made.backup.name}`,
    );
    const names = made.known_as.map(hostOf).filter((host) => isIP(host) === 0);
    if (names.length > 0)
      output.line(
        `names    ${listText(names)} must lead here now: that is where hosts look for the first server`,
      );
    if (made.known_as.length === 0)
      output.line(
        `names    none: hosts look for the first server at ${listText(made.dead.map(hostOf))}, and nothing of it leads here`,
      );
    const wait_ms = made.known_as.length === 0 ? 0 : QUIET_MS;
    const back = await comeBack(context, fleet, [name, made.old_host], wait_ms);
    const gone = back.gone_at === null ? "" : ` since ${timeText(back.gone_at)}`;
    output.line(`gone     ${made.old_host} silent${gone}`);
    const lost_ms = context.now() - made.backup.at;
    output.line(
      `lost     ${durationText(lost_ms)}: telemetry since ${timeText(made.backup.at)}. What was applied since stands on the hosts: ctl plan, in your folder, says what differs`,
    );
    output.line("         what was revoked since counts again: ctl revoke it once more");
    output.line(
      output.colour.amber("backup   NOT SET on this server      ctl backup to PATH | rclone:REMOTE/PATH"),
    );
    output.line(`next     on your laptop: ${login}`);
    if (back.silent.length > 0)
      output.line(
        `         and there, in your folder: ctl join ${back.silent.join(" ")} --ssh      brings them word of the new addresses`,
      );
    output.json({
      fleet,
      host: name,
      backup: made.backup.name,
      lost_ms,
      back: back.back,
      silent: back.silent,
      gone: made.old_host,
      login,
    });
    return back.silent.length === 0 ? undefined : 4;
  },
});

async function kitText(path: string): Promise<string> {
  const text = await readText(path);
  if (text === null) throw new FleetError("USAGE", `${path}: there is no such file`);
  return text;
}

/**
 * Waits for the hosts that the backup knows, until nobody came for a while, or `^C`. `others`: this one, and the one that is gone.
 */
async function comeBack(
  context: Context,
  fleet: string,
  others: readonly [string, string],
  wait_ms: number,
): Promise<{ back: string[]; silent: string[]; gone_at: number | null }> {
  const { output, now } = context;
  const began_ms = now();
  const session = await openSession(
    { ...context, global: { ...context.global, fleet, kit: undefined } },
    { rank: "viewer" },
  );
  const connection = await session.connect();
  const progress = output.progress("hosts come back");
  let count = 0;
  let came = performance.now();
  try {
    for (;;) {
      const { views } = await hostViews(connection);
      const known = [...views.values()].filter(({ record }) => !others.includes(record.name));
      const heard = known.filter(({ heard_at }) => heard_at !== null && heard_at >= began_ms);
      const back = heard.map(({ record }) => record.name);
      const silent = known.map(({ record }) => record.name).filter((name) => !back.includes(name));
      progress.update(`${back.length} of ${known.length} hosts are back`);
      if (back.length > count) came = performance.now();
      count = back.length;
      if (silent.length > 0 && performance.now() - came < wait_ms && !context.signal.aborted) {
        await sleep(POLL_MS, undefined, { signal: context.lifetime });
        continue;
      }
      progress.done();
      if (back.length > 0)
        output.line(
          `back     ${listText(back)} in ${durationText(now() - began_ms)} (they had kept running)`,
        );
      if (silent.length > 0)
        output.line(
          `${output.colour.red("silent")}   ${listText(silent)}: not heard yet      they go on looking under the addresses that they know`,
        );
      return { back, silent, gone_at: views.get(others[1])?.heard_at ?? null };
    }
  } finally {
    progress.done();
  }
}
