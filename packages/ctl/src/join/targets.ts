/** How the person's own ssh reaches hosts of the folder: `ansible_host`, `ansible_user`, `ansible_port`, as Ansible reads them. */
import { FleetError } from "@muster/protocol/errors";
import type { LoadedFleet } from "../inventory/fleet.ts";

export type Target = {
  readonly name: string;
  readonly address: string;
  /** undefined: whoever the person's ssh configuration says. */
  readonly user: string | undefined;
  readonly port: number | undefined;
};

/** A word that ssh cannot take for an option, nor a shell for more than one word. */
const WORD = /^[A-Za-z0-9_.:%][A-Za-z0-9_.:%@+-]{0,252}$/;

/** Errors: INVENTORY with every host whose variables make no target. */
export function sshTargets({ fleet }: LoadedFleet, names: readonly string[]): Target[] {
  const problems: string[] = [];
  const targets = names.map((name): Target => {
    const variables = fleet.hosts.get(name)?.variables;
    const text = (variable: string): string | undefined => {
      const value = variables?.get(variable);
      if (value === undefined || value === null) return undefined;
      const word = String(value);
      if (!WORD.test(word))
        problems.push(`${name}: ${variable} must be one word, is ${JSON.stringify(word)}`);
      return word;
    };
    const port = text("ansible_port");
    if (port !== undefined && !/^\d{1,5}$/.test(port))
      problems.push(`${name}: ansible_port must be a number`);
    return {
      name,
      address: text("ansible_host") ?? name,
      user: text("ansible_user"),
      port: port === undefined ? undefined : Number(port),
    };
  });
  if (problems.length > 0) throw new FleetError("INVENTORY", `\n${problems.join("\n")}`);
  return targets;
}

/** What is given to ssh before the command. It asks nothing: many may run at once. */
export function sshWords({ address, user, port }: Target): string[] {
  return [
    ...["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15"],
    ...(port === undefined ? [] : ["-p", String(port)]),
    user === undefined ? address : `${user}@${address}`,
  ];
}
