/** The first server's own agent: it joins like any other, by a join string that the person has just signed. */
import { access } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { writeText } from "../fleet/disk.ts";
import type { Changes } from "../fleet/vault-setup.ts";
import { joinString } from "../join/claims.ts";
import { hostLogins } from "../join/host-logins.ts";
import { withNext } from "../output/error.ts";
import type { Session } from "../session/session.ts";
import { AGENT } from "./ready.ts";
import { keepRunning, unitState } from "./units.ts";

const JOIN_FILE = "/etc/muster/join";
const CREDENTIALS = "/var/lib/muster-agent/credentials.json";
const LIFE_MS = 15 * 60_000;
const JOIN_MS = 30_000;
const START_MS = 30_000;
const POLL_MS = 200;

/** Whether this machine's agent is in a fleet. */
export const hasJoined = (): Promise<boolean> =>
  access(CREDENTIALS).then(
    () => true,
    () => false,
  );

/** Has the agent run, and join if it has not. `session` is asked for only then. Errors: FAILED with the agent's own words. */
export async function joinHere(
  name: string,
  session: () => Promise<Pick<Session, "fleet" | "profile" | "signer">>,
  vault: Vault,
  changes: Changes,
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  if (await hasJoined()) {
    if (await keepRunning(AGENT.unit, [], START_MS, signal)) changes.made.push(AGENT.unit);
    return;
  }
  const text = await joinString(
    await session(),
    await hostLogins(vault),
    { name, groups: [], networks: [], not_after: now() + LIFE_MS },
    now(),
  );
  await writeText(JOIN_FILE, `${text}\n`);
  await keepRunning(AGENT.unit, [], START_MS, signal);
  const deadline = performance.now() + JOIN_MS;
  while (!(await hasJoined())) {
    if (performance.now() > deadline) {
      const { says } = await unitState(AGENT.unit, signal);
      throw withNext(
        new FleetError("FAILED", `${name} did not join in ${JOIN_MS / 1_000} s; its agent says: ${says}`),
        "journalctl -u muster-agent, then the same ctl init line again",
      );
    }
    await sleep(POLL_MS, undefined, { signal });
  }
  changes.made.push(`${name} joined`);
}
