/** The copyright file of a package: Muster's own licence, and that of everything which is inside the executables. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Beside the copyright file: 150 KB. */
export const NODE_LICENCE = "node-LICENSE.gz";

/**
 * @param {{ tools: boolean }} inside whether nats-server and Vault are in the package
 * @returns {string}
 */
export function copyright({ tools }) {
  const parts = [
    "Muster, a fleet manager over NATS\n",
    "Apache-2.0; on Debian systems its text is in /usr/share/common-licenses/Apache-2.0.\n",
    `The executables hold Node.js, under the licences in ${NODE_LICENCE}, and the libraries below.\n`,
  ];
  if (tools) {
    parts.push("/usr/bin/nats-server is NATS Server, Apache-2.0, https://github.com/nats-io/nats-server\n");
    parts.push(
      "/usr/bin/vault is HashiCorp Vault, Business Source License 1.1, https://github.com/hashicorp/vault/blob/main/LICENSE\n" +
        "You may run it for your own fleet; you may not offer it to others as a service that competes with HashiCorp's.\n",
    );
  }
  return [...parts, ...libraries()].join("\n");
}

/** Each library that runs in the programs, by the lock file: a few more than each program holds. */
function libraries() {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  return Object.entries(packages)
    .filter(([path, { dev, link }]) => path.startsWith("node_modules/") && dev !== true && link !== true)
    .map(([path, { version, license }]) => {
      const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
      return `${"-".repeat(78)}\n${name} ${version}, ${license}\n\n${licenceText(join(ROOT, path))}`;
    });
}

/** @param {string} directory of the library */
function licenceText(directory) {
  const file = readdirSync(directory).find((name) => /^licen[cs]e/i.test(name));
  return file === undefined ? "" : readFileSync(join(directory, file), "utf8");
}
