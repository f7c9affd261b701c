/**
 * Every lab server runs a systemd of its own, and all of them share the kernel's limit of inotify instances a user: at the usual 128 the units of
 * the third lab fail at boot. Raised until the next reboot of this machine, and said so.
 */
import { readFileSync, writeFileSync } from "node:fs";

const LIMIT = "/proc/sys/fs/inotify/max_user_instances";
/** A server takes about eight. */
const WANTED = 1_024;

/** @param {import("./progress.mjs").Progress} progress */
export function ensureInotify(progress) {
  const now = Number(readFileSync(LIMIT, "utf8"));
  if (now >= WANTED) return;
  try {
    writeFileSync(LIMIT, String(WANTED));
    progress.say(`fs.inotify.max_user_instances raised from ${now} to ${WANTED} until the next reboot`);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    progress.say(
      `fs.inotify.max_user_instances is ${now} and cannot be raised (${words}): more than two labs at once will not boot`,
    );
  }
}
