/** One row of the table; that of `names`, with which many a command begins, comes without the others. */
import type { CONTROL, ControlMethod } from "./index.ts";

type Row<M extends ControlMethod> = (typeof CONTROL)[M];

export async function controlRow<M extends ControlMethod>(method: M): Promise<Row<M>> {
  if (method === "names") return (await import("./names.ts")).names as Row<M>;
  return (await import("./index.ts")).CONTROL[method];
}
