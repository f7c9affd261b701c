/** A backup's file opens with the kit's key, whole and unaltered, and in no other way. */
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { createCurvePair } from "@muster/protocol/sealed";
import { backupTrouble } from "@muster/view/backup";
import * as assert from "uvu/assert";
import { openArchive, readHead, sealArchive } from "../../../../packages/ctl/src/backup/archive.ts";
import { backupName, placeOf, timeOfName } from "../../../../packages/ctl/src/backup/place.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";

const AT = Date.UTC(2026, 10, 25, 16, 42, 0);
const FRAME = (1 << 20) + 20;

suite("ctl: a backup's file", (test) => {
  const kit = createCurvePair();
  let directory = "";
  let release: () => Promise<void>;
  let count = 0;
  const fresh = () => join(directory, String(count++));
  test.before(async () => {
    ({ path: directory, release } = await temporaryDirectory("archive"));
  });
  test.after(() => release());

  const sealed = async (content: Buffer): Promise<Buffer> => {
    const [from, to] = [fresh(), fresh()];
    await writeFile(from, content);
    const size = await sealArchive(from, to, { fleet: "lab", at: AT, reader: kit.public });
    const bytes = await readFile(to);
    assert.is(bytes.length, size);
    return bytes;
  };
  const opened = async (bytes: Buffer, reader = kit): Promise<Buffer> => {
    const [from, to] = [fresh(), fresh()];
    await writeFile(from, bytes);
    await openArchive(from, to, reader);
    return readFile(to);
  };
  const refused = async (bytes: Buffer, reader = kit): Promise<string> => {
    try {
      await opened(bytes, reader);
    } catch (error) {
      if (error instanceof FleetError) return error.code;
      throw error;
    }
    return "taken";
  };

  test("opens to what it was, empty, of one frame, of several, and at their edges", async () => {
    for (const size of [0, 1, 1 << 20, (1 << 20) + 1, 3 * (1 << 20)]) {
      const content = randomBytes(size);
      assert.ok((await opened(await sealed(content))).equals(content), `${size} bytes`);
    }
  });

  test("holds nothing of it in clear, and tells its fleet and time", async () => {
    const content = Buffer.from("a secret that would be seen".repeat(1_000));
    const bytes = await sealed(content);
    assert.not.match(bytes.toString("latin1"), /a secret/);
    const path = fresh();
    await writeFile(path, bytes);
    const head = await readHead(path);
    assert.equal([head.fleet, head.at], ["lab", AT]);
  });

  test("does not open with another key, altered, cut off, or with frames that moved", async () => {
    const bytes = await sealed(randomBytes(3 * (1 << 20)));
    const start = bytes.indexOf("\n") + 1;
    const flip = (at: number) => {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] ?? 0) ^ 1;
      return copy;
    };
    const frame = (at: number) => bytes.subarray(start + at * FRAME, start + (at + 1) * FRAME);
    assert.is(await refused(bytes, createCurvePair()), "BAD_SIGNATURE");
    assert.is(await refused(flip(bytes.length - 1)), "BAD_SIGNATURE");
    assert.is(await refused(flip(start + 30)), "BAD_SIGNATURE");
    assert.is(
      await refused(bytes.subarray(0, start + 2 * FRAME)),
      "BAD_SIGNATURE",
      "the last frame is missing",
    );
    assert.is(await refused(bytes.subarray(0, bytes.length - 7)), "BAD_SIGNATURE");
    const moved = Buffer.concat([bytes.subarray(0, start), frame(1), frame(0), frame(2)]);
    assert.is(await refused(moved), "BAD_SIGNATURE");
    const other_fleet = Buffer.from(bytes);
    other_fleet.write("mab", other_fleet.indexOf('"lab"') + 1);
    assert.is(await refused(other_fleet), "BAD_SIGNATURE");
    assert.is(await refused(Buffer.from("no backup at all")), "INVALID");
  });
});

suite("ctl: where backups go", (test) => {
  test("has a name that says when, and reads it back", () => {
    const name = backupName("as64500", AT);
    assert.is(name, "as64500-20261125T164200Z.muster");
    assert.is(timeOfName(name), AT);
    assert.is(timeOfName("notes.txt"), null);
  });

  test("keeps to its own fleet's files, and refuses what is no place", async () => {
    const { path, release } = await temporaryDirectory("place");
    const place = placeOf(path, new AbortController().signal);
    const file = join(path, "made");
    await writeFile(file, "x");
    for (const name of [backupName("lab", AT + 1_000), backupName("lab", AT), backupName("lab-2", AT)])
      await place.put(file, name);
    assert.equal(await place.list("lab"), [backupName("lab", AT), backupName("lab", AT + 1_000)]);
    assert.throws(() => placeOf("backups", new AbortController().signal), /must be a directory/);
    assert.throws(() => placeOf("ftp://x", new AbortController().signal), /must be a directory/);
    await release();
  });

  test("is told loudly when it is not set, fails or is late", () => {
    const good = { to: "/mnt/backup", ok_at: AT, size_bytes: 1, error: null };
    const hour_ms = 3_600_000;
    assert.is(backupTrouble(undefined, AT), null);
    assert.match(backupTrouble(null, AT)?.what ?? "", /^NOT SET/);
    assert.is(backupTrouble(good, AT + 35 * hour_ms), null);
    const late = backupTrouble(good, AT + 37 * hour_ms);
    assert.is(late?.tint, "red");
    assert.match(late?.what ?? "", /LATE.*1 d 13 h ago/);
    assert.match(backupTrouble({ ...good, error: "disk full" }, AT)?.what ?? "", /FAILED: disk full/);
  });
});
