/** What a host announces by its signed configuration, and what of it nobody else does. Pure. */
import type { ManifestContent } from "@muster/protocol/manifest";
import type { Bird } from "@muster/protocol/resources/bird";

/** A static route that only exists to be announced. */
const ANNOUNCED = /\broute\s+([0-9a-fA-F:.]+\/\d{1,3})\s+(?:unreachable|blackhole|prohibit|reject)\b/g;
const INCLUDE = /^[^#\n]*\binclude\s+"\/etc\/bird\/muster\.conf"\s*;/m;

/** The BIRD that is signed for a host; null when none is. */
export function signedBird(content: ManifestContent | null): Bird | null {
  const resource = content?.resources.find((each) => each.kind === "bird");
  return resource?.kind === "bird" ? resource.spec : null;
}

/** Whether its sessions can stay up in a drain: bird.conf has the drain constant. */
export const drainsGracefully = (bird: Bird) => INCLUDE.test(bird.config);

/** Prefixes that it originates: its unreachable static routes, and what `expect` says it must export. */
export function announcedBy(bird: Bird): string[] {
  const routes = [...bird.config.matchAll(ANNOUNCED)].map(([, prefix = ""]) => prefix);
  const expected = Object.values(bird.expect).flatMap((each) => each.export ?? []);
  return [...new Set([...routes, ...expected])].sort();
}

/** Of the host's prefixes those that none of the others announces. */
export function announcedAlone(bird: Bird, others: readonly Bird[]): string[] {
  const elsewhere = new Set(others.flatMap(announcedBy));
  return announcedBy(bird).filter((prefix) => !elsewhere.has(prefix));
}
