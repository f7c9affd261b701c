/**
 * The agent on the lab's managed servers: its program, its units and its join string, in place before the first boot, so that a
 * server enrols by itself when it boots. Later runs deliver a program that has changed. Node and program lie apart here, unlike in
 * the package: a changed program is 2 MB then, and not 110 (`test/e2e/package.test.ts` runs the package).
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { agentUnits } from "../agent/units.mjs";
import { AGENT_V8_FLAGS } from "../agent/v8-flags.mjs";
import { copyIn, exec, mustExec } from "./servers.mjs";

const MARK = "/usr/lib/muster-agent/.delivered";
const JOIN = "/etc/muster/join";

/** Where Node lies for the agent: mounted, since it is large and the same for all. */
export const AGENT_NODE = "/usr/lib/muster-agent/node";

const LAUNCHER = `#!/bin/sh
exec ${AGENT_NODE}/bin/node ${AGENT_V8_FLAGS.join(" ")} /usr/lib/muster-agent/agent.cjs "$@"
`;

/**
 * The agent, enabled at boot.
 * @param {string} root of the clone, built
 * @returns {Record<string, import("./archive.mjs").Entry>}
 */
export function agentFiles(root) {
  const program = join(root, "dist", "agent.cjs");
  const units = agentUnits();
  /** @type {Record<string, import("./archive.mjs").Entry>} */
  const files = {
    "/usr/lib/muster-agent/": {},
    "/usr/lib/muster-agent/agent.cjs": { from: program },
    "/usr/bin/muster-agent": { content: LAUNCHER, mode: 0o755 },
    ...units,
  };
  for (const [path, { from }] of Object.entries(units)) {
    const unit = path.slice(path.lastIndexOf("/") + 1);
    for (const [, targets = ""] of readFileSync(from, "utf8").matchAll(/^WantedBy=(.*)$/gm))
      for (const target of targets.split(/\s+/).filter(Boolean))
        files[`/etc/systemd/system/${target}.wants/${unit}`] = { link: path };
  }
  files[MARK] = { content: `${hashOf(files)}\n` };
  return files;
}

/**
 * @param {string} text the join string
 * @returns {Record<string, import("./archive.mjs").Entry>}
 */
export function joinFile(text) {
  return { "/etc/muster/": {}, [JOIN]: { content: `${text}\n`, mode: 0o600 } };
}

/**
 * Delivers the agent to a running server, if it has another one.
 * @param {import("./servers.mjs").Server} server
 * @param {string} root of the clone, built
 * @returns {Promise<boolean>} whether there was anything to deliver
 */
export async function updateAgent(server, root) {
  const files = agentFiles(root);
  const { stdout } = await exec(server, ["cat", MARK]);
  if (stdout === files[MARK]?.content) return false;
  await copyIn(server, files);
  await mustExec(server, ["sh", "-c", "systemctl daemon-reload && systemctl restart muster-agent.service"]);
  return true;
}

/**
 * Gives a running server that is not enrolled a new join string.
 * @param {import("./servers.mjs").Server} server
 * @param {string} text the join string
 */
export async function joinAgain(server, text) {
  await copyIn(server, joinFile(text));
  await mustExec(server, ["systemctl", "restart", "muster-agent.service"]);
}

/** @param {Record<string, import("./archive.mjs").Entry>} files */
function hashOf(files) {
  const hash = createHash("sha256");
  for (const [path, { content = "", from, link = "" }] of Object.entries(files))
    hash.update(`${path}\0${link}\0`).update(from === undefined ? content : readFileSync(from));
  return hash.digest("hex");
}
