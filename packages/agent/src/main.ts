/** The program `muster-agent`: the daemon and the commands of the person on the host. */
import { FleetError } from "@muster/protocol/errors";
import { parseArguments } from "./commands/arguments.ts";
import { COMMANDS, USAGE } from "./commands/index.ts";

async function main(argv: readonly string[]): Promise<number> {
  try {
    const given = parseArguments(argv);
    if (given.help) {
      process.stdout.write(`${USAGE}\n`);
      return 0;
    }
    const command = Object.hasOwn(COMMANDS, given.command) ? COMMANDS[given.command] : undefined;
    if (command === undefined)
      throw new FleetError("USAGE", `no command ${given.command || "given"}\n${USAGE}`);
    return await command(given);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    process.stderr.write(`muster-agent: ${error.message}\n`);
    return error.exit;
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    // A mistake in the program: loud, and systemd starts it again.
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(70);
  },
);
