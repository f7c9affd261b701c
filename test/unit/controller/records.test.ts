/** Host records on a real broker: a host that was renamed, once and again, is found by its key under the name that it has, whatever is read in between. */
import { createNkey, FleetError, type HostRecord } from "@muster/protocol";
import * as assert from "uvu/assert";
import { HostRecords } from "../../../packages/controller/src/records/hosts.ts";
import { Storage } from "../../../packages/controller/src/records/storage.ts";
import { SSH_PUBLIC_KEY, startFleet, type TestFleet } from "../../kit/fleet.ts";
import { suite } from "../../kit/suite.ts";

suite("host records", (test) => {
  const life = new AbortController();
  const by = { at: 1, by: "alice" };
  let fleet: TestFleet;
  let records: HostRecords;
  const read = async (): Promise<HostRecords> => {
    const fresh = new HostRecords((await fleet.connect("controller", "another", life.signal)).bus);
    await fresh.load();
    return fresh;
  };
  const enrolled = async (name: string): Promise<string> => {
    const id = createNkey("user").public;
    const record: HostRecord = {
      ...{ name, id, ssh_public_key: SSH_PUBLIC_KEY, curve: "X", groups: [], state: "enrolled" },
      ...{ enrolled_at: 1, enrolled_by: "alice", recoveries: 0, os: "test", agent_version: "0" },
      certificates: { user_jwt: 1, service: 1, ssh: 1 },
    };
    await records.write(record, null);
    return id;
  };
  const code = (work: Promise<unknown>) =>
    work.then(
      () => "done",
      (error: unknown) => (error instanceof FleetError ? error.code : String(error)),
    );

  test.before(async () => {
    fleet = await startFleet();
    records = new HostRecords((await fleet.connect("controller", "one", life.signal)).bus);
  });
  test.after(async () => {
    life.abort();
    await fleet.stop();
  });

  test("its groups and labels are those that were ordered last, and written only where that is news", async () => {
    const id = await enrolled("g1");
    const said = { groups: ["ixp", "core"], labels: { site: "ams", exchange: "locix" } };
    await records.regroup("g1", said);
    const first = await records.fetch("g1");
    assert.equal(
      [first?.record.id, first?.record.groups, first?.record.labels],
      [id, ...Object.values(said)],
    );
    const turned = { groups: ["core", "ixp"], labels: { exchange: "locix", site: "ams" } };
    for (const known of [records, await read()]) await known.regroup("g1", turned);
    assert.is((await records.fetch("g1"))?.revision, first?.revision);
    await (await read()).regroup("g1", { ...said, labels: { site: "fra" } });
    assert.equal((await records.fetch("g1"))?.record.labels, { site: "fra" });
    await enrolled("g2");
    await records.regroup("g2", { groups: [], labels: {} });
    assert.equal((await records.fetch("g2"))?.record.labels, {});
    await records.regroup("nobody", said);
  });

  test("renamed twice, and back: found under the last name, also after an old name was looked at", async () => {
    const id = await enrolled("m1");
    const chain = ["m1", "z1", "a1", "m1", "b1"];
    for (const [at, name] of chain.slice(0, -1).entries()) {
      const to = chain[at + 1] ?? "";
      assert.is(await records.rename({ name, id }, to, by), true);
      for (const old of chain.slice(0, at + 1)) if (old !== to) await records.fetch(old);
      for (const known of [records, await read()]) assert.is(known.nameOf(id), to);
    }
    assert.is(await records.rename({ name: "m1", id }, "b1", by), false);
    assert.equal(
      [...new Set(chain)].map((name) => records.byName(name)?.state),
      ["renamed", "renamed", "renamed", "enrolled"],
    );
  });

  test("broken off between its two halves: the new name counts, and the same again ends it", async () => {
    const id = await enrolled("x1");
    const kept = await records.fetch("x1");
    if (kept === null) throw new Error("x1 is not there");
    await records.write({ ...kept.record, name: "y1", renamed_from: "x1" }, null);
    for (const known of [records, await read()]) {
      await known.fetch("x1");
      assert.is(known.nameOf(id), "y1");
    }
    assert.is(await records.rename({ name: "x1", id }, "y1", by), true);
    assert.is((await read()).byName("x1")?.state, "renamed");
  });

  test("another's name, another's key and a name that was are refused; a freed one is nobody's", async () => {
    const [one, other] = [await enrolled("c1"), await enrolled("d1")];
    assert.is(await code(records.rename({ name: "c1", id: one }, "d1", by)), "NAME_TAKEN");
    assert.is(await code(records.rename({ name: "c1", id: other }, "e1", by)), "CONFLICT");
    assert.is(await code(records.rename({ name: "nobody", id: one }, "e1", by)), "NOT_FOUND");
    await records.rename({ name: "c1", id: one }, "e1", by);
    assert.is(await code(records.rename({ name: "c1", id: one }, "f1", by)), "NOT_ALLOWED");
    assert.is(await code(records.rename({ name: "d1", id: other }, "c1", by)), "NAME_TAKEN");
    assert.is(await records.clear("c1"), true);
    assert.is(await records.rename({ name: "d1", id: other }, "c1", by), true);
    assert.equal([records.nameOf(other), records.nameOf(one)], ["c1", "e1"]);
  });
});

suite("whether the broker stores", (test) => {
  test("a stream that takes nothing is told while another goes on, and until it takes something again", async () => {
    let now = 1_000;
    const storage = new Storage(() => now);
    const late = () => Promise.reject(new FleetError("TIMEOUT", "its disk may be full"));
    await storage.noted("audit", late).catch(() => undefined);
    now = 2_000;
    await storage.noted("audit", late).catch(() => undefined);
    storage.failed("lease", new FleetError("FAILED", "no space left on device"));
    storage.answered("lease");
    assert.is(storage.stalled_since, 1_000);
    assert.is(await storage.noted("audit", async () => "stored"), "stored");
    storage.failed("lease", new FleetError("BUS_UNREACHABLE", "that is another matter"));
    assert.is(storage.stalled_since, null);
  });
});
