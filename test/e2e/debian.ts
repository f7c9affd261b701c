/** Debian's own packages on a lab server, for what the lab's image has not. A story asks first whether a mirror answers, and says so where none does. */
import type { Machine } from "./machine.ts";

const MIRROR = "http://deb.debian.org/debian/dists/bookworm/Release.gpg";
const ASK_MS = 5_000;
/** cloud-init brings a whole Python. */
const INSTALL_MS = 300_000;

/** Whether Debian's mirror answers here. */
export async function debianAnswers(): Promise<boolean> {
  try {
    return (await fetch(MIRROR, { method: "HEAD", signal: AbortSignal.timeout(ASK_MS) })).ok;
  } catch {
    // Whatever it is: there are no packages to be had.
    return false;
  }
}

/** Installs them as a person would. */
export async function install(machine: Machine, ...packages: readonly string[]): Promise<void> {
  const apt = "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Languages=none";
  const script = `${apt} update && ${apt} install --no-install-recommends ${packages.join(" ")}`;
  await machine.sh(script, { timeout_ms: INSTALL_MS });
}
