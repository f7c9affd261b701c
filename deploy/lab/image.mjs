/**
 * The image that every lab server boots: Debian 12 with systemd, sshd, BIRD, nftables, WireGuard and a Docker that is off, and nothing of Muster.
 * It comes from an image registry's `debian:bookworm` where one answers, else from a Debian mirror by debootstrap; the same
 * packages and the same set-up script either way. The finished file tree is kept in the cache as a tar.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { chmod, cp, mkdir, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { cached, recipeHash } from "./cache.mjs";
import { must, run, which } from "./command.mjs";
import { docker } from "./docker.mjs";
import { answers } from "./download.mjs";
import { SetupError } from "./errors.mjs";
import { hasApt, installPackages } from "./packages.mjs";

const RELEASE = "bookworm";
const BASE_IMAGE = `debian:${RELEASE}`;
const REGISTRY = "https://registry-1.docker.io/v2/";

const PACKAGES = [
  ...[
    "systemd",
    "systemd-sysv",
    "dbus",
    "iproute2",
    "bird2",
    "openssh-server",
    "nftables",
    "wireguard-tools",
    "wireguard-go",
  ],
  ...["ca-certificates", "iputils-ping", "procps", "libstdc++6", "netcat-openbsd", "logrotate"],
  // Containers on a server: off until a story or a person starts it.
  ...["docker.io", "iptables", "busybox-static"],
];

const SOURCE = fileURLToPath(new URL("image/", import.meta.url));

/**
 * Makes sure that the engine has the image.
 * @param {import("./progress.mjs").Progress} progress
 * @returns {Promise<string>} its tag, `muster-lab:<recipe hash>`
 */
export async function ensureImage(progress) {
  const hash = recipeHash([RELEASE, PACKAGES, sourceFiles(SOURCE)]);
  const tag = `muster-lab:${hash}`;
  if ((await run("docker", ["image", "inspect", tag, "--format", "{{.Id}}"])).code === 0) return tag;
  const entry = `image-${RELEASE}-${process.arch}-${hash}`;
  const directory = await cached(entry, async (into) => {
    const archive = join(into, "root.tar");
    if (await answers(REGISTRY)) {
      const problem = await progress.step("lab image from debian:bookworm", { usually_s: 60 }, (note) =>
        fromRegistry(archive, note),
      );
      if (problem === undefined) return;
      progress.say(`lab image: ${BASE_IMAGE} did not do (${problem}); building it from a Debian mirror`);
    }
    await ensureDebootstrap(progress);
    await progress.step("lab image", { usually_s: 80 }, (note) => fromMirror(into, archive, note));
  });
  await progress.step("lab image: into Docker", { usually_s: 5 }, () =>
    docker(["import", "--change", 'CMD ["/sbin/init"]', join(directory, "root.tar"), tag]),
  );
  await removeOtherImages(tag);
  return tag;
}

/**
 * Removes the images of other recipes; those that servers still use stay. One is back from the cache in seconds.
 * @param {string} tag the one to keep
 */
async function removeOtherImages(tag) {
  const { stdout } = await docker(["image", "ls", "muster-lab", "--format", "{{.Repository}}:{{.Tag}}"]);
  for (const other of stdout.split("\n").filter((line) => line !== "" && line !== tag))
    await run("docker", ["rmi", other]);
}

/**
 * @param {string} archive
 * @param {(text: string) => void} note
 * @returns {Promise<string | undefined>} why not, undefined when `archive` is written
 */
async function fromRegistry(archive, note) {
  const name = `muster-image-${randomBytes(4).toString("hex")}`;
  const script = `set -e; export DEBIAN_FRONTEND=noninteractive; apt-get update -q
    apt-get install -y -q --no-install-recommends ${PACKAGES.join(" ")}; sh /setup.sh; rm /setup.sh`;
  try {
    note("pulling");
    await docker(["pull", "--quiet", BASE_IMAGE], { timeout_ms: 600_000 });
    await docker(["create", "--name", name, BASE_IMAGE, "sh", "-c", script]);
    await docker(["cp", `${join(SOURCE, "root")}/.`, `${name}:/`]);
    await docker(["cp", join(SOURCE, "setup.sh"), `${name}:/setup.sh`]);
    note("installing packages");
    await docker(["start", "--attach", name], { timeout_ms: 900_000 });
    note("packing");
    await docker(["export", "--output", archive, name]);
    return undefined;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return error.message;
  } finally {
    await run("docker", ["rm", "--force", "--volumes", name]);
  }
}

/** @param {import("./progress.mjs").Progress} progress */
async function ensureDebootstrap(progress) {
  if (process.getuid?.() !== 0) {
    throw new SetupError(
      "No image registry answers, and building the lab image from a Debian mirror needs root: run this as root.",
      {
        exit_code: 2,
      },
    );
  }
  if (which("debootstrap", ["/usr/sbin"]) !== undefined) return;
  if (!hasApt()) {
    throw new SetupError(
      "No image registry answers. Install debootstrap with your package manager and run this again.",
      { exit_code: 2 },
    );
  }
  await installPackages(["debootstrap", "debian-archive-keyring"], "makes the lab's Debian image", progress);
}

/**
 * @param {string} into
 * @param {string} archive
 * @param {(text: string) => void} note
 */
async function fromMirror(into, archive, note) {
  const root = join(into, "root");
  await mkdir(root);
  note(`Debian ${RELEASE} from a mirror`);
  const program = which("debootstrap", ["/usr/sbin"]) ?? "debootstrap";
  await must(program, ["--variant=minbase", `--include=${PACKAGES.join(",")}`, RELEASE, root], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  note("setting it up");
  await cp(join(SOURCE, "root"), root, { recursive: true });
  await cp(join(SOURCE, "setup.sh"), join(root, "setup.sh"));
  await must("chroot", [root, "/bin/sh", "/setup.sh"]);
  await rm(join(root, "setup.sh"));
  note("packing");
  await must("tar", ["-C", root, "--numeric-owner", "-cf", archive, "."]);
  await rm(root, { recursive: true });
  await chmod(archive, 0o644);
}

/**
 * Every file of the recipe with its content.
 * @param {string} directory
 * @returns {[string, string][]}
 */
function sourceFiles(directory) {
  const found = readdirSync(directory, { recursive: true, withFileTypes: true });
  const files = found
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath ?? file.path, file.name));
  return files.sort().map((path) => [relative(directory, path), readFileSync(path, "utf8")]);
}
