/**
 * V8's compiled form of the program, one for each command, kept between runs: without it every command compiles 2 MB of source anew (ping of three hosts on Node 20:
 * 270 ms, with it 200). It lies in the person's cache directory and is only taken from there when nobody else can have written it; a form that
 * does not fit this Node is thrown away. Losing it costs time and nothing else.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { Script } from "node:vm";

/** A run compiles only what it uses: the form gets better with each of the first runs, which then take 10 ms longer to end. */
const LEARNING_RUNS = 8;
/** A form a command, of which there are forty, and several clones may be in use; some 1.5 MB each. Those that were used last stay. */
const KEPT = 32;
const HEAD_BYTES = 33;
/** More than it ever was: 1.5 MB. */
const LIMIT_BYTES = 16 * 1024 * 1024;

export type Compiled = {
  readonly script: Script;
  /** Runs that the form which was found has learned from; 0 = none was found, or it did not fit. */
  readonly runs: number;
};

/**
 * Where the form of a program lies. Each command learns by itself: after eight pings the form would be closed to what `apply` uses, and all of it is read
 * at every start.
 */
export function formFile(directory: string, program: string, command: string | undefined): string {
  const name = command !== undefined && /^[a-z]{1,16}$/.test(command) ? command : "other";
  return join(directory, `ctl-${program}-${process.version}-${name}`);
}

/** Compiles `source`, which must be an expression, from the form in `file` if that can be used. */
export function compile(source: string, filename: string, file: string): Compiled {
  const kept = read(file);
  if (kept === null) return { script: new Script(source, { filename }), runs: 0 };
  const script = new Script(source, { filename, cachedData: kept.form });
  return { script, runs: script.cachedDataRejected === true ? 0 : kept.runs };
}

/** To be called at the end of a run: keeps what it has compiled, while there is something to learn. Never throws: it is only about time. */
export function learn({ script, runs }: Compiled, file: string): void {
  try {
    if (runs >= LEARNING_RUNS) {
      const now = new Date();
      utimesSync(file, now, now);
      return;
    }
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const temporary = `${file}.${process.pid}`;
    try {
      const form = script.createCachedData();
      writeFileSync(temporary, Buffer.concat([Buffer.of(runs + 1), digest(form), form]), { mode: 0o600 });
      renameSync(temporary, file);
    } finally {
      rmSync(temporary, { force: true });
    }
    if (runs === 0) removeOld(dirname(file));
  } catch {
    // A read-only home, a full disk: the next run compiles again.
  }
}

/** V8 itself does not look whether its form is whole. */
const digest = (form: Buffer) => createHash("sha256").update(form).digest();

/** One byte of runs, the digest, the form. */
function read(file: string): { runs: number; form: Buffer } | null {
  let descriptor: number;
  try {
    descriptor = openSync(file, "r");
  } catch {
    return null;
  }
  try {
    const { uid, mode, size } = fstatSync(descriptor);
    // It is run as code: with sudo and a kept HOME it may be somebody else's.
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0 || size > LIMIT_BYTES) return null;
    const bytes = readFileSync(descriptor);
    const [runs = 0, form] = [bytes[0], bytes.subarray(HEAD_BYTES)];
    return digest(form).equals(bytes.subarray(1, HEAD_BYTES)) ? { runs, form } : null;
  } catch {
    return null;
  } finally {
    closeSync(descriptor);
  }
}

/** All but the newest forms. */
function removeOld(directory: string): void {
  const forms = readdirSync(directory)
    .filter((name) => /^ctl-[0-9a-f]{16}-v[\d.]+(-[a-z]+)?$/.test(name))
    .map((name) => ({ path: join(directory, name), at: statSync(join(directory, name)).mtimeMs }))
    .sort((a, b) => b.at - a.at);
  for (const { path } of forms.slice(KEPT)) rmSync(path, { force: true });
}
