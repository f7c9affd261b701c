/**
 * Writes a Debian package by dpkg-deb, without root and the same byte for byte each time: owners are root, times are SOURCE_DATE_EPOCH, order is
 * dpkg-deb's own.
 */
import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { must, which } from "../lab/command.mjs";
import { SetupError } from "../lab/errors.mjs";

/**
 * @typedef {object} Package
 * @property {string} name
 * @property {string} version
 * @property {Record<string, string>} fields further ones of its control file
 * @property {Record<string, import("../lab/archive.mjs").Entry>} files by path on the server
 * @property {Record<string, string>} scripts maintainer scripts, by name
 */

/** The machine's architecture in Debian's words. */
export const DEBIAN_ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;

/**
 * @param {Package} made
 * @param {{ path: string, epoch_s: number, fast: boolean }} how `fast`: half as large again, in a fifth of the time
 */
export async function writeDeb({ name, version, fields, files, scripts }, { path, epoch_s, fast }) {
  if (which("dpkg-deb") === undefined)
    throw new SetupError(
      "dpkg-deb is missing: packages are built on Debian, Ubuntu, or where dpkg is installed",
      {
        exit_code: 2,
      },
    );
  const root = await mkdtemp(join(tmpdir(), `${name}-`));
  try {
    await chmod(root, 0o755);
    const sums = await place(root, files);
    const installed_kib = sums.reduce((sum, { size_bytes }) => sum + Math.ceil(size_bytes / 1024), 0);
    const control = {
      Package: name,
      Version: version,
      Architecture: DEBIAN_ARCHITECTURE,
      Maintainer: "Muster maintainers <maintainers@muster.example>",
      "Installed-Size": String(installed_kib),
      Section: "admin",
      Priority: "optional",
      ...fields,
    };
    const conffiles = Object.keys(files)
      .filter((path) => path.startsWith("/etc/"))
      .map((path) => `${path}\n`)
      .join("");
    await place(join(root, "DEBIAN"), {
      control: {
        content: Object.entries(control)
          .map(([key, value]) => `${key}: ${value}\n`)
          .join(""),
      },
      // dpkg(1): what a person has changed of these stays at an upgrade.
      ...(conffiles === "" ? {} : { conffiles: { content: conffiles } }),
      md5sums: { content: sums.map(({ md5, at }) => `${md5}  ${at}\n`).join("") },
      ...Object.fromEntries(
        Object.entries(scripts).map(([script, body]) => [
          script,
          { content: `#!/bin/sh\nset -e\n${body}`, mode: 0o755 },
        ]),
      ),
    });
    await mkdir(dirname(path), { recursive: true });
    const compression = fast ? ["-Zgzip", "-z1"] : ["-Zxz"];
    await must("dpkg-deb", ["--root-owner-group", ...compression, "--build", root, path], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch_s) },
      timeout_ms: 600_000,
    });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/**
 * @param {string} root
 * @param {Record<string, import("../lab/archive.mjs").Entry>} files
 */
async function place(root, files) {
  const sums = [];
  for (const [path, { from, content = "", link, mode = 0o644 }] of Object.entries(files)) {
    const at = path.replace(/^\/+/, "");
    const target = join(root, at);
    await makeDirectory(root, dirname(at));
    if (link !== undefined) {
      await symlink(link, target);
      continue;
    }
    if (from === undefined) await writeFile(target, content);
    else await copyFile(from, target);
    await chmod(target, mode);
    const bytes = await readFile(target);
    sums.push({ at, size_bytes: bytes.length, md5: createHash("md5").update(bytes).digest("hex") });
  }
  return sums.sort((a, b) => (a.at < b.at ? -1 : 1));
}

/**
 * Each part with the mode that a server expects, whatever this person's umask is.
 * @param {string} root
 * @param {string} directory beneath it
 */
async function makeDirectory(root, directory) {
  let path = root;
  for (const part of directory.split("/")) {
    path = join(path, part);
    await mkdir(path, { recursive: true });
    await chmod(path, 0o755);
  }
}
