/**
 * The programs of other makers that the lab runs: nats-server and Vault. Each comes from the first place that has it: a
 * program on PATH that is new enough, our cache, the maker's release with its published checksum, a build from the Go
 * module proxy.
 */
import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { unzip } from "./archive.mjs";
import { cached, cachedPath, recipeHash } from "./cache.mjs";
import { must, run, which } from "./command.mjs";
import { downloadChecked } from "./download.mjs";
import { messageOf, SetupError } from "./errors.mjs";
import { atLeast, ensureGo, goBuildMain, goInstall } from "./go.mjs";

const ARCHITECTURE = process.arch === "arm64" ? "arm64" : "amd64";

const VAULT_MAIN = `package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() { os.Exit(command.Run(os.Args[1:])) }
`;

/**
 * What each tool is and how it is had. Changing a recipe makes a new cache entry.
 * Vault 1.21.2 to 1.21.4 cannot be built as a library (their plugins' modules are not published); `minimal` keeps
 * approle, cert, jwt, userpass, kv, pki, ssh, transit and raft.
 */
const TOOLS = {
  "nats-server": {
    version: "2.15.2",
    version_args: ["--version"],
    release: {
      url: `https://github.com/nats-io/nats-server/releases/download/v2.15.2/nats-server-v2.15.2-linux-${ARCHITECTURE}.tar.gz`,
      sums: "https://github.com/nats-io/nats-server/releases/download/v2.15.2/SHA256SUMS",
      member: `nats-server-v2.15.2-linux-${ARCHITECTURE}/nats-server`,
    },
    go: { needs: "1.26.0", module: "github.com/nats-io/nats-server/v2" },
    usually_s: 60,
  },
  vault: {
    version: "1.21.1",
    version_args: ["version"],
    release: {
      url: `https://releases.hashicorp.com/vault/1.21.1/vault_1.21.1_linux_${ARCHITECTURE}.zip`,
      sums: "https://releases.hashicorp.com/vault/1.21.1/vault_1.21.1_SHA256SUMS",
      member: "vault",
    },
    go: { needs: "1.25.3", module: "github.com/hashicorp/vault/command", main: VAULT_MAIN, tags: "minimal" },
    usually_s: 330,
  },
};

/**
 * @typedef {keyof typeof TOOLS} ToolName
 * @typedef {{ path: string, version: string, source: "PATH" | "cache" | "release" | "Go module proxy" }} Tool
 */

/**
 * Puts one tool in place and says where it is and where it came from.
 * @param {ToolName} name
 * @param {import("./progress.mjs").Progress} progress
 * @returns {Promise<Tool>}
 */
export async function ensureTool(name, progress) {
  const tool = TOOLS[name];
  const on_path = which(name);
  if (on_path !== undefined) {
    const version = await versionOf(on_path, tool.version_args);
    if (version !== undefined && atLeast(version, tool.version))
      return { path: on_path, version, source: "PATH" };
  }
  const entry = `${name}-${tool.version}-${ARCHITECTURE}-${recipeHash([tool.version, tool.go])}`;
  const ready = cachedPath(entry);
  if (ready !== undefined) return { path: join(ready, name), version: tool.version, source: "cache" };

  /** @type {Tool["source"]} */
  let source = "release";
  const directory = await cached(entry, async (into) => {
    const label = `${name} ${tool.version}`;
    const unreachable = await progress.step(`${label} from its maker`, { usually_s: 20 }, (note) =>
      fetchRelease(name, into, note),
    );
    if (unreachable !== undefined) {
      source = "Go module proxy";
      progress.say(`${label}: no release from its maker (${unreachable}); building it`);
      const go = await ensureGo(tool.go.needs, progress);
      await progress.step(label, { usually_s: tool.usually_s }, (note) => buildTool(name, go, into, note));
    }
    await chmod(join(into, name), 0o755);
    const made = await versionOf(join(into, name), tool.version_args);
    if (made !== tool.version) throw new Error(`${label}: what was made says it is version ${made}`);
  });
  return { path: join(directory, name), version: tool.version, source };
}

/**
 * Both tools; one after the other, as the builds fill the machine.
 * @param {import("./progress.mjs").Progress} progress
 * @returns {Promise<Record<ToolName, Tool>>}
 */
export async function ensureTools(progress) {
  return {
    "nats-server": await ensureTool("nats-server", progress),
    vault: await ensureTool("vault", progress),
  };
}

/**
 * @param {ToolName} name
 * @param {string} into
 * @param {(text: string) => void} note
 * @returns {Promise<string | undefined>} why there is no release to be had; undefined when it is in place
 */
async function fetchRelease(name, into, note) {
  const { release } = TOOLS[name];
  try {
    note("fetching");
    const bytes = await downloadChecked(release.url, release.sums, note);
    if (release.url.endsWith(".zip")) {
      await writeFile(join(into, name), unzip(bytes, release.member));
    } else {
      await must("tar", ["-xz", "-C", into, "--strip-components=1", release.member], { input: bytes });
    }
    return undefined;
  } catch (error) {
    return error instanceof SetupError ? error.message : messageOf(error);
  }
}

/**
 * @param {ToolName} name
 * @param {string} go
 * @param {string} into
 * @param {(text: string) => void} note
 */
async function buildTool(name, go, into, note) {
  const tool = TOOLS[name];
  const { module, needs } = tool.go;
  if (!("main" in tool.go)) {
    await goInstall({ go, module, version: `v${tool.version}`, directory: into, note });
    return;
  }
  const requires = `${module}@v${tool.version}`;
  await goBuildMain({
    go,
    requires,
    main: tool.go.main,
    tags: tool.go.tags,
    name,
    directory: into,
    needs,
    note,
  });
  await rm(join(into, "source"), { recursive: true });
}

/**
 * @param {string} path
 * @param {string[]} args
 * @returns {Promise<string | undefined>} `1.21.1`; undefined when the program does not run or does not say
 */
async function versionOf(path, args) {
  const result = await run(path, args, { timeout_ms: 20_000 });
  return result.code === 0 ? /v?(\d+\.\d+\.\d+)/.exec(result.stdout + result.stderr)?.[1] : undefined;
}
