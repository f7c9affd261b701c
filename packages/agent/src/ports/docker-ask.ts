/** One question to the engine, or one order: with its limit in time, and errors in the engine's words. */
import { FleetError } from "@muster/protocol/errors";
import type { DockerEngine } from "./docker.ts";
import { refusal, statusOf } from "./docker-words.ts";

/** One call with its limit; `missing` is the answer to 404. */
export const asking =
  (engine: () => Promise<DockerEngine>, socket: string) =>
  async <T, M = never>(
    what: string,
    limit_ms: number,
    signal: AbortSignal,
    work: (docker: DockerEngine, abortSignal: AbortSignal) => Promise<T>,
    missing?: { readonly answer: M; readonly also?: readonly number[] },
  ): Promise<T | M> => {
    if (signal.aborted) throw new FleetError("CANCELLED", what);
    const life = new AbortController();
    let late = false;
    try {
      const docker = await engine();
      // One that aborted meanwhile tells nobody any more.
      signal.throwIfAborted();
      return await new Promise<T>((resolve, reject) => {
        // The library drops a call whose answer breaks off, as when the engine stops just then, and nothing would ever wake who waits for it. A timer
        // and a listener that are held here do, whatever became of the call, and are let go of with it: the signal is the agent's own.
        const over = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", stop);
        };
        const stop = () => {
          over();
          life.abort(signal.reason);
          reject(life.signal.reason);
        };
        const timer = setTimeout(() => {
          late = true;
          stop();
        }, limit_ms);
        signal.addEventListener("abort", stop, { once: true });
        work(docker, life.signal).then(resolve, reject).finally(over);
      });
    } catch (error) {
      const status = statusOf(error);
      if (missing !== undefined && status !== null && [404, ...(missing.also ?? [])].includes(status))
        return missing.answer;
      if (signal.aborted) throw new FleetError("CANCELLED", what, { cause: error });
      if (late)
        throw new FleetError("DOCKER_UNREACHABLE", `${what}: no answer within ${limit_ms / 1_000} s`, {
          cause: error,
        });
      throw refusal(what, error, socket);
    }
  };
