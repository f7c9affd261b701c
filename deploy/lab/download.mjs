/**
 * Fetches a maker's file over HTTPS and checks it: a short limit on the first answer (a machine without a network must fall
 * through fast), a limit on size and time, and the SHA-256 that the maker publishes beside it.
 */
import { createHash } from "node:crypto";
import { messageOf, SetupError } from "./errors.mjs";

const ANSWER_MS = 5_000;

/**
 * Whether a URL's server answers at all within 5 s, whatever the status.
 * @param {string} url
 */
export async function answers(url) {
  try {
    const response = await fetch(url, {
      method: "GET",
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    await response.body?.cancel();
    return true;
  } catch {
    return false; // no name, no route, no TLS, too late: all mean "not from here"
  }
}

/**
 * The bytes behind a URL. Throws a SetupError on no answer in 5 s, a status other than 200, or a limit.
 * @param {string} url
 * @param {{ limit_bytes?: number, timeout_ms?: number, note?: (text: string) => void }} [options]
 * @returns {Promise<Buffer>}
 */
export async function download(url, { limit_bytes = 1 << 30, timeout_ms = 900_000, note } = {}) {
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(new Error(`no answer in ${ANSWER_MS} ms`)), ANSWER_MS);
  try {
    const response = await fetch(url, { signal: abort.signal });
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(new Error(`not complete in ${timeout_ms} ms`)), timeout_ms);
    if (response.status !== 200 || response.body === null) throw new Error(`HTTP status ${response.status}`);
    const chunks = [];
    let size_bytes = 0;
    for await (const chunk of response.body) {
      size_bytes += chunk.length;
      if (size_bytes > limit_bytes) throw new Error(`more than ${limit_bytes} bytes`);
      chunks.push(chunk);
      note?.(`${(size_bytes / 1e6).toFixed(0)} MB`);
    }
    return Buffer.concat(chunks, size_bytes);
  } catch (error) {
    throw new SetupError(`${url}: ${messageOf(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A file and its published checksum: the list holds lines of `<sha256>  <file name>`. Throws if the name is missing there or
 * the sums differ.
 * @param {string} url
 * @param {string} sums_url
 * @param {(text: string) => void} [note]
 */
export async function downloadChecked(url, sums_url, note) {
  const list = (await download(sums_url, { limit_bytes: 1 << 20, timeout_ms: 30_000 })).toString("utf8");
  const name = url.slice(url.lastIndexOf("/") + 1);
  const expected = list
    .split("\n")
    .map((line) => line.trim().split(/\s+\*?/))
    .find((fields) => fields[1] === name)?.[0];
  if (expected === undefined) throw new SetupError(`${sums_url} has no line for ${name}`);
  const bytes = await download(url, { note });
  const actual = createHash("sha256").update(bytes).digest("hex");
  if (actual !== expected)
    throw new SetupError(`${url} has SHA-256 ${actual}, published is ${expected}: not used`);
  return bytes;
}
