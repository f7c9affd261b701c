/** A log-in at Vault for hosts that are in the fleet and have none: a token of the person's own, sealed to each host. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { callOne } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import { checkCurve, type LoginToken } from "@muster/protocol/rpc/login";
import { createCurvePair, sealTo } from "@muster/protocol/sealed";
import type { HostLogins } from "../join/host-logins.ts";
import type { Connection } from "../session/session.ts";

const TOKEN_S = 600;
const TAKE_MS = 20_000;
const POLL_MS = 200;

export type LoginGiven = {
  readonly name: string;
  readonly state: "given" | "already" | "failed";
  readonly until: number | null;
  readonly error: FleetError | null;
};

/** Gives one host a log-in, unless it has one; `anew` also then. Errors are in the result. */
export async function giveLogin(
  connection: Connection,
  logins: HostLogins,
  host: { readonly name: string; readonly id: string },
  anew: boolean,
  signal: AbortSignal,
): Promise<LoginGiven> {
  const { name, id } = host;
  try {
    const { curve, proof, until } = await callOne(connection, id, "login", {}, { signal });
    if (until !== null && until > connection.now() && !anew)
      return { name, state: "already", until, error: null };
    // The controllers' word for the curve key would let them open what is sealed to it.
    checkCurve(id, curve, proof);
    const instance = randomBytes(16).toString("hex");
    const token: LoginToken = {
      token: await logins.token(name, instance, TOKEN_S),
      instance,
      until: connection.now() + TOKEN_S * 1_000,
    };
    const pair = createCurvePair();
    const box = Buffer.from(sealTo(curve, Buffer.from(JSON.stringify(token)), pair)).toString("base64");
    await callOne(connection, id, "login", { sealed: { from: pair.public, box } }, { signal });
    return { name, state: "given", until: await taken(connection, id, until, signal), error: null };
  } catch (error) {
    if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
    return { name, state: "failed", until: null, error };
  }
}

/** Waits until the host has used the token. Errors: VAULT_UNREACHABLE when it could not, as far as can be seen from here. */
async function taken(
  connection: Connection,
  id: string,
  before: number | null,
  signal: AbortSignal,
): Promise<number> {
  const deadline = performance.now() + TAKE_MS;
  for (;;) {
    const { until, pending } = await callOne(connection, id, "login", {}, { signal });
    if (!pending && until !== null && until !== before) return until;
    if (!pending) throw new FleetError("VAULT_REFUSED", "the host was refused: ctl events says why");
    if (performance.now() > deadline)
      throw new FleetError(
        "VAULT_UNREACHABLE",
        `from the host, within ${TAKE_MS / 1_000} s; it goes on trying for ${TOKEN_S / 60} min`,
      );
    await sleep(POLL_MS, undefined, { signal });
  }
}
