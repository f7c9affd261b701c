/** Which boot this is: another text after every start of the machine, and of a container, whose kernel goes on. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

/** Field 22 of /proc/PID/stat is when it was started (proc_pid_stat(5)); the name before may hold anything but ends with the last `)`. */
const START_FIELD_AFTER_NAME = 19;

export async function bootOf(): Promise<string> {
  const [id, stat] = await Promise.all(
    ["/proc/sys/kernel/random/boot_id", "/proc/1/stat"].map((path) => readFile(path, "utf8")),
  );
  const fields = (stat ?? "").slice((stat ?? "").lastIndexOf(")") + 2).split(" ");
  const started = fields[START_FIELD_AFTER_NAME] ?? "";
  return createHash("sha256").update(`${id?.trim()} ${started}`).digest("hex").slice(0, 32);
}
