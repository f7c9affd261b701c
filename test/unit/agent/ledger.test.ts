/** The ledger against crashes and damage: half files, cut files, damaged ones; and its bounds. */
import { existsSync, readdirSync, readFileSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Accepted, Ledger } from "@muster/agent/ledger";
import { hashOfContent, type Manifest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
import { suite } from "../../kit/suite.ts";

const manifestOf = (generation: number): Manifest => {
  const content = { groups: [], labels: { n: String(generation) }, resources: [], switches: [] };
  return {
    v: 1,
    fleet: "lab",
    host: "core1",
    id: `U${"A".repeat(55)}`,
    generation,
    release: { id: "0".repeat(32), return_to: null, not_after: 1 },
    content,
    content_hash: hashOfContent(content),
    intent: { message: "", plan_index: null, overwrite: [], force: false, within_ms: null },
    rolled_back: {},
  };
};
const acceptedOf = ({ generation, content_hash }: Manifest): Accepted => ({
  generation,
  content_hash,
  signed_at: 1,
  by: "alice",
  kit: false,
  admitted: true,
});
/** Accepts it, and no more: it is not judged yet. */
const take = async (ledger: Ledger, generation: number) => {
  const manifest = manifestOf(generation);
  const accepted = acceptedOf(manifest);
  const body = Buffer.from(JSON.stringify(manifest)).toString("base64");
  await ledger.accept(manifest, { headers: {}, body }, accepted);
  return accepted;
};
const accept = async (ledger: Ledger, generation: number) => {
  const accepted = await take(ledger, generation);
  await ledger.update({ in_force: accepted });
  return accepted;
};

suite("ledger", (test) => {
  let place: Awaited<ReturnType<typeof temporaryDirectory>>;
  const file = () => join(place.path, "ledger.json");
  const reopen = () => Ledger.open(file(), join(place.path, "manifests"));
  test.before.each(async () => {
    place = await temporaryDirectory("ledger");
  });
  test.after.each(() => place.release());

  test("nothing on disk is an empty ledger", async () => {
    const ledger = await reopen();
    assert.is(ledger.state.accepted, null);
    assert.is(ledger.damaged, null);
  });

  test("what was accepted is there after a restart", async () => {
    const accepted = await accept(await reopen(), 3);
    const again = await reopen();
    assert.equal(again.state.in_force, accepted);
    assert.is((await again.manifest(accepted)).generation, 3);
  });

  test("what was accepted is there after a crash before the ledger names it", async () => {
    const ledger = await reopen();
    const before = await accept(ledger, 3);
    const accepted = { ...(await take(ledger, 4)), admitted: false };
    const path = join(place.path, "manifests", `4-${accepted.content_hash}.json`);
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), accepted }));
    assert.is(
      JSON.parse(readFileSync(file(), "utf8")).accepted.generation,
      3,
      "it broke off between the two",
    );
    const again = await reopen();
    assert.equal(again.state, { ...ledger.state, accepted, in_force: before });
    assert.is((await again.manifest(accepted)).generation, 4);
    assert.is(again.damaged, null);
  });

  test("what its file alone would not bring back is named by the ledger at once", async () => {
    const named = () => JSON.parse(readFileSync(file(), "utf8")).accepted.generation;
    const ledger = await reopen();
    await take(ledger, 3);
    assert.is(named(), 3, "the first of all");
    await ledger.update({ refused: [{ generation: 4, content_hash: "0".repeat(64) }] });
    await take(ledger, 4);
    assert.is(named(), 4, "a number that was refused with other content");
  });

  test("what was refused does not come back, nor what it came after", async () => {
    const ledger = await reopen();
    const good = await accept(ledger, 3);
    await take(ledger, 4);
    const { generation, content_hash } = await take(ledger, 5);
    await ledger.update({ accepted: good, refused: [{ generation, content_hash }] });
    assert.equal((await reopen()).state.accepted, good);
  });

  test("an accepted one that was damaged before the ledger named it: the one before, and it says so", async () => {
    const ledger = await reopen();
    const good = await accept(ledger, 3);
    const { content_hash } = await take(ledger, 4);
    const path = join(place.path, "manifests", `4-${content_hash}.json`);
    truncateSync(path, 40);
    const again = await reopen();
    assert.equal(again.state.accepted, good);
    assert.match(again.damaged ?? "", /4-\w+\.json/);
    await take(again, 4);
    assert.is((await reopen()).state.accepted?.generation, 4, "it may come again");
  });

  test("an accepted one of another content than it was: the one before, and it says so", async () => {
    const ledger = await reopen();
    const good = await accept(ledger, 3);
    const { content_hash } = await take(ledger, 4);
    const path = join(place.path, "manifests", `4-${content_hash}.json`);
    const kept = JSON.parse(readFileSync(path, "utf8"));
    kept.envelope.body = Buffer.from(JSON.stringify(manifestOf(9))).toString("base64");
    writeFileSync(path, JSON.stringify(kept));
    const again = await reopen();
    assert.equal(again.state.accepted, good);
    assert.match(again.damaged ?? "", /generation 4/);
  });

  test("a manifest half written is none", async () => {
    const good = await accept(await reopen(), 3);
    writeFileSync(join(place.path, "manifests", `4-${"0".repeat(64)}.json.new`), '{"envelope":{');
    const again = await reopen();
    assert.equal(again.state.accepted, good);
    assert.is(again.damaged, null);
  });

  test("a ledger that is lost begins anew, also where manifests are left", async () => {
    const ledger = await reopen();
    await accept(ledger, 3);
    await take(ledger, 4);
    unlinkSync(file());
    unlinkSync(`${file()}.previous`);
    assert.is((await reopen()).state.accepted, null);
  });

  test("a half-written new file beside it changes nothing", async () => {
    await accept(await reopen(), 3);
    writeFileSync(`${file()}.new`, '{"v":1,"acc');
    assert.is((await reopen()).state.accepted?.generation, 3);
  });

  test("a cut file: the version before, and it says so", async () => {
    const ledger = await reopen();
    await accept(ledger, 3);
    await accept(ledger, 4);
    truncateSync(file(), 40);
    const again = await reopen();
    assert.is(again.state.accepted?.generation, 4);
    assert.is(again.state.in_force?.generation, 3);
    assert.match(again.damaged ?? "", /ledger\.json/);
  });

  test("a file that somebody took away: the version before, and it says so", async () => {
    const ledger = await reopen();
    await accept(ledger, 3);
    await accept(ledger, 4);
    unlinkSync(file());
    const again = await reopen();
    assert.is(again.state.accepted?.generation, 4);
    assert.match(again.damaged ?? "", /ledger\.json is not there$/);
    assert.is((await reopen()).damaged, again.damaged, "as long as nothing is written");
  });

  test("both damaged: it begins anew, says so, and keeps the damaged one for people", async () => {
    await accept(await reopen(), 3);
    writeFileSync(file(), "\0\0\0");
    writeFileSync(`${file()}.previous`, "[]");
    const again = await reopen();
    assert.is(again.state.accepted, null);
    assert.match(again.damaged ?? "", /set aside/);
    assert.ok(existsSync(`${file()}.damaged`));
  });

  test("a manifest that was altered on disk is not taken", async () => {
    const accepted = await accept(await reopen(), 3);
    const path = join(place.path, "manifests", `3-${accepted.content_hash}.json`);
    const kept = JSON.parse(readFileSync(path, "utf8"));
    kept.envelope.body = Buffer.from(JSON.stringify(manifestOf(9))).toString("base64");
    writeFileSync(path, JSON.stringify(kept));
    let code = "";
    try {
      await (await reopen()).manifest(accepted);
    } catch (error) {
      code = error instanceof FleetError ? error.code : String(error);
    }
    assert.is(code, "ALTERED");
  });

  test("keeps a few manifests to return to, and not more", async () => {
    const ledger = await reopen();
    for (let generation = 1; generation <= 20; generation++) await accept(ledger, generation);
    const kept = readdirSync(join(place.path, "manifests")).filter((name) => name.endsWith(".json"));
    assert.is(kept.length, 6);
    assert.is((await ledger.byContent(manifestOf(17).content_hash))?.generation, 17);
    assert.is(await ledger.byContent(manifestOf(2).content_hash), null);
  });

  test("writers at once: none loses another's change, and each computes on top of the one before", async () => {
    const ledger = await reopen();
    const at = Array.from({ length: 20 }, (_, n) => n);
    await Promise.all([
      ledger.update({ returned_to: "0".repeat(64) }),
      ...at.map((n) => ledger.update(({ making }) => ({ making: [...making, `file//etc/${n}`] }))),
      accept(ledger, 3),
      ledger.update({ bird_changed_at: 7 }),
    ]);
    const { state } = await reopen();
    assert.equal(
      state.making,
      at.map((n) => `file//etc/${n}`),
    );
    assert.is(state.returned_to, "0".repeat(64));
    assert.is(state.bird_changed_at, 7);
    assert.is(state.accepted?.generation, 3);
  });

  test("a change that cannot be computed changes nothing, and the next one goes on", async () => {
    const ledger = await reopen();
    const failed = ledger.update(() => {
      throw new FleetError("TOO_LARGE", "no");
    });
    const next = ledger.update({ bird_changed_at: 7 });
    assert.is(await failed.catch((error) => error.code), "TOO_LARGE");
    await next;
    assert.is((await reopen()).state.bird_changed_at, 7);
  });

  test("a place of manifests that cannot be listed is an error, not an empty one", async () => {
    writeFileSync(join(place.path, "manifests"), "no directory");
    const ledger = await reopen();
    assert.match(ledger.damaged ?? "", /manifests: ENOTDIR/);
    const said = await ledger.byContent("0".repeat(64)).catch((error) => error);
    assert.is(said instanceof FleetError && said.code, "FAILED");
  });
});
