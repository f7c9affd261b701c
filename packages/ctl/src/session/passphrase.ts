/** Secrets that a person types or keeps in a file; never an argument, since every process may read those. */
import { FleetError } from "@muster/protocol/errors";
import { readText } from "../fleet/disk.ts";
import type { Context } from "../program/context.ts";

/** The file's first line, else what the person types. USAGE when the file is not there or empty. */
export async function readSecret(
  context: Context,
  file: string | undefined,
  question: string,
): Promise<string> {
  if (file === undefined) return context.output.password(question);
  const [line = ""] = ((await readText(file)) ?? "").split(/\r?\n/);
  if (line === "")
    throw new FleetError("USAGE", `${file}: there is no such file, or its first line is empty`);
  return line;
}

/** A new secret: typed twice where a person types it. */
export async function newSecret(
  context: Context,
  file: string | undefined,
  question: string,
): Promise<string> {
  const first = await readSecret(context, file, question);
  if (file === undefined && (await context.output.password(`${question}, again`)) !== first) {
    throw new FleetError("USAGE", "the two are not the same");
  }
  return first;
}
