/**
 * What a lab leaves on this machine beside its servers: `${XDG_STATE_HOME:-~/.local/state}/muster/<lab>/`, mode 0700. The
 * secrets that a person would keep elsewhere (Vault's root token, the first password, the recovery kit) lie here, 0600 each.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/**
 * The state directory of a lab (not yet made).
 * @param {string} lab
 */
export function stateDirectory(lab) {
  return join(process.env.XDG_STATE_HOME || join(homedir(), ".local", "state"), "muster", lab);
}

/**
 * @typedef {object} State
 * @property {string} directory
 * @property {(name: string) => string} path of a file in it
 * @property {(name: string) => string | undefined} read its text without the space around it; undefined when there is none
 * @property {(name: string, text: string) => void} write whole or not at all, 0600
 * @property {(name: string) => string} secret its text; made up and written when there is none (20 letters and digits)
 * @property {() => void} clear removes the whole directory
 */

/**
 * Opens the state of a lab; nothing is made until something is written.
 * @param {string} lab
 * @returns {State}
 */
export function openState(lab) {
  const directory = stateDirectory(lab);
  const path = (/** @type {string} */ name) => join(directory, name);
  const read = (/** @type {string} */ name) =>
    existsSync(path(name)) ? readFileSync(path(name), "utf8").trim() || undefined : undefined;
  const write = (/** @type {string} */ name, /** @type {string} */ text) => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    chmodSync(directory, 0o700);
    mkdirSync(dirname(path(name)), { recursive: true, mode: 0o700 });
    const temporary = `${path(name)}.${process.pid}`;
    writeFileSync(temporary, `${text}\n`, { mode: 0o600 });
    renameSync(temporary, path(name));
  };
  return {
    directory,
    path,
    read,
    write,
    secret(name) {
      const known = read(name);
      if (known !== undefined) return known;
      const made = madeUp();
      write(name, made);
      return made;
    },
    clear: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** 20 letters and digits that cannot be mistaken for each other, in groups of five: 98 bits. */
function madeUp() {
  const letters = "abcdefghjkmnpqrstuvwxyz23456789";
  let text = "";
  while (text.length < 20) {
    const byte = randomBytes(1)[0] ?? 0;
    if (byte < letters.length * 8) text += letters[byte % letters.length];
  }
  return text.replace(/(.{5})(?=.)/g, "$1-");
}
