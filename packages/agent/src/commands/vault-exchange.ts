/** `muster-agent vault-exchange`: for the daemon alone, which gives it an order on standard input and reads the answer from its output. */
import { text } from "node:stream/consumers";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { ExchangeOrder, exchange } from "../vault-exchange.ts";

export async function vaultExchange(): Promise<number> {
  const life = new AbortController();
  try {
    const order = parseJson(ExchangeOrder, await text(process.stdin), "order");
    process.stdout.write(JSON.stringify({ ok: await exchange(order, life.signal) }));
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    process.stdout.write(JSON.stringify({ error: error.toReply() }));
  } finally {
    life.abort();
  }
  return 0;
}
