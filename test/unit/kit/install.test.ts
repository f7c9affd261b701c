/**
 * When the test command installs: only when node_modules does not hold what the lock file wants, and never through a
 * link, where `npm ci` would empty another tree's libraries. Nothing is installed here, only asked.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const script = new URL("../../../scripts/install.mjs", import.meta.url).href;

function reason(folder: string): string {
  const code = `import { reasonToInstall } from ${JSON.stringify(script)}; console.log(reasonToInstall(process.argv[1]))`;
  return execFileSync(process.execPath, ["--input-type=module", "-e", code, folder], {
    encoding: "utf8",
  }).trim();
}

suite("install", (test) => {
  let folder = "";
  const lock = (file: string, packages: Record<string, object>) => {
    const text = JSON.stringify({ packages });
    writeFileSync(join(folder, file), text);
    return createHash("sha256").update(text).digest("hex");
  };

  test.before.each(() => {
    folder = mkdtempSync(join(tmpdir(), "muster-install-"));
    lock("package-lock.json", { "": {}, "node_modules/a": { version: "1.2.3" }, "packages/own": {} });
    mkdirSync(join(folder, "node_modules/a"), { recursive: true });
  });
  test.after.each(() => rmSync(folder, { recursive: true, force: true }));

  test("when there is no node_modules", () => {
    rmSync(join(folder, "node_modules"), { recursive: true });
    assert.is(reason(folder), "node_modules is missing");
  });

  test("not when it holds what is wanted, other platforms' packages aside", () => {
    lock("package-lock.json", {
      "node_modules/a": { version: "1.2.3" },
      "node_modules/a-win32": { version: "1.2.3", optional: true },
    });
    lock("node_modules/.package-lock.json", { "node_modules/a": { version: "1.2.3" } });
    assert.is(reason(folder), "undefined");
  });

  test("when a package is absent, of another version, or deleted", () => {
    lock("node_modules/.package-lock.json", {});
    assert.is(reason(folder), "node_modules/a is not installed");
    lock("node_modules/.package-lock.json", { "node_modules/a": { version: "1.0.0" } });
    assert.is(reason(folder), "node_modules/a is 1.0.0, the lock file wants 1.2.3");
    lock("node_modules/.package-lock.json", { "node_modules/a": { version: "1.2.3" } });
    rmSync(join(folder, "node_modules/a"), { recursive: true });
    assert.is(reason(folder), "node_modules/a is gone");
  });

  test("not twice for the same lock file, whatever npm made of it", () => {
    lock("node_modules/.package-lock.json", {});
    const hash = lock("package-lock.json", { "node_modules/b": { version: "1.0.0" } });
    writeFileSync(join(folder, "node_modules/.muster-installed"), hash);
    assert.is(reason(folder), "undefined");
  });

  test("not through a link", () => {
    lock("node_modules/.package-lock.json", {});
    renameSync(join(folder, "node_modules"), join(folder, "elsewhere"));
    symlinkSync(join(folder, "elsewhere"), join(folder, "node_modules"));
    assert.is(reason(folder), "undefined");
  });
});
