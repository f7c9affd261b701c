/**
 * Finds a Go toolchain that is new enough and builds programs from the Go module proxy with it. The last way to a tool,
 * for machines that reach a module proxy but not the maker's releases.
 */
import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { must, run, which } from "./command.mjs";
import { SetupError } from "./errors.mjs";
import { installPackages } from "./packages.mjs";

/** Fetched as a module where the machine's own Go is older than a build needs. */
const TOOLCHAIN = "1.26.8";
const USUAL_PLACES = ["/usr/local/go/bin", "/usr/lib/go/bin"];

/** GOFLAGS of the person's own are kept out: a build in the cache must not depend on them. */
const BUILD_ENV = { CGO_ENABLED: "0", GOFLAGS: "-mod=mod -trimpath -buildvcs=false", GOWORK: "off" };

/**
 * A Go program of at least `needs` (such as `1.26.0`): on PATH or in its usual places, else from the distribution; if that
 * one is too old, the toolchain of go.dev as the module it is also published as.
 * @param {string} needs
 * @param {import("./progress.mjs").Progress} progress
 * @returns {Promise<string>} path of `go`
 */
export async function ensureGo(needs, progress) {
  let go = which("go", USUAL_PLACES);
  if (go === undefined) {
    await installPackages(["golang-go"], "to build nats-server and Vault", progress);
    go = which("go", USUAL_PLACES);
  }
  if (go === undefined)
    throw new SetupError("golang-go is installed, but there is no `go` on PATH", { exit_code: 2 });
  if (atLeast(await goVersion(go), needs)) return go;
  return await progress.step(`Go ${TOOLCHAIN}`, { usually_s: 30 }, () => toolchainModule(go));
}

/**
 * `go install` of one program into a directory.
 * @param {{ go: string, module: string, version: string, directory: string, note: (text: string) => void }} build
 */
export async function goInstall({ go, module, version, directory, note }) {
  note("building from the Go module proxy");
  await must(go, ["install", "-ldflags", "-s -w", `${module}@${version}`], {
    env: { ...environment(go), GOBIN: directory },
  });
}

/**
 * Builds a main package of our own that calls into a library, for programs that `go install` refuses (replace lines).
 * @param {{ go: string, requires: string, main: string, tags: string, name: string, directory: string, needs: string,
 *   note: (text: string) => void }} build `requires` is `module@version`; the program becomes `directory/name`
 */
export async function goBuildMain({ go, requires, main, tags, name, directory, needs, note }) {
  const source = join(directory, "source");
  await mkdir(source);
  await writeFile(join(source, "main.go"), main);
  await writeFile(join(source, "go.mod"), `module lab.invalid/${name}\n\ngo ${needs}\n`);
  const env = environment(go);
  note("fetching its modules from the Go module proxy");
  await must(go, ["get", requires], { cwd: source, env });
  note("compiling");
  await must(go, ["build", "-tags", tags, "-ldflags", "-s -w", "-o", join(directory, name), "."], {
    cwd: source,
    env,
  });
}

/** @param {string} go `GOTOOLCHAIN=local`: a build that silently fetches another compiler would hide a wrong version */
function environment(go) {
  return {
    ...process.env,
    ...BUILD_ENV,
    GOTOOLCHAIN: "local",
    GOROOT: undefined,
    PATH: `${join(go, "..")}:${process.env.PATH ?? ""}`,
  };
}

/** @param {string} go */
async function goVersion(go) {
  const { stdout } = await must(go, ["version"], { env: { ...process.env, GOTOOLCHAIN: "local" } });
  return /go version go(\d+(?:\.\d+)*)/.exec(stdout)?.[1] ?? "0";
}

/**
 * The toolchain as a module (`golang.org/toolchain`, see https://go.dev/doc/toolchain), which a Go that knows nothing of
 * toolchains can download too; module zips carry no execute bits.
 * @param {string} go
 */
async function toolchainModule(go) {
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const module = `golang.org/toolchain@v0.0.1-go${TOOLCHAIN}.linux-${architecture}`;
  const { stdout } = await must(go, ["mod", "download", "-json", module], {
    env: { ...process.env, GOTOOLCHAIN: "local", GOFLAGS: "-mod=mod", GO111MODULE: "on" },
  });
  const root = JSON.parse(stdout).Dir;
  const tools = join(root, "pkg", "tool", `linux_${architecture}`);
  for (const directory of [join(root, "bin"), tools]) {
    await chmod(directory, 0o755);
    for (const name of await readdir(directory)) await chmod(join(directory, name), 0o755);
  }
  const newer = join(root, "bin", "go");
  const check = await run(newer, ["version"], { env: { ...process.env, GOTOOLCHAIN: "local" } });
  if (check.code !== 0)
    throw new SetupError(`Go ${TOOLCHAIN} from the module proxy does not run: ${check.stderr}`);
  return newer;
}

/**
 * Whether version `have` is `needs` or newer, part by part.
 * @param {string} have
 * @param {string} needs
 */
export function atLeast(have, needs) {
  const [a, b] = [have.split(".").map(Number), needs.split(".").map(Number)];
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0);
  }
  return true;
}
