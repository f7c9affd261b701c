/**
 * The two archive forms the lab needs without a package: writing tar (POSIX ustar; how files get into a container) and
 * reading one file out of a zip (how HashiCorp ships).
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { inflateRawSync } from "node:zlib";

const BLOCK = 512;

/**
 * @typedef {object} Entry one file, directory or link to place
 * @property {string | Buffer} [content]
 * @property {string} [from] a file of this machine to take the content from, instead of `content`
 * @property {string} [link] makes a symbolic link to this target
 * @property {number} [mode] default 0o644, a directory 0o755
 * @property {number} [uid] default 0
 * @property {number} [gid] default 0
 */

/**
 * A tar stream of `files`, keyed by absolute path; a path that ends in `/` is a directory.
 * @param {Record<string, Entry>} files
 * @returns {AsyncGenerator<Buffer>}
 */
export async function* tar(files) {
  for (const [path, entry] of Object.entries(files)) {
    const name = path.replace(/^\/+/, "");
    if (entry.link !== undefined) {
      yield header(name, "2", 0, entry);
      continue;
    }
    if (name.endsWith("/")) {
      yield header(name, "5", 0, { mode: 0o755, ...entry });
      continue;
    }
    const content = Buffer.from(entry.content ?? "");
    const size_bytes = entry.from === undefined ? content.length : (await stat(entry.from)).size;
    yield header(name, "0", size_bytes, entry);
    if (entry.from === undefined) yield content;
    else yield* createReadStream(entry.from, { highWaterMark: 1 << 20 });
    yield Buffer.alloc((BLOCK - (size_bytes % BLOCK)) % BLOCK);
  }
  yield Buffer.alloc(2 * BLOCK);
}

/**
 * @param {string} name
 * @param {"0" | "2" | "5"} type
 * @param {number} size_bytes
 * @param {Entry} entry
 */
function header(name, type, size_bytes, entry) {
  const { name: tail, prefix } = split(name);
  if (Buffer.byteLength(entry.link ?? "") > 100)
    throw new Error(`tar: link target of ${name} is longer than 100 bytes`);
  const block = Buffer.alloc(BLOCK);
  const octal = (/** @type {number} */ value, /** @type {number} */ at, /** @type {number} */ length) =>
    block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at);
  block.write(tail, 0);
  octal(entry.mode ?? 0o644, 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(size_bytes, 124, 12);
  octal(Math.floor(Date.now() / 1000), 136, 12);
  block.write("        ", 148);
  block.write(type, 156);
  block.write(entry.link ?? "", 157);
  block.write("ustar\u000000", 257);
  block.write(prefix, 345);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return block;
}

/** @param {string} name splits a long path at a slash into ustar's 155 + 100 bytes */
function split(name) {
  if (Buffer.byteLength(name) <= 100) return { name, prefix: "" };
  for (let at = name.indexOf("/"); at > 0; at = name.indexOf("/", at + 1)) {
    const [prefix, tail] = [name.slice(0, at), name.slice(at + 1)];
    if (tail !== "" && Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(tail) <= 100)
      return { name: tail, prefix };
  }
  throw new Error(`tar: path too long: ${name}`);
}

/**
 * One file out of a zip archive. Throws if it is not there or the archive is not a plain zip (zip64, encrypted).
 * Layout: APPNOTE.TXT of PKWARE, 4.3.
 * @param {Buffer} zip
 * @param {string} name
 * @returns {Buffer}
 */
export function unzip(zip, name) {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0) throw new Error("not a zip archive");
  const entries = zip.readUInt16LE(end + 10);
  let at = zip.readUInt32LE(end + 16);
  for (let i = 0; i < entries; i++) {
    const name_length = zip.readUInt16LE(at + 28);
    if (zip.toString("utf8", at + 46, at + 46 + name_length) === name) {
      const method = zip.readUInt16LE(at + 10);
      const local = zip.readUInt32LE(at + 42);
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const bytes = zip.subarray(start, start + zip.readUInt32LE(at + 20));
      if (method === 0) return bytes;
      if (method === 8) return inflateRawSync(bytes);
      throw new Error(`zip: ${name} is compressed by method ${method}`);
    }
    at += 46 + name_length + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`zip: no ${name}`);
}
