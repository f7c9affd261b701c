/**
 * The names that completion offers, from the folder around and from what this machine knows: never from the network. A folder with mistakes, or
 * none, gives fewer names and no error: nothing may be written into the line that a person is typing.
 */
import { FleetError } from "@muster/protocol/errors";
import type { Context } from "../program/context.ts";
import { folderHere } from "../roster/roster.ts";
import type { Sources } from "./candidates.ts";

/** As BIRD reads it, `template bgp` left out. */
const SESSION = /^[ \t]*protocol[ \t]+bgp[ \t]+([A-Za-z_][A-Za-z0-9_]*)/gm;

export function namesFrom(context: Context): Sources {
  const glance = quiet(async () => {
    const declared = await (await folderHere(context))?.declared(false);
    return {
      hosts: declared?.hosts.map(({ name }) => name) ?? [],
      groups: (declared?.groups ?? []).filter((name) => name !== "ungrouped"),
    };
  });
  const hosts = async () => (await glance())?.hosts ?? [];
  const groups = async () => (await glance())?.groups ?? [];
  /** Those of one host; without a host those of all. Renders the folder. */
  const resourcesOf = quiet(async (host: string) => {
    const { fleet } = (await (await folderHere(context))?.load()) ?? {};
    return [...(fleet?.hosts.values() ?? [])]
      .filter(({ name, groups }) => host === "" || host === "all" || name === host || groups.includes(host))
      .flatMap(({ resources }) => resources);
  });
  return {
    hosts,
    groups: async () => (await groups()).filter((name) => name !== "all"),
    selectors: async () => [...(await hosts()), ...(await groups())],
    refs: async (host) => unique((await resourcesOf(host))?.map(({ kind, name }) => `${kind}/${name}`)),
    sessions: async (host) =>
      unique(
        (await resourcesOf(host))?.flatMap((resource) =>
          resource.kind === "bird"
            ? [...resource.spec.config.matchAll(SESSION)].map(([, name = ""]) => name)
            : [],
        ),
      ),
    fleets: async () => {
      const { knownFleets } = await import("../session/profile.ts");
      return knownFleets(context.home);
    },
    methods: async () => (await import("@muster/protocol/rpc/row")).RPC_METHODS,
    topics: async () => {
      const { topics } = await import("../docs/topics.ts");
      return unique(topics().map(({ words }) => words.split(" ")[0] ?? ""));
    },
    eventKinds: async () => (await import("@muster/protocol/event")).EVENT_KINDS,
  };
}

const unique = (words: readonly string[] = []): string[] => [...new Set(words)].sort();

function quiet<A extends readonly string[], T>(
  ask: (...words: A) => Promise<T>,
): (...words: A) => Promise<T | undefined> {
  return async (...words) => {
    try {
      return await ask(...words);
    } catch (error) {
      if (error instanceof FleetError) return undefined;
      throw error;
    }
  };
}
