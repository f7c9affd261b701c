/**
 * Vault paths: every segment is checked and encoded on its own, so that no name can leave its place. (`node-vault` puts
 * paths together as text, and the URL parser then resolves `..` in them.)
 */
import { FleetError } from "@muster/protocol/errors";

/**
 * A path below `/v1/`. As text, `/` separates segments; as a list, each item is one segment and may not hold `/`:
 * use the list wherever a segment is a name that comes from outside.
 */
export type VaultPath = string | readonly string[];

const SEGMENT_LIMIT = 512;
const SEGMENTS_LIMIT = 32;

/** The path, encoded. FleetError `INVALID` for empty, `.`, `..`, control characters, backslashes, and what is too long. */
export function encodePath(path: VaultPath): string {
  const segments = typeof path === "string" ? path.split("/") : path;
  if (segments.length === 0 || segments.length > SEGMENTS_LIMIT) {
    throw new FleetError("INVALID", `a Vault path has 1 to ${SEGMENTS_LIMIT} segments`);
  }
  return segments.map((segment) => encodeSegment(segment, path)).join("/");
}

/** The path as an operator reads it. */
export function showPath(path: VaultPath): string {
  return (typeof path === "string" ? path : path.join("/")).slice(0, SEGMENT_LIMIT);
}

function encodeSegment(segment: string, path: VaultPath): string {
  const odd =
    segment === "" ||
    segment === "." ||
    segment === ".." ||
    segment.length > SEGMENT_LIMIT ||
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}/\\]/u.test(segment) ||
    segment.trim() !== segment;
  if (odd) {
    throw new FleetError(
      "INVALID",
      `Vault path ${JSON.stringify(showPath(path))}: ${JSON.stringify(segment.slice(0, 80))} cannot be a segment`,
    );
  }
  // encodeURIComponent leaves !'()* alone; they are harmless in a URL, and Vault takes either form.
  return encodeURIComponent(segment);
}
