/** The accounts as a running broker holds them, read and written with an admin's rights in account SYS. */
import type { Bus } from "@muster/ports/bus";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";

const TIMEOUT_MS = 10_000;

/** Public account nkey → JWT. A server answers with lines `<account>|<jwt>` and ends with an empty message. */
export async function heldAccounts(system: Pick<Bus, "collect">): Promise<Map<string, string>> {
  const held = new Map<string, string>();
  const options = { timeout_ms: TIMEOUT_MS };
  await system.collect("$SYS.REQ.CLAIMS.PACK", new Uint8Array(), options, (message) => {
    const text = Buffer.from(message.body).toString();
    for (const line of text.split("\n")) {
      const [key, jwt] = line.split("|");
      if (key !== undefined && jwt !== undefined) held.set(key, jwt);
    }
    return text === "";
  });
  return held;
}

const Updated = z.object({ error: z.object({ description: z.string() }).optional() });

/** Gives an account's newer JWT to the broker, which tells its cluster. Errors: FAILED with the broker's words. */
export async function pushAccount(system: Pick<Bus, "request">, jwt: string): Promise<void> {
  const options = { timeout_ms: TIMEOUT_MS };
  const answer = await system.request("$SYS.REQ.CLAIMS.UPDATE", Buffer.from(jwt), options);
  const { error } = parseJson(Updated, answer.body, "the broker's answer to an account");
  if (error !== undefined)
    throw new FleetError("FAILED", `the broker takes an account not: ${error.description}`);
}
