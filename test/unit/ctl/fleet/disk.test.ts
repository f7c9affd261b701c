/** What `ctl` writes to its files, and what a write that was killed leaves beside them. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { removeUnfinished, writeText } from "../../../../packages/ctl/src/fleet/disk.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";

suite("files that ctl keeps", (test) => {
  test("what a killed write left is removed, in directories below too, and nothing else", async () => {
    const { path, release } = await temporaryDirectory("disk");
    await writeText(join(path, "vault/tls.key"), "whole");
    const left = ["fleet.json.0123456789ab", "vault/tls.key.8625063c3e3a"];
    const others = ["vault/raft.0123", "host.example", "vault/x.0123456789abc", "0123456789ab"];
    await mkdir(join(path, "dir.0123456789"), { recursive: true });
    for (const name of [...left, ...others]) await writeFile(join(path, name), "x");
    await removeUnfinished(path);
    const names = await readdir(path, { recursive: true });
    assert.equal(names.toSorted(), ["dir.0123456789", "vault", "vault/tls.key", ...others].toSorted());
    assert.is(await readFile(join(path, "vault/tls.key"), "utf8"), "whole");
    await release();
  });
});
