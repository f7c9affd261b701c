/** The agent's side of `vault-exchange.ts`: runs it in a process of its own, keys on its standard input and output, nothing in its arguments. */
import { ErrorReply, FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";
import { ownCommand } from "./own-command.ts";
import type { Run } from "./ports/run.ts";
import type { Exchanged, ExchangeOrder } from "./vault-exchange.ts";

/** The hidden command of `muster-agent`. */
export const EXCHANGE_COMMAND = "vault-exchange";
const LIMIT_MS = 60_000;

/** What the other process printed; its own words are checked where they are kept. */
const Answer = z.union([z.object({ ok: z.custom<Exchanged>() }), z.object({ error: ErrorReply })]);

/** Errors: those of `exchange`, and COMMAND_FAILED. */
export async function askVault(run: Run, order: ExchangeOrder, signal: AbortSignal): Promise<Exchanged> {
  const [file = "", ...words] = ownCommand();
  const options = { timeout_ms: LIMIT_MS, input: JSON.stringify(order) };
  const result = await run(file, [...words, EXCHANGE_COMMAND], options, signal);
  if (result.code !== 0)
    throw new FleetError("COMMAND_FAILED", `muster-agent ${EXCHANGE_COMMAND}: ${result.stderr.slice(-500)}`);
  const answer = parseJson(Answer, result.stdout, "answer about Vault");
  if ("error" in answer) throw FleetError.fromReply(answer.error);
  return answer.ok;
}
