/** The sessions that an frr.conf declares, and what the host originates: one statement a line, words by single spaces. */
import type { DeclaredBird, DeclaredSession } from "../bird/declared.ts";

type Seen = { as: number | null; internal: boolean; disabled: boolean; group: string | null; line: string };

/** Peer groups are no sessions, but what they say counts for their members. Lines that say something else are left alone. */
export function frrDeclared(text: string): Pick<DeclaredBird, "sessions" | "originated"> {
  const sessions: DeclaredSession[] = [];
  const originated: string[] = [];
  let peers = new Map<string, Seen>();
  let [vrf, local_as]: [string, number | null] = ["", null];
  const close = () => {
    for (const [name, own] of peers) {
      const group = own.group === null ? undefined : peers.get(own.group);
      const as = own.as ?? group?.as ?? (own.internal || group?.internal === true ? local_as : null);
      if (!isPeer(name, own)) continue;
      sessions.push({
        name: vrf === "" ? name : `${vrf}:${name}`,
        neighbor: name,
        as,
        dynamic: false,
        dynamic_name: null,
        disabled: own.disabled || group?.disabled === true,
        external: as === null || as !== local_as,
        statements: [{ head: [{ kind: "word", text: own.line }], body: null }],
      });
    }
    peers = new Map();
  };
  for (const raw of text.split("\n")) {
    const [first = "", second = "", third = "", fourth = "", fifth = ""] = raw.trim().split(/\s+/);
    if (first === "router") {
      close();
      [local_as, vrf] =
        second === "bgp" ? [Number(third) || null, fourth === "vrf" ? fifth : ""] : [null, ""];
    } else if (local_as === null) continue;
    else if (first === "network" && /^[0-9a-fA-F.:]+\/\d{1,3}$/.test(second)) originated.push(second);
    else if (first === "neighbor") {
      const peer = peers.get(second) ?? {
        as: null,
        internal: false,
        disabled: false,
        group: null,
        line: raw.trim(),
      };
      peers.set(second, peer);
      // `neighbor eth0 interface remote-as 64500`: unnumbered.
      const [word, value] = third === "interface" ? [fourth, fifth] : [third, fourth];
      if (word === "remote-as") [peer.as, peer.internal] = [Number(value) || null, value === "internal"];
      else if (word === "shutdown") peer.disabled = true;
      else if (word === "peer-group") peer.group = value === "" ? second : value;
    }
  }
  close();
  return { sessions, originated: [...new Set(originated)] };
}

/** `neighbor NAME peer-group` alone declares a group. */
const isPeer = (name: string, { group }: Seen): boolean => group !== name;
