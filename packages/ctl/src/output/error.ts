/** How an error is told: what happened, where, and the next command to type. */
import type { ErrorCode, FleetError } from "@muster/protocol/errors";
import type { Colour } from "./colour.ts";

/** What a person does next where the thrower knows no better. */
const NEXT: Partial<Record<ErrorCode, string>> = {
  NOT_LOGGED_IN: "ctl login",
  BUS_UNREACHABLE: "is nats-server running there, and is 4222/tcp open from here?",
  VAULT_SEALED:
    "ctl unseal --kit FILE (your own Vault: vault operator unseal), or go on without it: --kit FILE",
  VAULT_UNREACHABLE: "is Vault running there? Without it: --kit FILE",
  NO_RESPONDER: "is muster-controller running? systemctl status muster-controller",
  CLOCK_SKEW: "set the clock: timedatectl",
  ROLLOUT_BUSY: "ctl status",
  CONFLICT: "look again and repeat: ctl plan",
  OVERWRITE: "ctl plan, then ctl apply --overwrite",
  VOIDED: "ctl login",
};

/** Says what to type next; it is printed as the error's last line. */
export function withNext<E extends FleetError>(error: E, next: string): E {
  return Object.assign(error, { next });
}

/** Lines for standard error. */
export function errorLines(error: FleetError, colour: Colour): string[] {
  const next = "next" in error && typeof error.next === "string" ? error.next : NEXT[error.code];
  const [first = "", ...rest] = error.message.split("\n");
  return [
    `${colour.red("error")}  ${first}`,
    ...rest.map((line) => `       ${line}`),
    ...(next === undefined ? [] : [`${colour.bold("next")}   ${next}`]),
  ];
}
