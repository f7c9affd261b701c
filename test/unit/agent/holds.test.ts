/** Holds made on the host whose file the disk damages: those of the version before hold, and that is told once. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addLocalHold } from "@muster/agent/holds";
import { type ReconcileDoor, Reconciler } from "@muster/agent/reconcile";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const NOW = 1_795_000_000_000;

suite("holds made on the host", (test) => {
  let directory: string;
  test.before(() => {
    directory = mkdtempSync(join(tmpdir(), "muster-holds-"));
  });
  test.after(() => rmSync(directory, { recursive: true }));

  test("damaged on disk: the version before holds, and an event says so once, and again when it happens again", async () => {
    const file = join(directory, "holds.json");
    const told: string[] = [];
    const door = {
      ...{ holds_file: file, ledger: { state: { switches: [] } }, ports: { now: () => NOW } },
      events: {
        tell: ({ severity, what }: { severity: string; what: string }) => told.push(`${severity} ${what}`),
      },
    } as unknown as ReconcileDoor;
    const reconciler = new Reconciler(door);
    const held = async () => (await reconciler.holds()).map(({ ref }) => ref);
    const hold = (ref: string) => addLocalHold(file, { ref, why: "x", by: "bob", at: NOW, until: null }, NOW);
    await hold("file//etc/one");
    await hold("file//etc/two");
    assert.equal(await held(), ["file//etc/one", "file//etc/two"]);
    assert.equal(told, []);
    writeFileSync(file, '{"holds":[{"ref":"fi');
    assert.equal(await held(), ["file//etc/one"]);
    assert.equal(await held(), ["file//etc/one"]);
    assert.is(told.length, 1);
    assert.match(
      told[0] ?? "",
      /^error the holds that were made on this host were damaged, those of the version before hold: .*holds\.json/,
    );
    await hold("file//etc/three");
    assert.equal(await held(), ["file//etc/one", "file//etc/three"]);
    writeFileSync(file, "{");
    // What lies before it is the damaged one by now: neither can be read, and that is an error.
    await assertFails(held());
    assert.equal(await held(), []);
  });
});

async function assertFails(work: Promise<unknown>): Promise<void> {
  const error = await work.then(
    () => null,
    (caught: unknown) => caught,
  );
  assert.match(String(error), /set aside/);
}
