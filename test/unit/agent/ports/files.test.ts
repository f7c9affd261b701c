/** The files port on a real directory: what it writes, what it refuses, what it sees change. */
import { execFileSync, spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createFiles, type Files } from "@muster/agent/ports/files";
import { createHashes } from "@muster/agent/ports/files-hash";
import { sha256 } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { startChild } from "../../../kit/child.ts";
import { patienceOf } from "../../../kit/patience.ts";
import { suite } from "../../../kit/suite.ts";
import { hostPrefix, type Prefix, until } from "../resources/private-bird.ts";

const ROOT = { owner: "root", group: "root", mode: "0640" };

async function refusal(work: Promise<unknown>): Promise<FleetError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FleetError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

/** It thaws by itself, since a program that waits for a frozen disk cannot be ended. */
const FROZEN_MS = 6_000;

/** A small ext4 that can be frozen as `fsfreeze` does (fsfreeze(8)): who opens a file for writing there waits. */
class FrozenDisk {
  readonly path = mkdtempSync(join(tmpdir(), "muster-frozen-"));
  /** Why there is none on this machine. */
  readonly why_not: string | null = null;
  readonly #image = `${this.path}.img`;

  constructor() {
    try {
      writeFileSync(this.#image, "");
      truncateSync(this.#image, 8 * 1024 * 1024);
      execFileSync("mkfs.ext4", ["-q", this.#image], { stdio: "pipe" });
      execFileSync("mount", ["-o", "loop", this.#image, this.path], { stdio: "pipe" });
    } catch (error) {
      this.why_not = `no disk could be mounted from a file: ${error instanceof Error ? error.message : error}`;
    }
  }

  /** Resolves when it has thawed. */
  freeze(): Promise<void> {
    const thaw = spawn("sh", ["-c", `sleep ${FROZEN_MS / 1_000}; fsfreeze --unfreeze "$0"`, this.path]);
    execFileSync("fsfreeze", ["--freeze", this.path]);
    return new Promise((resolve, reject) =>
      thaw
        .once("error", reject)
        .once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`thaw: ${code}`)))),
    );
  }

  remove(): void {
    if (this.why_not === null) execFileSync("umount", [this.path]);
    for (const path of [this.path, this.#image]) rmSync(path, { recursive: true, force: true });
  }
}

suite("files port", (test) => {
  let prefix: Prefix;
  let files: Files;
  const at = (path: string) => join(prefix.path, path);

  test.before(async () => {
    prefix = await hostPrefix();
    files = createFiles(prefix.path);
  });
  test.after(() => prefix.release());

  test("what it has just written is known without reading, for a moment, and what others do to it is seen", async () => {
    assert.equal(
      [...(await files.replaceAll([{ path: "/srv/known", content: Buffer.from("one"), attributes: ROOT }]))],
      [],
    );
    const known = await files.look("/srv/known", 1_000);
    assert.is(known?.sha256, sha256("one"));
    assert.is(known?.bytes, null, "it was read");
    // Another tick of the kernel's clock.
    await sleep(20);
    writeFileSync(at("srv/known"), "two");
    assert.is((await files.look("/srv/known", 1_000))?.sha256, sha256("two"));

    const hashes = createHashes(1_000);
    const found = statSync(at("srv/known"), { bigint: true });
    const told = async () => (await hashes.of(at("srv/known"), "/srv/known", found, 1_000))?.sha256;
    hashes.wrote("/srv/known", found, sha256("what the kernel's clock cannot tell from it"));
    assert.is.not(await told(), sha256("two"), "it is read again at once");
    await until("read again", 10_000, async () => (await told()) === sha256("two"));
    rmSync(at("srv/known"));
  });

  test("a candidate that its check changes is not taken for what was written", async () => {
    await files.replace("/srv/changed", Buffer.from("as declared"), ROOT, async (candidate) => {
      await sleep(20);
      writeFileSync(candidate, "as the check");
    });
    assert.is((await files.look("/srv/changed", 1_000))?.sha256, sha256("as the check"));
    rmSync(at("srv/changed"));
  });

  test("replaces whole, with attributes, and shows the candidate before", async () => {
    writeFileSync(at("srv/a"), "old");
    const inode = statSync(at("srv/a")).ino;
    await files.replace("/srv/a", Buffer.from("new"), ROOT, async (candidate) => {
      assert.is(readFileSync(candidate, "utf8"), "new");
      assert.is(readFileSync(at("srv/a"), "utf8"), "old");
    });
    assert.is(readFileSync(at("srv/a"), "utf8"), "new");
    assert.is.not(statSync(at("srv/a")).ino, inode);
    const facts = await files.facts("/srv/a");
    assert.is(`${facts?.type} ${facts?.owner}:${facts?.group} ${facts?.mode}`, "file root:root 0640");
    assert.equal(readdirSync(at("srv")), ["a"]);
  });

  test("a candidate that is refused leaves everything as it was", async () => {
    writeFileSync(at("srv/b"), "old");
    const refused = files.replace("/srv/b", Buffer.from("bad"), ROOT, async () => {
      throw new FleetError("COMMAND_FAILED", "no");
    });
    assert.is((await refusal(refused)).code, "COMMAND_FAILED");
    assert.is(readFileSync(at("srv/b"), "utf8"), "old");
    assert.equal(
      readdirSync(at("srv")).filter((name) => name.startsWith(".")),
      [],
    );
  });

  test("of many replaced at once each fails by itself, and no candidate stays", async () => {
    mkdirSync(at("srv/many/in-the-way"), { recursive: true });
    const writing = (name: string, attributes = ROOT) => {
      const path = `/srv/many/${name}`;
      return { path, content: Buffer.from(`new ${name}`), attributes };
    };
    const good = Array.from({ length: 70 }, (_, n) => `f${n}`);
    for (const name of good.slice(0, 20)) writeFileSync(at(`srv/many/${name}`), "old");
    writeFileSync(at("srv/many/unowned"), "old");
    const failed = await files.replaceAll([
      writing("in-the-way"),
      writing("unowned", { ...ROOT, owner: "nobody-here" }),
      writing("none/x"),
      ...good.map((name) => writing(name)),
    ]);
    assert.equal([...failed.keys()].sort(), [
      "/srv/many/in-the-way",
      "/srv/many/none/x",
      "/srv/many/unowned",
    ]);
    assert.match(failed.get("/srv/many/none/x")?.detail ?? "", /directory is not there/);
    for (const name of good) assert.is(readFileSync(at(`srv/many/${name}`), "utf8"), `new ${name}`);
    assert.is(readFileSync(at("srv/many/unowned"), "utf8"), "old");
    assert.is(readdirSync(at("srv/many")).length, good.length + 2);
  });

  test("killed in the middle of many, each is the old one or the new one; the next time takes the rest away", async ({
    signal,
  }) => {
    const names = Array.from({ length: 40 }, (_, n) => `/srv/killed/${n}`);
    const whole = (letter: string) => letter.repeat(16_000);
    mkdirSync(at("srv/killed"));
    for (const name of names) writeFileSync(at(name), whole("z"));
    const child = startChild(process.execPath, [
      "--import",
      "tsx",
      fileURLToPath(new URL("writer.ts", import.meta.url)),
      prefix.path,
      JSON.stringify(names),
    ]);
    const touched = () => names.some((name) => readFileSync(at(name), "utf8") !== whole("z"));
    while (!touched()) await sleep(2, undefined, { signal });
    await sleep(10 * Math.random());
    await child.stop("SIGKILL");
    for (const name of names) {
      const text = readFileSync(at(name), "utf8");
      assert.is(text, whole(text.charAt(0)), name);
    }
    const writings = names.map((path) => ({ path, content: Buffer.from("after"), attributes: ROOT }));
    assert.is((await files.replaceAll(writings)).size, 0);
    assert.is(readdirSync(at("srv/killed")).length, names.length);
  });

  const frozen = new FrozenDisk();
  test.after(() => frozen.remove());
  if (frozen.why_not !== null) test.skip("a disk that hangs", frozen.why_not);
  else
    test("a disk that hangs stops nobody but who writes to it", async () => {
      const disk = createFiles(frozen.path);
      const writings = Array.from({ length: 40 }, (_, n) => ({
        path: `/${n}`,
        content: Buffer.from(`text ${n}`),
        attributes: ROOT,
      }));
      let written = false;
      const end = frozen.freeze();
      const all = disk.replaceAll(writings).finally(() => (written = true));
      let longest_ms = 0;
      for (let turn = 0; turn < 10; turn++) {
        const began_ms = performance.now();
        await sleep(50);
        longest_ms = Math.max(longest_ms, performance.now() - began_ms);
      }
      assert.not(written, "it was not frozen");
      assert.ok(longest_ms < (FROZEN_MS * 2) / 3, `everything stood still for ${longest_ms} ms`);
      await end;
      assert.is((await all).size, 0);
      for (const { path, content } of writings)
        assert.equal(readFileSync(join(frozen.path, path)), content, path);
    });

  test("two writers of one file take turns", async () => {
    const texts = Array.from({ length: 20 }, (_, n) => `text ${n}`);
    await Promise.all(texts.map((text) => files.replace("/srv/turns", Buffer.from(text), ROOT)));
    assert.is(readFileSync(at("srv/turns"), "utf8"), "text 19");
  });

  test("refuses links, directories, missing directories and unknown accounts, with the reason", async () => {
    symlinkSync("/etc/passwd", at("srv/link"));
    const cases: [string, () => Promise<unknown>, RegExp][] = [
      ["link", () => files.replace("/srv/link", Buffer.from("x"), ROOT), /is a link/],
      ["directory", () => files.replace("/srv", Buffer.from("x"), ROOT), /is a directory/],
      ["missing", () => files.replace("/nowhere/x", Buffer.from("x"), ROOT), /directory is not there/],
      [
        "owner",
        () => files.replace("/srv/x", Buffer.from("x"), { ...ROOT, owner: "nobody-here" }),
        /no user nobody-here/,
      ],
      ["link's mode", () => files.setAttributes("/srv/link", ROOT), /ELOOP|link/],
      ["file as directory", () => files.makeDirectory("/srv/a", ROOT), /no directory/],
      ["outside /proc/sys", () => files.writeKernel("/etc/passwd", "x"), /kernel/],
    ];
    for (const [what, work, reason] of cases) assert.match((await refusal(work())).detail, reason, what);
    assert.not(readdirSync(at("srv")).includes("x"));
  });

  test("reads are bounded, and a fifo does not hang it", async () => {
    writeFileSync(at("srv/large"), "x".repeat(1_000));
    assert.is((await refusal(files.read("/srv/large", 999))).code, "TOO_LARGE");
    assert.is((await files.read("/srv/large", 1_000))?.length, 1_000);
    assert.is(await files.read("/srv/none", 10), null);
    execFileSync("mkfifo", [at("srv/fifo")]);
    assert.match((await refusal(files.read("/srv/fifo", 10))).detail, /no regular file/);
  });

  test("a thousand reads at once hold few files open, and all are answered", async () => {
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    const reads = Array.from({ length: 1_000 }, () => files.read("/srv/large", 1_000));
    let most = 0;
    for (let look = 0; look < 10; look += 1) {
      most = Math.max(most, open() - before);
      await sleep(1);
    }
    assert.ok((await Promise.all(reads)).every((bytes) => bytes?.length === 1_000));
    assert.ok(most <= 80, `${most} were open`);
  });

  test("a path is resolved through links in its parents, and not out of the prefix", async () => {
    mkdirSync(at("srv/real"), { recursive: true });
    symlinkSync("real", at("srv/alias"));
    assert.is(await files.resolve("/srv/alias/new/file"), "/srv/real/new/file");
    symlinkSync("/usr", at("srv/out"));
    assert.match((await refusal(files.resolve("/srv/out/x"))).detail, /leads out/);
    assert.is(await createFiles("").resolve("/proc/self/nothing"), `/proc/${process.pid}/nothing`);
  });

  test("accounts are read again when they changed", async () => {
    const uid = statSync(prefix.path).uid;
    writeFileSync(at("etc/passwd"), `root:x:${uid}:0::/:/bin/sh\nalias:x:${uid}:0::/:/bin/sh\n`);
    await files.replace("/srv/owned", Buffer.from("x"), { ...ROOT, owner: "alias" });
    assert.is((await files.facts("/srv/owned"))?.type, "file");
  });

  test("sees files change, come, and come with a directory that was not there", async ({ signal }) => {
    const seen: string[] = [];
    const failed: unknown[] = [];
    mkdirSync(at("srv/watched"));
    files.watch(
      ["/srv/watched/file", "/srv/later/deep/file"],
      { changed: (path) => seen.push(path), failed: (error) => failed.push(error) },
      signal,
    );
    const after = async (change: () => void) => {
      seen.length = 0;
      change();
      // Where nothing is to come a second has to do; what is to come has longer on a slow machine.
      for (const patience = patienceOf(1_000); seen.length === 0 && !patience.over(); ) await sleep(50);
      await sleep(150);
      return [...seen];
    };
    assert.equal(await after(() => writeFileSync(at("srv/watched/file"), "1")), ["/srv/watched/file"]);
    const burst = await after(() => {
      for (let n = 0; n < 50; n += 1) writeFileSync(at("srv/watched/file"), `${n}`);
    });
    assert.equal(burst, ["/srv/watched/file"]);
    assert.equal(await after(() => writeFileSync(at("srv/watched/other"), "1")), []);
    assert.ok(
      (await after(() => mkdirSync(at("srv/later/deep"), { recursive: true }))).includes(
        "/srv/later/deep/file",
      ),
    );
    assert.equal(await after(() => writeFileSync(at("srv/later/deep/file"), "1")), ["/srv/later/deep/file"]);
    // The directory goes and another takes its name: the old watch would be silent for ever.
    assert.ok((await after(() => renameSync(at("srv/watched"), at("srv/away")))).length > 0);
    await after(() => mkdirSync(at("srv/watched")));
    assert.equal(await after(() => writeFileSync(at("srv/watched/file"), "again")), ["/srv/watched/file"]);
    assert.ok((await after(() => rmSync(at("srv/watched"), { recursive: true }))).length > 0);
    assert.equal(failed, []);
  });

  test("an ancestor that was renamed is noticed at the next event, whatever it is of", async ({ signal }) => {
    const seen: string[] = [];
    mkdirSync(at("srv/above/between/below"), { recursive: true });
    mkdirSync(at("srv/beside"));
    files.watch(
      ["/srv/above/between/below/file", "/srv/beside/file"],
      { changed: (path) => seen.push(path), failed: (error) => assert.unreachable(String(error)) },
      signal,
    );
    renameSync(at("srv/above"), at("srv/gone"));
    mkdirSync(at("srv/above/between/below"), { recursive: true });
    writeFileSync(at("srv/beside/file"), "1");
    const heard = async (path: string) => {
      for (const patience = patienceOf(5_000); !seen.includes(path) && !patience.over(); ) await sleep(50);
      return seen.splice(0).includes(path);
    };
    assert.ok(await heard("/srv/beside/file"));
    await sleep(150);
    seen.length = 0;
    writeFileSync(at("srv/above/between/below/file"), "1");
    assert.ok(await heard("/srv/above/between/below/file"), "the old directory is watched still");
  });

  test("tells nothing of what was seen as it is; the next change of it, also back to the old text, is told", async ({
    signal,
  }) => {
    const [heard, path] = [[] as string[], "/srv/seen/file"];
    mkdirSync(at("srv/seen"));
    files.watch(
      [path, "/srv/seen/other"],
      { changed: (each) => heard.push(each), failed: (error) => assert.unreachable(String(error)) },
      signal,
    );
    const toldOf = async (name: string) => {
      for (let waited = 0; waited < 200 && !heard.includes(name); waited += 1) await sleep(50);
      return heard.splice(0).filter((each, index, all) => all.indexOf(each) === index);
    };
    await files.replace(path, Buffer.from("ours"), ROOT);
    await files.seen([path, "/srv/seen/none"]);
    // Events of one directory come in order: when the other file's is told, ours was judged.
    writeFileSync(at("srv/seen/other"), "1");
    assert.equal(await toldOf("/srv/seen/other"), ["/srv/seen/other"]);
    writeFileSync(at("srv/seen/file"), "hand");
    assert.equal(await toldOf(path), [path]);
    writeFileSync(at("srv/seen/file"), "ours");
    assert.equal(await toldOf(path), [path]);
    await files.seen([path]);
    rmSync(at("srv/seen/file"));
    assert.equal(await toldOf(path), [path]);
  });

  test("reads through a link only when asked", async () => {
    writeFileSync(at("srv/behind"), "s");
    symlinkSync("behind", at("srv/to-behind"));
    const { code, message } = await refusal(files.read("/srv/to-behind", 100));
    assert.is(code, "FAILED");
    assert.match(message, /\/srv\/to-behind is a link/);
    assert.is((await files.read("/srv/to-behind", 100, "follow"))?.toString(), "s");
  });
});
