/** What `ctl` did without a controller goes into the audit afterwards, under the name of who did it. */
import { callController } from "@muster/ports/call";
import type { ControlRequest } from "@muster/protocol/control/index";
import { FleetError } from "@muster/protocol/errors";
import type { Context } from "../program/context.ts";
import type { Connection } from "./session.ts";

const NOTE_MS = 3_000;

export type Act = Pick<ControlRequest<"note">, "what" | "target" | "result">;

/** What is done stays done: where it cannot be recorded, the person is told, and false comes back. */
export async function noteAct(
  context: Context,
  session: { connect(): Promise<Pick<Connection, "bus" | "signer" | "now">> },
  act: Act,
): Promise<boolean> {
  try {
    const short = { ...act, target: act.target.slice(0, 300) };
    await callController(await session.connect(), "note", short, { timeout_ms: NOTE_MS });
    return true;
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    context.output.note(context.output.colour.amber(`the audit does not say so: ${error.message}`));
    return false;
  }
}
