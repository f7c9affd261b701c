/** Small files of the agent's own: what is written at once is whole, and closed to others. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lookAtKept, writeInMemory } from "@muster/agent/store";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { z } from "zod";
import { temporaryDirectory } from "../../kit/child.ts";
import { suite } from "../../kit/suite.ts";

suite("files of the agent's own", (test) => {
  let place: Awaited<ReturnType<typeof temporaryDirectory>>;
  test.before.each(async () => {
    place = await temporaryDirectory("store");
  });
  test.after.each(() => place.release());

  test("one in memory is whole, closed to others, and nothing is left beside it", () => {
    const path = join(place.path, "run", "status.json");
    writeInMemory(path, "first");
    writeFileSync(`${path}.new`, "what a crash left", { mode: 0o644 });
    chmodSync(`${path}.new`, 0o644);
    writeInMemory(path, "second");
    assert.is(readFileSync(path, "utf8"), "second");
    assert.is(statSync(path).mode & 0o777, 0o600);
    assert.equal(readdirSync(join(place.path, "run")), ["status.json"]);
  });

  test("one in memory that cannot be written is told, and nothing is left beside it", () => {
    const path = join(place.path, "status.json");
    mkdirSync(path);
    let said: unknown = null;
    try {
      writeInMemory(path, "text");
    } catch (error) {
      said = error;
    }
    assert.ok(said instanceof FleetError && said.code === "FAILED", String(said));
    assert.match(String(said), /status\.json: /);
    assert.equal(readdirSync(place.path), ["status.json"]);
  });

  test("one that is not there is none, and one that cannot be read is an error", async () => {
    const missing = await lookAtKept(join(place.path, "none.json"), z.unknown());
    assert.equal(missing, { value: null, damaged: null });
    mkdirSync(join(place.path, "a.json"));
    const said = await lookAtKept(join(place.path, "a.json"), z.unknown()).catch((error) => error);
    assert.ok(said instanceof FleetError && said.code === "FAILED", String(said));
  });
});
