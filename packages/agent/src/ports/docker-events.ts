/** The engine's event stream, followed through its restarts. */
import { pause } from "../wait.ts";
import type { DockerEngine } from "./docker.ts";
import type { StreamNews } from "./docker-memory.ts";

const RETRY_MS = 1_000;
/** What a health check and `docker exec` do all the time is no change. */
const QUIET = /^(exec_|top|attach|resize|archive-path|extract-to-dir|export|copy)/;

type EngineEvent = {
  readonly Type?: unknown;
  readonly Action?: unknown;
  readonly Actor?: { readonly Attributes?: Record<string, string> };
};

/** Calls `changed` for what concerns these names or Muster's own, and each time that the engine is there again; `news` hears of everything. */
export async function followEvents(
  engine: () => Promise<DockerEngine>,
  names: ReadonlySet<string>,
  changed: () => void,
  news: StreamNews,
  signal: AbortSignal,
): Promise<void> {
  for (let first = true; !signal.aborted; first = false) {
    let connected = false;
    try {
      const docker = await engine();
      const type: ("container" | "network" | "volume" | "image")[] = [
        "container",
        "network",
        "volume",
        "image",
      ];
      const stream = await docker.getEvents({ filters: { type }, abortSignal: signal });
      connected = true;
      news.opened();
      if (!first) changed();
      let rest = "";
      for await (const part of stream) {
        const lines = (rest + String(part)).split("\n");
        rest = lines.pop() ?? "";
        const events = lines.flatMap((line) => (line === "" ? [] : [eventOf(line)]));
        if (events.some((event) => !isQuiet(event))) news.happened();
        if (events.some((event) => concerns(event, names))) changed();
      }
    } catch {
      // Not there, or gone: what is red because of that is told by the loop's own look.
    }
    if (connected) news.closed();
    if (signal.aborted) return;
    if (connected) changed();
    await pause(RETRY_MS, signal);
  }
}

/** Null for what cannot be read, which may be anything. */
function eventOf(line: string): EngineEvent | null {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

const isQuiet = (event: EngineEvent | null) => typeof event?.Action === "string" && QUIET.test(event.Action);

function concerns(event: EngineEvent | null, names: ReadonlySet<string>): boolean {
  if (event === null) return true;
  // An image's name is none of ours, and what is fetched wakes nobody.
  if (event.Type === "image" || isQuiet(event)) return false;
  const attributes = event.Actor?.Attributes ?? {};
  return names.has(attributes.name ?? "") || Object.keys(attributes).some((key) => key.startsWith("muster."));
}
