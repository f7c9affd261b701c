/** `ctl backup`: on the first server, as root: where backups go, and one now. Each is sealed to the recovery kit. */
import { hostname } from "node:os";
import { FleetError } from "@muster/protocol/errors";
import { loadReport, loadSettings, saveReport, saveSettings } from "../backup/settings.ts";
import { withNext } from "../output/error.ts";
import { durationText, numberText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";

const TIMER = "muster-backup.timer";
const DEFAULT_KEEP = 14;

export const backup = defineCommand({
  name: "backup",
  example: `ctl backup to /mnt/backup             from now on every day, the last 14 are kept; one is made at once
ctl backup to rclone:off/as64500      what rclone knows as remote "off"
ctl backup                            one more, now`,
  async run(context) {
    const settings = await loadSettings();
    if (settings === null) {
      throw withNext(
        new FleetError("USAGE", "backups go nowhere yet, on this machine"),
        "ctl backup to PATH | rclone:REMOTE/PATH, on the first server",
      );
    }
    return backUp(context, settings);
  },
  subcommands: [
    defineCommand({
      name: "to",
      summary: "where backups go from now on, every day",
      args: "<place>",
      options: { keep: { flag: "--keep <n>", help: `how many stay there (default ${DEFAULT_KEEP})` } },
      example: "ctl backup to rclone:off/as64500 --keep 30",
      async run(context, { args, options }) {
        const keep = Number(options.keep ?? DEFAULT_KEEP);
        if (!Number.isInteger(keep) || keep < 1 || keep > 1_000)
          throw new FleetError("USAGE", `--keep ${options.keep}: must be 1 to 1000`);
        const settings = { v: 1 as const, to: args[0] ?? "", keep };
        // One that works before it is relied upon.
        const code = await backUp(context, settings);
        await saveSettings(settings);
        const { keepRunning } = await import("../server/units.ts");
        await keepRunning(TIMER, [], 10_000, context.asking);
        context.output.line(`from now on every day, the last ${keep} are kept`);
        return code;
      },
    }),
  ],
});

async function backUp(context: Context, settings: { to: string; keep: number }): Promise<undefined> {
  const { output, now } = context;
  const [{ makeBackup }, { placeOf }] = await Promise.all([
    import("../backup/make.ts"),
    import("../backup/place.ts"),
  ]);
  const place = placeOf(settings.to, context.asking);
  const began = performance.now();
  const progress = output.progress(`backup to ${settings.to}`);
  const before = await loadReport();
  const host = hostname().split(".")[0] ?? "";
  try {
    const made = await makeBackup(place, settings.keep, host, now, context.asking);
    await saveReport({ to: settings.to, ok_at: made.at, size_bytes: made.size_bytes, error: null });
    progress.done();
    output.line(
      `backup   ${made.name}  ${numberText(Math.ceil(made.size_bytes / 1024))} KiB to ${settings.to} in ${durationText(performance.now() - began)}; opens with the recovery kit only`,
    );
    output.json({ ...made, to: settings.to });
    return undefined;
  } catch (error) {
    progress.done();
    // Whoever looks at the fleet's status has to see it, and not only this terminal or a journal.
    if (
      error instanceof FleetError &&
      error.code !== "UNSUPPORTED" &&
      error.code !== "USAGE" &&
      (await loadSettings()) !== null
    )
      await saveReport({
        to: settings.to,
        ok_at: before?.ok_at ?? null,
        size_bytes: before?.size_bytes ?? null,
        error: error.message.slice(0, 2_000),
      });
    throw error;
  }
}
