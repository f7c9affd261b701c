/** Errors of the file system, as the host sees them. */
import { FleetError } from "@muster/protocol/errors";

/** Every error of the file system, told with the path as the host sees it. */
export async function told<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FleetError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new FleetError("FAILED", `${path}: ${why}`, { cause: error });
  }
}

export const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? error.code : null);
export const isMissing = (error: unknown) => codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR";
