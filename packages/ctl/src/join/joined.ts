/** A host that has joined, in a sentence: what it is, and what its BGP sessions do. Pure. */
import type { HostView } from "@muster/protocol/record";
import { countText, durationText, listText } from "../output/words.ts";

export type Joined = {
  readonly os: string;
  /** BIRD's version; null where none answers. */
  readonly bird: string | null;
  readonly sessions: { readonly seen: number; readonly down: readonly string[] };
};

export function joinedOf({ record, bgp }: Pick<HostView, "record" | "bgp">): Joined {
  const sessions = bgp?.sessions ?? [];
  const down = sessions.filter(({ state }) => state !== "established").map(({ name }) => name);
  return {
    // `Debian GNU/Linux 12 (bookworm)` says no more than `Debian 12`.
    os: record.os.replace(" GNU/Linux", "").replace(/ \([^)]*\)$/, ""),
    bird: bgp?.daemon.reachable === true ? bgp.daemon.version : null,
    sessions: { seen: sessions.length, down },
  };
}

/** How it came: joined now, was in before, or was in and is back. */
export type Arrival = { readonly state: "joined" | "already" | "back"; readonly took_ms: number };

/** `joined in 6 s   Debian 12, BIRD 2.0.12, 3 sessions seen, 1 down: locix_rs1` */
export function joinedText({ os, bird, sessions }: Joined, { state, took_ms }: Arrival): string {
  const { seen, down } = sessions;
  const routing = bird === null ? [] : [`BIRD ${bird}`, `${countText(seen, "session")} seen`];
  const broken = down.length === 0 ? [] : [`${down.length} down: ${listText(down, 4)}`];
  const took = durationText(took_ms);
  const when = { joined: `joined in ${took}`, already: "is in already", back: `is back after ${took}` }[
    state
  ];
  return `${when}   ${[os, ...routing, ...broken].join(", ")}`;
}
