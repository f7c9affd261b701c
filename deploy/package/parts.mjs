/**
 * Everything that goes into packages: executables, the programs of other makers, ctl's manual page and completions. What stands in the cache is not
 * made again.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AGENT_V8_FLAGS } from "../agent/v8-flags.mjs";
import { must } from "../lab/command.mjs";
import { ensureNodeRuntime } from "../lab/node-runtime.mjs";
import { ensureTools } from "../lab/tools.mjs";
import { ensureExecutable } from "./executable.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Which program is in which package. */
const PROGRAMS = {
  agent: {
    bundle: "agent.cjs",
    name: "muster-agent",
    v8_flags: AGENT_V8_FLAGS,
    within: ["muster-agent", "muster"],
  },
  ctl: { bundle: "ctl/main.cjs", name: "ctl", v8_flags: [], within: ["muster-ctl", "muster"] },
  controller: { bundle: "controller.cjs", name: "muster-controller", v8_flags: [], within: ["muster"] },
};

/**
 * @param {readonly string[]} names of the packages
 * @param {{ version: string, epoch_s: number }} of
 * @param {import("../lab/progress.mjs").Progress} progress
 * @returns {Promise<import("./contents.mjs").Parts>}
 */
export async function makeParts(names, { version, epoch_s }, progress) {
  const node = await ensureNodeRuntime(progress);
  const bundles = mkdtempSync(join(tmpdir(), "muster-bundles-"));
  try {
    const wanted = Object.entries(PROGRAMS).filter(([, { within }]) =>
      names.some((name) => within.includes(name)),
    );
    const build = [join(ROOT, "scripts", "build.mjs"), "--out", bundles, "--version", version];
    await must(process.execPath, [...build, ...wanted.map(([program]) => program)], { cwd: ROOT });
    const made = await Promise.all(
      wanted.map(async ([program, { bundle, name, v8_flags }]) => [
        program,
        await ensureExecutable({ name, bundle: join(bundles, bundle), node, v8_flags }, progress),
      ]),
    );
    const { agent = "", ctl = "", controller = "" } = Object.fromEntries(made);
    const tools = names.includes("muster") ? await ensureTools(progress) : undefined;
    const page = join(bundles, "dashboard");
    if (names.includes("muster")) await must(process.execPath, [...build, "dashboard"], { cwd: ROOT });
    return {
      executables: { agent, ctl, controller },
      node_licence: join(node.directory, "LICENSE"),
      ...(ctl === "" ? {} : { typed: await whatIsTyped(ctl, epoch_s) }),
      ...(names.includes("muster") && { page: await pageFiles(page) }),
      ...(tools && { tools: { "nats-server": tools["nats-server"].path, vault: tools.vault.path } }),
    };
  } finally {
    rmSync(bundles, { recursive: true, force: true });
  }
}

/**
 * The web page's files, kept: their directory goes with this function's caller.
 * @param {string} directory
 */
async function pageFiles(directory) {
  const names = await readdir(directory);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name))])),
  );
}

/**
 * Manual page and completions, from the table of commands.
 * @param {string} ctl
 * @param {number} epoch_s
 */
async function whatIsTyped(ctl, epoch_s) {
  const shell = async (/** @type {string} */ name) => (await must(ctl, ["completion", name])).stdout;
  const manual = ["--import", "tsx", join(ROOT, "scripts", "manual.ts"), String(epoch_s)];
  const [page, bash, zsh, fish] = await Promise.all([
    must(process.execPath, manual, { cwd: ROOT }),
    ...["bash", "zsh", "fish"].map(shell),
  ]);
  return { manual: page.stdout, bash, zsh, fish };
}
