/**
 * GoBGP on this host, behind the same questions as BIRD and FRR. What speaks gRPC is loaded with the first of them, so that a host without GoBGP does not
 * carry it.
 */
import type { Speaker } from "./frr.ts";

export type GobgpOptions = {
  /** `host:port`, or the path of a Unix socket. */
  readonly address: string;
  readonly now?: () => number;
  readonly reply_ms?: number;
};

/** Makes the port; nothing is opened before the first call. `signal` is its lifetime. */
export function createGobgp(options: GobgpOptions, signal: AbortSignal): Speaker {
  let loaded: Promise<Speaker> | null = null;
  const speaker = () => {
    loaded ??= import("./gobgp-speaker.ts").then(({ speakGobgp }) => speakGobgp(options, signal));
    return loaded;
  };
  return {
    survey: async (caller) => (await speaker()).survey(caller),
    table: async (caller) => (await speaker()).table(caller),
    originated: async (caller) => (await (await speaker()).originated?.(caller)) ?? [],
    exported: async (session, prefixes, caller) => (await speaker()).exported(session, prefixes, caller),
  };
}
