/** `ctl restore`: from recovery kit and backup to a fleet whose hosts have come back by themselves. */
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

const BACK_MS = 120_000;
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
    output.begin(fleet, made.state.admin);
    output.line(
      `server   ${name} is the first server now, after ${durationText(performance.now() - began)}; from ${made.backup.name}`,
    );
    if (made.old_names.length > 0)
      output.line(
        `names    ${listText(made.old_names.map(hostOf))} must lead here now: that is where hosts look for the first server`,
      );
    const back = await comeBack(context, fleet, [name, made.old_host]);
    const lost_ms = context.now() - made.backup.at;
    output.line(
      `lost     ${durationText(lost_ms)}: telemetry since ${timeText(made.backup.at)}, and whatever was applied since; ctl plan, in your folder, says what differs`,
    );
    output.line(
      output.colour.amber("backup   NOT SET on this server      ctl backup to PATH | rclone:REMOTE/PATH"),
    );
    output.line(`next     on your laptop: ${loginLine(made.state.admin, made.state)}`);
    output.json({
      fleet,
      host: name,
      backup: made.backup.name,
      lost_ms,
      back: back.back,
      silent: back.silent,
      login: loginLine(made.state.admin, made.state),
    });
    return back.silent.length === 0 ? undefined : 4;
  },
});

async function kitText(path: string): Promise<string> {
  const text = await readText(path);
  if (text === null) throw new FleetError("USAGE", `${path}: there is no such file`);
  return text;
}

/** Waits for the hosts that the backup knows; `others`: this one, and the one that is gone. */
async function comeBack(
  context: Context,
  fleet: string,
  others: readonly string[],
): Promise<{ back: string[]; silent: string[] }> {
  const { output, now } = context;
  const began_ms = now();
  const session = await openSession(
    { ...context, global: { ...context.global, fleet, kit: undefined } },
    { rank: "viewer" },
  );
  const connection = await session.connect();
  const progress = output.progress("hosts come back");
  const deadline = performance.now() + BACK_MS;
  try {
    for (;;) {
      const { views } = await hostViews(connection);
      const known = [...views.values()].filter(({ record }) => !others.includes(record.name));
      const heard = known.filter(({ heard_at }) => heard_at !== null && heard_at >= began_ms);
      const back = heard.map(({ record }) => record.name);
      const silent = known.map(({ record }) => record.name).filter((name) => !back.includes(name));
      progress.update(`${back.length} of ${known.length} hosts are back`);
      if (silent.length > 0 && performance.now() < deadline && !context.signal.aborted) {
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
          `${output.colour.red("silent")}   ${listText(silent)}: not heard yet      do they reach this machine under one of the names above?`,
        );
      return { back, silent };
    }
  } finally {
    progress.done();
  }
}
