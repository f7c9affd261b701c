/** A small apt repository of its own for tests: real packages made by dpkg-deb, and the index over them. Needs dpkg-deb, no root. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export type Deb = {
  readonly name: string;
  readonly version: string;
  /** More lines of the control file, such as `Depends: x`. */
  readonly control?: readonly string[];
  /** Files by path; those below /etc are conffiles. */
  readonly files?: Readonly<Record<string, string>>;
  /** Shell script that runs when it is installed. */
  readonly postinst?: string;
};

/** Adds packages to the repository in a directory (`deb [trusted=yes] file:DIRECTORY ./`), made when it is not there. */
export function addToRepository(directory: string, debs: readonly Deb[]): void {
  mkdirSync(directory, { recursive: true });
  for (const deb of debs) build(directory, deb);
  const stanzas = readdirSync(directory)
    .filter((name) => name.endsWith(".deb"))
    .sort()
    .map((name) => stanza(directory, name));
  writeFileSync(join(directory, "Packages"), stanzas.join("\n"));
}

function build(directory: string, deb: Deb): void {
  const tree = join(directory, "tree");
  const files = Object.entries(deb.files ?? {});
  const put = (path: string, text: string, mode = 0o644) => {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), text, { mode });
  };
  const control = [
    `Package: ${deb.name}`,
    `Version: ${deb.version}`,
    "Architecture: all",
    "Maintainer: Muster <root@localhost>",
    "Description: a package of the tests",
    ...(deb.control ?? []),
  ];
  put("DEBIAN/control", `${control.join("\n")}\n`);
  for (const [path, text] of files) put(path, text);
  const conffiles = files.map(([path]) => path).filter((path) => path.startsWith("/etc/"));
  if (conffiles.length > 0) put("DEBIAN/conffiles", `${conffiles.join("\n")}\n`);
  if (deb.postinst !== undefined) put("DEBIAN/postinst", `#!/bin/sh\nset -e\n${deb.postinst}\n`, 0o755);
  const archive = join(directory, `${deb.name}_${deb.version.replace(":", "%3a")}_all.deb`);
  execFileSync("dpkg-deb", ["--root-owner-group", "-Zgzip", "--build", tree, archive], { stdio: "pipe" });
  rmSync(tree, { recursive: true });
}

function stanza(directory: string, name: string): string {
  const path = join(directory, name);
  const bytes = readFileSync(path);
  const control = execFileSync("dpkg-deb", ["--field", path], { encoding: "utf8" }).trim();
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return `${control}\nFilename: ./${name}\nSize: ${bytes.length}\nSHA256: ${sha256}\n`;
}
