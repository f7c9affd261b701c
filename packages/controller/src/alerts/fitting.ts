/** As much of alerts and silences as fits into one reply, and how many were left out. Pure. */
import { type AlertView, FLEET_WIDE, type Silence, type SilenceView } from "@muster/protocol/alert";
import type { ControlReply } from "@muster/protocol/control/index";

/** A reply must fit into one message of 1 MiB, with what the summary takes. */
const ALERTS_BYTES = 650_000;
const SILENCES_BYTES = 250_000;
/** So many hosts of one silence are named. */
const HOSTS = 100;

type Reply = ControlReply<"alerts">;

/** `views`: what is to stay comes first. */
export function fittingAlerts(views: readonly AlertView[]): Pick<Reply, "alerts" | "left_out"> {
  const alerts = fitting(views, ALERTS_BYTES);
  return { alerts, left_out: views.length - alerts.length };
}

/** `asked`: the hosts that are asked about; none = no host in particular. */
export function fittingSilences(
  silences: readonly Silence[],
  asked: readonly string[],
): Pick<Reply, "silences" | "silences_left_out"> {
  const wanted = new Set(asked);
  const isWanted = (host: string) => host === FLEET_WIDE || wanted.has(host);
  const views = silences
    .filter(({ hosts }) => wanted.size === 0 || hosts.some(isWanted))
    .sort((one, other) => other.at - one.at)
    .map((silence) => cut(silence, isWanted));
  const told = fitting(views, SILENCES_BYTES);
  const left_out = views.length - told.length;
  return { silences: told, ...(left_out === 0 ? {} : { silences_left_out: left_out }) };
}

function cut(silence: Silence, isWanted: (host: string) => boolean): SilenceView {
  const { hosts } = silence;
  if (hosts.length <= HOSTS) return silence;
  const named = [...hosts.filter(isWanted), ...hosts.filter((host) => !isWanted(host))].slice(0, HOSTS);
  return { ...silence, hosts: named, hosts_left_out: hosts.length - named.length };
}

function fitting<Each>(all: readonly Each[], limit_bytes: number): Each[] {
  let bytes = 0;
  const end = all.findIndex((each) => {
    bytes += Buffer.byteLength(JSON.stringify(each)) + 1;
    return bytes > limit_bytes;
  });
  return end < 0 ? [...all] : all.slice(0, end);
}
