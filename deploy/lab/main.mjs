/**
 * The lab by hand: `node deploy/lab/main.mjs up|down|status|exec --lab NAME`.
 */
import { parseArgs } from "node:util";
import { codeOf, SetupError } from "./errors.mjs";
import { prepare, startFleet } from "./fleet.mjs";
import { listLabs } from "./network.mjs";
import { createProgress } from "./progress.mjs";
import { exec, findServer, listServers, removeLab } from "./servers.mjs";

const USAGE = `usage: node deploy/lab/main.mjs COMMAND [--lab NAME]      (NAME: demo)

  up                    the servers of the demo's layout: hub core1 ixp1 probe1 upstream
  status                labs and their servers
  exec SERVER -- CMD…   runs a command in a server, as root
  down                  removes the lab with everything in it
`;

/** @param {string[]} args */
async function main(args) {
  const dashes = args.indexOf("--");
  const command_line = dashes < 0 ? [] : args.slice(dashes + 1);
  const { values, positionals } = parseArgs({
    args: dashes < 0 ? args : args.slice(0, dashes),
    options: {
      lab: { type: "string", default: "demo" },
      help: { type: "boolean", short: "h", default: false },
    },
    allowPositionals: true,
  });
  const [command, ...rest] = positionals;
  const progress = createProgress();
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (command === "up" && rest.length === 0) {
    const { servers } = await startFleet(values.lab, await prepare(progress), progress);
    const made = Object.values(servers).filter((server) => server.created).length;
    const booted = Object.values(servers).filter((server) => server.booted).length - made;
    for (const server of Object.values(servers).filter((one) => one.stale)) {
      progress.say(
        `${server.name} was made with another recipe: take the lab down and up again to have the new one`,
      );
    }
    const done = [
      made > 0 ? `${made} servers made` : "",
      booted > 0 ? `${booted} servers booted that were off` : "",
    ].filter(Boolean);
    progress.say(`lab ${values.lab}: ${done.join(", ") || "all there, nothing changed"}`);
    return status(values.lab);
  }
  if (command === "status" && rest.length === 0) return status(undefined);
  if (command === "down" && rest.length === 0) {
    const count = await progress.step(`removing lab ${values.lab}`, { usually_s: 2 }, () =>
      removeLab(values.lab),
    );
    progress.say(`lab ${values.lab}: ${count} servers removed`);
    return 0;
  }
  if (command === "exec" && rest.length === 1 && command_line.length > 0) {
    const server = await findServer(values.lab, rest[0] ?? "");
    if (server === undefined) throw new SetupError(`no server ${rest[0]} in lab ${values.lab}`);
    const result = await exec(server, command_line, { timeout_ms: 3_600_000 });
    process.stdout.write(result.stdout);
    process.stderr.write(result.stderr);
    return result.code;
  }
  process.stderr.write(USAGE);
  return 2;
}

/** @param {string | undefined} only */
async function status(only) {
  const labs = only === undefined ? await listLabs() : [only];
  if (labs.length === 0) process.stdout.write("no labs\n");
  for (const lab of labs) {
    process.stdout.write(`${lab}\n`);
    for (const server of await listServers(lab)) {
      const address = `${(server.ipv4 ?? "-").padEnd(15)} ${server.ipv6}`;
      process.stdout.write(`  ${server.name.padEnd(10)} ${server.state.padEnd(8)} ${address}\n`);
    }
  }
  return 0;
}

// `… | head` closes the pipe early: nobody is left to tell.
process.stdout.on("error", (error) => {
  if (codeOf(error) !== "EPIPE") throw error;
});

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const code = codeOf(error);
  if (error instanceof SetupError) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error.exit_code;
  } else if (code.startsWith("ERR_PARSE_ARGS")) {
    process.stderr.write(`${/** @type {Error} */ (error).message}\n${USAGE}`);
    process.exitCode = 2;
  } else throw error;
}
