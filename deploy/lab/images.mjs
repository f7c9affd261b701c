/**
 * The image of the example's containers. No registry answers in a lab, so it is made on the server that runs them, of the server's own busybox, and
 * pinned by its id there, as an operator would do it.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { mustCtl } from "./ctl.mjs";
import { findServer, mustExec } from "./servers.mjs";

export const IMAGE = "lab/busybox:1";
const SERVER = "core1";
const ANSWER_MS = 60_000;

const SCRIPT = `set -eu
systemctl start docker
if docker image inspect ${IMAGE} >/dev/null 2>&1; then echo there; exit; fi
root=$(mktemp -d)
mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/srv"
cp /bin/busybox "$root/bin/"
for name in sh httpd cat ls kill sleep test; do ln -s busybox "$root/bin/$name"; done
tar -C "$root" -c . | docker import - ${IMAGE} >/dev/null
rm -r "$root"
echo made
`;

/** Whether the lock has the image's line: others may have lines there while it has none. */
export const isPinned = (/** @type {string} */ text) =>
  text.split("\n").some((line) => line.startsWith(`${IMAGE} `));

/**
 * Makes the image on its server, and pins it in the operator's folder.
 * @param {import("./bring-up.mjs").Order} order
 * @returns {Promise<boolean>} whether there was anything to do
 */
export async function ensureImages({ lab, operator, progress }) {
  const lock = join(operator.folder, "images.lock");
  const server = await findServer(lab, SERVER);
  if (server === undefined) throw new Error(`no ${SERVER} in lab ${lab}`);
  return progress.step("container image", { usually_s: 6 }, async () => {
    const said = await mustExec(server, ["sh", "-c", SCRIPT]);
    if (said.trim() === "there" && existsSync(lock) && isPinned(readFileSync(lock, "utf8"))) return false;
    // Its agent may be between two connections, as after it has been let in.
    await mustCtl(operator, ["image", "update", "--on", SERVER], { patience_ms: ANSWER_MS });
    return true;
  });
}
