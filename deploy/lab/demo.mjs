/**
 * `npm run demo`: from a fresh clone to a running fleet, with nothing prepared but Node. `npm run demo -- down` removes it. Without root and
 * Docker it is a smaller one.
 * Needs nothing installed to start: it installs first.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { install, reasonToInstall } from "../../scripts/install.mjs";
import { bringUp, takeDown } from "./bring-up.mjs";
import { cacheDirectory } from "./cache.mjs";
import { must } from "./command.mjs";
import { dockerIsToBeHad, ensureDocker } from "./docker.mjs";
import { SetupError } from "./errors.mjs";
import { ADMIN, PASSWORD } from "./hub-fleet.mjs";
import { bringPlainUp, plainIsThere, takePlainDown } from "./plain.mjs";
import { createProgress, duration } from "./progress.mjs";
import { SSH_CONFIG } from "./ssh-access.mjs";
import { openState } from "./state.mjs";

const LAB = "demo";
const USAGE = `usage: npm run demo              brings the demo fleet up, or finds it up
       npm run demo -- plain     the small one, without root and Docker: what else an ordinary user gets
       npm run demo -- down      removes all of it
`;
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** The person's own home for profiles, so that ./ctl finds the fleet without a setting. */
const operator = { root, folder: join(root, "inventory") };

/** @param {import("./progress.mjs").Progress} progress */
async function up(progress, plain = false) {
  const begun_ms = performance.now();
  checkMachine();
  if (plain || !(await dockerIsToBeHad())) return upPlain(progress, begun_ms);
  // What a person may have to add first: before minutes of anything else.
  await ensureDocker(progress);
  await build(progress);
  const { done, state } = await bringUp({ lab: LAB, operator, progress });
  if (done.length > 0) progress.say(`done: ${done.join("; ")}`);
  const took = duration((performance.now() - begun_ms) / 1000);
  process.stdout.write(
    done.length > 0
      ? `\nThe demo fleet is up (${took}): a hub with nats-server, Vault and a controller, three servers, one upstream.\n\n`
      : `\nThe demo fleet is up already; nothing was changed (${took}).\n\n`,
  );
  const code = showStatus(operator.folder);
  process.stdout.write(hints(state));
  // A red fleet is said by its table; bringing it up has failed only when it is new.
  return done.length > 0 ? code : 0;
}

/** @param {string} folder */
function showStatus(folder) {
  const program = join(root, "dist", "ctl", "ctl.cjs");
  return spawnSync(process.execPath, [program, "status"], { cwd: folder, stdio: "inherit" }).status ?? 1;
}

/** @param {import("./progress.mjs").Progress} progress */
async function build(progress) {
  const reason = reasonToInstall(root);
  if (reason !== undefined) {
    progress.say(`npm ci (${reason}), usually 20 s`);
    install(root);
  }
  await progress.step("build", { usually_s: 2 }, () =>
    must(process.execPath, [join(root, "scripts", "build.mjs")], { cwd: root }),
  );
}

/**
 * @param {import("./progress.mjs").Progress} progress
 * @param {number} begun_ms
 */
async function upPlain(progress, begun_ms) {
  await build(progress);
  const { done, state, operator: person } = await bringPlainUp(root, progress);
  if (done.length > 0) progress.say(`done: ${done.join("; ")}`);
  const took = duration((performance.now() - begun_ms) / 1000);
  process.stdout.write(`
The small demo is ${done.length > 0 ? `up (${took})` : `up already; nothing was changed (${took})`}: nats-server, Vault, a controller and three agents, as processes of yours.
Not shown without root and Docker: BGP and its guard, services, packages, users, timers, containers, reboots. As root: npm run demo

`);
  const code = showStatus(person.folder);
  process.stdout.write(`
You are ${ADMIN}, admin; the password is in ${state.path(PASSWORD)} (0600). Try, from here:
  cd demo                                         the fleet folder is demo/inventory
  $EDITOR inventory/templates/motd.j2             then ./ctl plan and ./ctl apply; ./ctl rollback takes it back
  echo hi >${state.path("hosts/core1/etc/motd")}    a hand edit: put back at once; ./ctl events tells
  kill $(pgrep -f hosts/ixp1.json)                an agent that dies: ./ctl status shows it silent; npm run demo starts it again
  npm run demo -- down                            removes all of it
`);
  return done.length > 0 ? code : 0;
}

/** @param {import("./state.mjs").State} state */
function hints(state) {
  return `
You are ${ADMIN}, admin; the password is in ${state.path(PASSWORD)} (0600). Try:
  ./ctl bgp                                       every session; ./ctl bgp ixp1 upstream for one
  $EDITOR inventory/group_vars/… host_vars/…      change a variable, then ./ctl plan and ./ctl apply
  docker exec muster-${LAB}-ixp1 systemctl stop bird       ./ctl status shows it red; ./ctl events tells
  docker exec muster-${LAB}-core1 sh -c 'echo hi >/etc/motd'   a hand edit: put back at once, with an event
  docker restart muster-${LAB}-probe1               a reboot: it comes back by itself
  ssh -F ${state.path(SSH_CONFIG)} core1    no question asked: the fleet's CA vouches for it
  npm run demo -- down                            removes all of it
`;
}

/** @param {import("./progress.mjs").Progress} progress */
async function down(progress) {
  const small = plainIsThere();
  if (small) {
    const { ended, removed } = await progress.step("ending the small demo", { usually_s: 2 }, () =>
      takePlainDown(root),
    );
    process.stdout.write(
      `The small demo is removed: ${ended} processes, ${removed.join(", ")}, your log-in to the fleet.\nKept for the next time: ${cacheDirectory()}.\n`,
    );
  }
  if (small && !existsSync(openState(LAB).directory)) return 0;
  if (!(await dockerIsToBeHad())) {
    if (!small) process.stdout.write("There is no demo of yours here.\n");
    return 0;
  }
  const directory = openState(LAB).directory;
  const count = await progress.step(`removing lab ${LAB}`, { usually_s: 3 }, () =>
    takeDown({ lab: LAB, operator }),
  );
  process.stdout.write(
    `The demo is removed: ${count} servers, their network, ${directory}, your log-in to the fleet.\n` +
      `Kept for the next time: ${cacheDirectory()} and Docker's image muster-lab.\n`,
  );
  return 0;
}

/** What no set-up can repair. */
function checkMachine() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 12))
    throw new SetupError(`Node ${process.versions.node} is too old: 20.12 or newer is needed`, {
      exit_code: 2,
    });
  if (process.platform !== "linux")
    throw new SetupError(
      `The lab runs Linux servers in Docker on this machine itself; this is ${process.platform}. Use a Linux machine, as root.`,
      { exit_code: 2 },
    );
  if (process.arch !== "x64" && process.arch !== "arm64")
    throw new SetupError(`Servers of the architecture ${process.arch} are not supported: x64 and arm64 are`, {
      exit_code: 2,
    });
}

/** @param {string[]} args */
async function main(args) {
  const progress = createProgress();
  const [command = "up", ...rest] = args;
  if (rest.length > 0 || !["up", "plain", "down"].includes(command)) {
    process.stderr.write(USAGE);
    return command === "--help" || command === "-h" ? 0 : 2;
  }
  return command === "down" ? down(progress) : up(progress, command === "plain");
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exit_code;
}
