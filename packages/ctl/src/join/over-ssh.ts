/**
 * The agent on a server, over the person's own ssh: looks what is there, brings the package where it is missing, and the join string by standard input;
 * to one that is in and does not find its brokers, where these are now.
 */
import { Readable } from "node:stream";
import { FleetError } from "@muster/protocol/errors";
import { withNext } from "../output/error.ts";
import { runProgram } from "../server/run.ts";
import { sshWords, type Target } from "./targets.ts";

const LOOK_MS = 30_000;
const INSTALL_MS = 300_000;

/** Whoever logs in, what follows is root's; without a password, as nobody is there to type one. */
const AS_ROOT = `run=; [ "$(id -u)" = 0 ] || run="sudo -n"`;

const LOOK = `${AS_ROOT}
$run true || { echo "$(id -un) may not become root without a password (sudo -n)" >&2; exit 1; }
command -v systemctl >/dev/null && command -v dpkg >/dev/null || { echo "this is no Debian with systemd" >&2; exit 1; }
if $run test -e /var/lib/muster-agent/credentials.json; then echo joined
elif command -v muster-agent >/dev/null; then echo installed
else echo bare; fi`;

/** Standard input: the join string, and behind its line the package, or nothing when one is there. Neither is ever an argument. */
const INSTALL = `set -eu
${AS_ROOT}
umask 077
IFS= read -r text
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cat >"$directory/muster-agent.deb"
$run install -d -m 0755 /etc/muster
printf '%s\\n' "$text" | $run sh -c 'umask 077; cat >/etc/muster/join'
if [ -s "$directory/muster-agent.deb" ]; then
  chmod 0755 "$directory"; chmod 0644 "$directory/muster-agent.deb"
  $run env DEBIAN_FRONTEND=noninteractive apt-get -y -q install --no-install-recommends "$directory/muster-agent.deb" >"$directory/apt" 2>&1 ||
    { tail -n 4 "$directory/apt" >&2; exit 1; }
fi
$run systemctl enable --quiet --now muster-agent`;

/** Standard input: the fleet string. The agent reads it whenever it looks for its brokers, and believes only whom it knows. */
const LEAD = `set -eu
${AS_ROOT}
IFS= read -r text
$run install -d -m 0755 /etc/muster
printf '%s\\n' "$text" | $run sh -c 'cat >/etc/muster/fleet.part && mv /etc/muster/fleet.part /etc/muster/fleet'
$run systemctl enable --quiet --now muster-agent`;

export type Found = "joined" | "installed" | "bare";

/** What the server has. Errors: FAILED with ssh's own words. */
export async function lookAt(target: Target, signal: AbortSignal): Promise<Found> {
  const said = (await ssh(target, LOOK, { timeout_ms: LOOK_MS }, signal)).trim().split("\n").at(-1);
  if (said === "joined" || said === "installed" || said === "bare") return said;
  throw new FleetError("FAILED", `${target.name} answers ${JSON.stringify(said)}`);
}

/** Installs where `deb` is given, writes the join string, starts the agent. Errors: FAILED with the server's own words. */
export async function bringIn(
  target: Target,
  join: string,
  deb: Uint8Array | null,
  signal: AbortSignal,
): Promise<void> {
  const parts = [Buffer.from(`${join}\n`), ...(deb === null ? [] : [deb])];
  await ssh(target, INSTALL, { timeout_ms: INSTALL_MS, input: Readable.from(parts) }, signal);
}

/** Tells a host that is in where the brokers are now. Errors: FAILED with the server's own words. */
export async function leadTo(target: Target, fleet_string: string, signal: AbortSignal): Promise<void> {
  await ssh(target, LEAD, { timeout_ms: LOOK_MS, input: `${fleet_string}\n` }, signal);
}

/** What the agent says of itself, for a host that does not come. */
export async function agentSays(target: Target, signal: AbortSignal): Promise<string> {
  const script = "systemctl show muster-agent --property=StatusText --value";
  return (await ssh(target, script, { timeout_ms: LOOK_MS }, signal)).trim();
}

async function ssh(
  target: Target,
  script: string,
  options: { timeout_ms: number; input?: Readable | string },
  signal: AbortSignal,
): Promise<string> {
  // Whatever shell the other side logs in to.
  const command = `exec sh -c '${script.replaceAll("'", `'\\''`)}'`;
  const { code, stdout, stderr } = await runProgram("ssh", [...sshWords(target), command], options, signal);
  if (code === 0) return stdout;
  const words = stderr.trim().split("\n").slice(-4).join("; ");
  const failed = new FleetError("FAILED", `${target.name}: ${words || `ssh ended with ${code}`}`);
  const { user, address } = target;
  const by_hand = `ssh ${user === undefined ? address : `${user}@${address}`}`;
  throw code === 255 ? withNext(failed, `log in once by hand: ${by_hand}`) : failed;
}
