/** BIRD on this host: a reading connection that stays, and one for changes that is opened when it is needed. */
import type { BgpSample } from "@muster/protocol";

export type CheckResult = { readonly ok: true } | { readonly ok: false; readonly words: string };

export type Routing = {
  /** Version of the BIRD that answers on its socket, else of the binary on disk; null when there is none. */
  version(signal: AbortSignal): Promise<string | null>;
  /** `configure check` by the running daemon, else `bird -p` by its binary. `path` as the host sees it. */
  check(path: string, signal: AbortSignal): Promise<CheckResult>;
  /** `configure "path" timeout s` once the check is good; waits until it is done (0003). Errors: BIRD_REFUSED with its words. */
  configure(path: string, timeout_ms: number | null, signal: AbortSignal): Promise<void>;
  /** What is pending: BIRD's own undo timer. */
  status(signal: AbortSignal): Promise<{ undo_in_ms: number | null; in_progress: boolean }>;
  confirm(signal: AbortSignal): Promise<void>;
  undo(signal: AbortSignal): Promise<void>;
  /** Every session as BIRD tells it now, not yet judged. Errors: BIRD_UNREACHABLE. */
  sessions(signal: AbortSignal): Promise<BgpSample>;
};
