/** The commands of `muster-agent`, each in a file; those of the host need neither network nor a living agent. */
import { EXCHANGE_COMMAND } from "../own-login.ts";
import type { Given } from "./arguments.ts";

export type Command = (given: Given) => Promise<number>;

export const COMMANDS: Readonly<Record<string, Command>> = {
  run: async (given) => (await import("./run.ts")).run(given),
  status: async (given) => (await import("./status.ts")).status(given),
  hold: async (given) => (await import("./hold.ts")).hold(given),
  unhold: async (given) => (await import("./hold.ts")).unhold(given),
  undo: async (given) => (await import("./undo.ts")).undo(given),
  log: async (given) => (await import("./log.ts")).log(given),
  [EXCHANGE_COMMAND]: async () => (await import("./vault-exchange.ts")).vaultExchange(),
  version: async () => (await import("./version.ts")).version(),
};

export const USAGE = `muster-agent keeps this server in its declared state. On the server, as root, with no network:

  muster-agent status [--json]                  where it stands
  muster-agent hold [KIND/NAME] 2h --why TEXT   leave this resource, or the whole host, alone
  muster-agent unhold [KIND/NAME]               end that
  muster-agent undo                             take back what is not confirmed yet
  muster-agent log [N]                          the last events
  muster-agent run                              the daemon (systemd starts it)

  --config FILE    default /etc/muster/agent.json`;
