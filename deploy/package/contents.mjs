/**
 * What is in the packages: `muster-agent` for every server, `muster-ctl` for people's machines, `muster` for the first server, which has both and
 * broker, Vault and controller. Units and their places are those that the lab uses.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { agentUnits } from "../agent/units.mjs";
import { serviceFiles } from "../systemd/files.mjs";
import { copyright, NODE_LICENCE } from "./copyright.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const SCRIPTS = ["postinst", "prerm", "postrm"];
/** By the symbols in Node's own binary: GLIBC_2.28, GLIBCXX_3.4.21 (GCC 5), CXXABI_1.3.11 (GCC 7). Debian 10 and newer. */
const NODE_NEEDS = "libc6 (>= 2.28), libgcc-s1 (>= 3.4) | libgcc1, libstdc++6 (>= 7)";
/** `execArgv` of the executables needs no more; systemd-run, -notify and -sysusers are systemd's. */
const SYSTEMD = "systemd (>= 241), init-system-helpers (>= 1.54)";

/**
 * @typedef {object} Parts files of this machine
 * @property {{ agent: string, ctl: string, controller: string }} executables
 * @property {{ "nats-server": string, vault: string }} [tools]
 * @property {string} node_licence
 * @property {Record<string, Buffer>} [page] the web page: files by name
 * @property {Record<"manual" | "bash" | "zsh" | "fish", string>} [typed] ctl(1) and the completions of ctl
 */

/**
 * @param {"muster-agent" | "muster-ctl" | "muster"} name
 * @param {string} version
 * @param {Parts} parts
 * @returns {import("./deb.mjs").Package}
 */
export function packageOf(name, version, parts) {
  return { name, version, ...CONTENTS[name](version, parts) };
}

const CONTENTS = {
  /**
   * @param {string} _version
   * @param {Parts} parts
   */
  "muster-agent": (_version, parts) => ({
    fields: {
      Depends: `${NODE_NEEDS}, ${SYSTEMD}`,
      Recommends: "iproute2, iputils-ping",
      Suggests: "bird2",
      Description: description("agent of the Muster fleet manager", [
        "Keeps this server in its declared state over NATS, and takes back by itself",
        "what would cut it off. It needs a join string in /etc/muster/join, and nothing",
        "else: see muster-agent(8).",
      ]),
    },
    files: { ...agentFiles(parts), ...documents("muster-agent", parts) },
    scripts: scripts("agent"),
  }),

  /**
   * @param {string} _version
   * @param {Parts} parts
   */
  "muster-ctl": (_version, parts) => ({
    fields: {
      Depends: NODE_NEEDS,
      Recommends: "openssh-client",
      Suggests: "git, bash-completion",
      Description: description("command line of the Muster fleet manager", [
        "What an operator types: plan, apply, status, bgp and the rest, from a folder",
        "of plain files that says what each server should be.",
      ]),
    },
    files: { ...ctlFiles(parts), ...documents("muster-ctl", parts) },
    scripts: {},
  }),

  /**
   * @param {string} version
   * @param {Parts} parts
   */
  muster: (version, parts) => {
    if (parts.tools === undefined) throw new Error("package muster has nats-server and vault in it");
    return {
      fields: {
        Depends: `${NODE_NEEDS}, ${SYSTEMD}, logrotate`,
        Recommends: "iproute2, iputils-ping, openssh-client",
        Suggests: "bird2, git, bash-completion",
        Provides: `muster-agent (= ${version}), muster-ctl (= ${version})`,
        Conflicts: "muster-agent, muster-ctl, nats-server, vault",
        Replaces: "muster-agent, muster-ctl",
        Description: description("first server of a Muster fleet", [
          "Agent, ctl, controller, NATS server and Vault in one package, so that",
          "`ctl init` makes a fleet on a bare server. Other servers need muster-agent,",
          "people's machines muster-ctl.",
        ]),
      },
      files: {
        ...agentFiles(parts),
        ...ctlFiles(parts),
        ...serviceFiles(),
        "/usr/bin/muster-controller": { from: parts.executables.controller, mode: 0o755 },
        ...pageFiles(parts),
        "/usr/bin/nats-server": { from: parts.tools["nats-server"], mode: 0o755 },
        "/usr/bin/vault": { from: parts.tools.vault, mode: 0o755 },
        ...documents("muster", parts),
      },
      scripts: scripts("agent", "services"),
    };
  },
};

/** @param {Parts} parts */
function agentFiles({ executables }) {
  return {
    "/usr/bin/muster-agent": { from: executables.agent, mode: 0o755 },
    ...agentUnits(),
    "/usr/share/man/man8/muster-agent.8.gz": { content: packed(join(HERE, "man", "muster-agent.8")) },
  };
}

/** @param {Parts} parts */
function ctlFiles({ executables, typed }) {
  if (typed === undefined) throw new Error("ctl comes with its manual page and completions");
  return {
    "/usr/bin/ctl": { from: executables.ctl, mode: 0o755 },
    "/usr/share/man/man1/ctl.1.gz": { content: packed(Buffer.from(typed.manual)) },
    "/usr/share/bash-completion/completions/ctl": { content: typed.bash },
    "/usr/share/zsh/vendor-completions/_ctl": { content: typed.zsh },
    "/usr/share/fish/vendor_completions.d/ctl.fish": { content: typed.fish },
  };
}

/** @param {Parts} parts */
function pageFiles({ page }) {
  if (page === undefined) throw new Error("package muster has the web page in it");
  return Object.fromEntries(
    Object.entries(page).map(([name, content]) => [`/usr/share/muster/dashboard/${name}`, { content }]),
  );
}

/**
 * @param {string} name
 * @param {Parts} parts
 * @returns {Record<string, import("../lab/archive.mjs").Entry>}
 */
function documents(name, parts) {
  return {
    [`/usr/share/doc/${name}/copyright`]: { content: copyright({ tools: parts.tools !== undefined }) },
    [`/usr/share/doc/${name}/${NODE_LICENCE}`]: { content: packed(parts.node_licence) },
    [`/usr/share/doc/${name}/changelog.gz`]: { content: packed(join(HERE, "..", "..", "CHANGELOG.md")) },
  };
}

/**
 * The maintainer scripts of what is in a package, one behind the other.
 * @param {string[]} parts
 */
function scripts(...parts) {
  return Object.fromEntries(
    SCRIPTS.map((script) => [
      script,
      parts.map((part) => readFileSync(join(HERE, "debian", `${part}.${script}`), "utf8")).join("\n"),
    ]),
  );
}

/**
 * @param {string} short
 * @param {string[]} lines
 */
const description = (short, lines) => [short, ...lines.map((line) => ` ${line}`)].join("\n");

/** @param {string | Buffer} content a path, or what is in the file. zlib writes no time */
const packed = (content) =>
  gzipSync(typeof content === "string" ? readFileSync(content) : content, { level: 9 });
