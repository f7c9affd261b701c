/** What the stories about BIRD look at on a host, and what of the example's template they change. */
import type { Fleet, ServerName } from "./kit.ts";

export const TEMPLATE = "templates/bird.conf.j2";
/** The body of the example's filter for what peers send. */
export const GOOD_FILTER = "if net ~ [ {{ own }}+ ] then reject; accept;";

export type BirdHere = {
  /** The boot file's text. */
  boot(): Promise<string>;
  /** Boot file with its attributes, what BIRD has loaded from where, and files that a change left behind: equal = untouched. */
  seen(): Promise<{ boot: string; loaded: string; leftovers: string }>;
  /** Routes that a session imported; null while it is not up. */
  imported(session: string): Promise<number | null>;
  /** BIRD's words on its undo timer; null when none runs. */
  timer(): Promise<string | null>;
};

export function birdOn(fleet: Fleet, host: ServerName): BirdHere {
  const { sh } = fleet.on(host);
  return {
    boot: () => sh("cat /etc/bird/bird.conf"),
    async seen() {
      return {
        boot: await sh("stat -c '%a %U %G %s' /etc/bird/bird.conf; sha256sum /etc/bird/bird.conf"),
        // Filters and sessions as the daemon has them, without what counts or ages.
        loaded: await sh("birdc show symbols; birdc show protocols | awk 'NR > 2 { print $1, $2, $4 }'"),
        leftovers: (
          await sh("ls -A /etc/bird | grep -v -x -e bird.conf -e muster.conf -e envvars || true")
        ).trim(),
      };
    },
    async imported(session) {
      const found = /Routes: +(\d+) imported/.exec(await sh(`birdc show protocols all ${session}`));
      return found === null ? null : Number(found[1]);
    },
    async timer() {
      return /\bin [\d.]+ s.*/.exec(await sh("birdc configure status"))?.[0] ?? null;
    },
  };
}

/** The agent of a host forgets which sessions fell in the last hour: else they are in no guard for so long. */
export async function forgetFalls(fleet: Fleet, host: ServerName): Promise<void> {
  await fleet
    .on(host)
    .sh("systemctl stop muster-agent; rm -f /var/lib/muster-agent/flaps.json; systemctl start muster-agent");
  await fleet.answer(host);
}
