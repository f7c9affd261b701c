/** Hands a signed release to the controllers: every manifest staged, then the order, which takes the generation by compare-and-set. */
import { type Caller, callController } from "@muster/ports/call";
import type { SignedRelease } from "./sign.ts";

/** As many `ctl.stage` calls at once: a controller takes sixteen at a time and keeps a queue of a thousand. */
const PARALLEL = 32;

/** Errors: CONFLICT when somebody took the generation first, ROLLOUT_BUSY, NO_RESPONDER, and what a controller found wrong. */
export async function handOver(
  caller: Caller,
  signed: SignedRelease,
  staged: (count: number) => void,
): Promise<void> {
  const rollout = signed.release.id;
  const queue = [...signed.manifests];
  let done = 0;
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      await callController(caller, "stage", { rollout, id: next.id, manifest: next.envelope });
      done += 1;
      staged(done);
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, queue.length) }, work));
  await callController(caller, "apply", { rollout, release: signed.envelope });
}
