/** The engine's event stream, followed through its restarts. */
import { pause } from "../wait.ts";
import type { DockerEngine } from "./docker.ts";

const RETRY_MS = 1_000;
/** What a health check and `docker exec` do all the time is no change. */
const QUIET = /^(exec_|top|attach|resize|archive-path|extract-to-dir|export|copy)/;

type EngineEvent = {
  readonly Action?: unknown;
  readonly Actor?: { readonly Attributes?: Record<string, string> };
};

/** Calls `changed` for what concerns these names or Muster's own, and each time that the engine is there again. */
export async function followEvents(
  engine: () => Promise<DockerEngine>,
  names: ReadonlySet<string>,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  for (let first = true; !signal.aborted; first = false) {
    let connected = false;
    try {
      const docker = await engine();
      const type: ("container" | "network" | "volume")[] = ["container", "network", "volume"];
      const stream = await docker.getEvents({ filters: { type }, abortSignal: signal });
      connected = true;
      if (!first) changed();
      let rest = "";
      for await (const part of stream) {
        const lines = (rest + String(part)).split("\n");
        rest = lines.pop() ?? "";
        if (lines.some((line) => line !== "" && concerns(line, names))) changed();
      }
    } catch {
      // Not there, or gone: what is red because of that is told by the loop's own look.
    }
    if (signal.aborted) return;
    if (connected) changed();
    await pause(RETRY_MS, signal);
  }
}

function concerns(line: string, names: ReadonlySet<string>): boolean {
  let event: EngineEvent;
  try {
    event = JSON.parse(line);
  } catch {
    return true;
  }
  if (typeof event.Action === "string" && QUIET.test(event.Action)) return false;
  const attributes = event.Actor?.Attributes ?? {};
  return names.has(attributes.name ?? "") || Object.keys(attributes).some((key) => key.startsWith("muster."));
}
