/** The lab's own archives: what it writes is read by the system's tar, what it reads is a zip made byte by byte after APPNOTE.TXT. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

type Entry = { content?: string | Buffer; from?: string; link?: string; mode?: number; uid?: number };
type Archive = {
  tar(files: Record<string, Entry>): AsyncGenerator<Buffer>;
  unzip(zip: Buffer, name: string): Buffer;
};

const load = (): Promise<Archive> => import(new URL("../../../deploy/lab/archive.mjs", import.meta.url).href);

suite("tar and zip", (test) => {
  let archive: Archive;
  let directory: string;
  test.before(async () => {
    archive = await load();
    directory = mkdtempSync(join(tmpdir(), "muster-archive-"));
  });
  test.after(() => rmSync(directory, { recursive: true, force: true }));

  const whole = async (files: Record<string, Entry>) => {
    const parts: Buffer[] = [];
    for await (const part of archive.tar(files)) parts.push(part);
    return Buffer.concat(parts);
  };
  const rejects = async (files: Record<string, Entry>) =>
    whole(files).then(
      () => "",
      (error: Error) => error.message,
    );

  test("the system's tar takes out what was put in: files, directories, links, modes, long paths", async () => {
    const source = join(directory, "source");
    writeFileSync(source, "x".repeat(70_000));
    const long = `/etc/${"a".repeat(90)}/${"b".repeat(60)}/file`;
    const bytes = await whole({
      "/etc/muster/": { mode: 0o700 },
      "/etc/muster/join": { content: "ä secret\n", mode: 0o600 },
      "/etc/empty": { content: "" },
      "/etc/block": { content: "y".repeat(512) },
      "/usr/bin/tool": { from: source, mode: 0o755 },
      "/etc/link": { link: "/usr/bin/tool" },
      [long]: { content: "deep" },
    });
    assert.is(bytes.length % 512, 0);
    const out = join(directory, "out");
    const made = spawnSync("sh", ["-c", `mkdir ${out} && tar -C ${out} -xpf -`], { input: bytes });
    assert.is(made.status, 0, made.stderr.toString());
    assert.is(readFileSync(join(out, "etc/muster/join"), "utf8"), "ä secret\n");
    assert.is(statSync(join(out, "etc/muster/join")).mode & 0o777, 0o600);
    assert.is(statSync(join(out, "etc/muster")).mode & 0o777, 0o700);
    assert.is(statSync(join(out, "etc/empty")).size, 0);
    assert.is(statSync(join(out, "etc/block")).size, 512);
    assert.is(statSync(join(out, "usr/bin/tool")).size, 70_000);
    assert.is(statSync(join(out, "usr/bin/tool")).mode & 0o777, 0o755);
    assert.is(readlinkSync(join(out, "etc/link")), "/usr/bin/tool");
    assert.is(readFileSync(join(out, long), "utf8"), "deep");
  });

  test("what ustar cannot hold is an error, not a shortened path", async () => {
    assert.match(await rejects({ [`/${"c".repeat(120)}`]: {} }), "path too long");
    assert.match(await rejects({ "/link": { link: "d".repeat(101) } }), "longer than 100 bytes");
  });

  test("a file out of a zip, stored or deflated", () => {
    const text = Buffer.from("the program ".repeat(100));
    const zip = zipOf([
      { name: "LICENSE", method: 0, bytes: Buffer.from("terms"), size: 5 },
      { name: "vault", method: 8, bytes: deflateRawSync(text), size: text.length },
      { name: "odd", method: 12, bytes: Buffer.from("?"), size: 1 },
    ]);
    assert.is(archive.unzip(zip, "LICENSE").toString(), "terms");
    assert.ok(archive.unzip(zip, "vault").equals(text));
    assert.throws(() => archive.unzip(zip, "nothing"), /no nothing/);
    assert.throws(() => archive.unzip(zip, "odd"), /method 12/);
    assert.throws(() => archive.unzip(Buffer.from("<html>404</html>"), "vault"), /not a zip/);
  });
});

type Member = { name: string; method: number; bytes: Buffer; size: number };

/** A zip with extra fields in the local headers only, where readers that trust the directory's lengths go wrong. */
function zipOf(members: readonly Member[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, method, bytes, size } of members) {
    const extra = Buffer.alloc(7);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(method, 8);
    local.writeUInt32LE(bytes.length, 18);
    local.writeUInt32LE(size, 22);
    local.writeUInt16LE(name.length, 26);
    local.writeUInt16LE(extra.length, 28);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(method, 10);
    central.writeUInt32LE(bytes.length, 20);
    central.writeUInt32LE(size, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(at, 42);
    directory.push(central, Buffer.from(name));
    const all = Buffer.concat([local, Buffer.from(name), extra, bytes]);
    parts.push(all);
    at += all.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, central, end]);
}
