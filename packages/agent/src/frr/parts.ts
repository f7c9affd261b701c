/**
 * What FRR says beside its sessions comes from daemons and modules of their own. One that gives no answer, or none that can be used, takes neither the sessions
 * nor the other parts along: its own part is unknown, and a fault says so.
 */
import { FleetError } from "@muster/protocol/errors";
import type { BgpFault } from "@muster/protocol/telemetry/bgp";

/** One that was silent so long is not asked at each look, which waits for it. */
const SILENT_MS = 1_000;
const SPARED_MS = 60_000;

export type FrrLook = {
  /**
   * What `read` gives, at most `most` of it; nothing where it is not known, and nothing without a fault where FRR has no such part (UNSUPPORTED).
   * @param what names the part in the fault's sentence
   */
  part<T>(what: string, most: number, read: () => Promise<readonly T[]>): Promise<T[]>;
  /** What was not known in this look. */
  readonly faults: readonly BgpFault[];
};

/** @param now_ms a clock that is never set */
export function frrLooks(now_ms: () => number): () => FrrLook {
  const spared = new Map<string, { readonly error: FleetError; readonly until_ms: number }>();
  const told = async <T>(what: string, read: () => Promise<readonly T[]>): Promise<readonly T[]> => {
    const begun_ms = now_ms();
    const before = spared.get(what);
    if (before !== undefined && begun_ms < before.until_ms) throw before.error;
    try {
      return await read();
    } catch (error) {
      if (error instanceof FleetError && error.code === "FRR_UNREACHABLE" && now_ms() - begun_ms > SILENT_MS)
        spared.set(what, { error, until_ms: now_ms() + SPARED_MS });
      throw error;
    }
  };
  return () => {
    const faults: BgpFault[] = [];
    return {
      faults,
      async part(what, most, read) {
        try {
          return (await told(what, read)).slice(0, most);
        } catch (error) {
          if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
          if (error.code !== "UNSUPPORTED") {
            const words = `FRR does not tell of ${what}: ${error.detail}`;
            faults.push({ colour: "amber", what: words.slice(0, 500), session: null });
          }
          return [];
        }
      },
    };
  };
}
