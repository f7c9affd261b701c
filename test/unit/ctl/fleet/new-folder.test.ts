/** What `ctl new` writes is a folder that ctl itself reads without a complaint, with what the hosts said of themselves. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as assert from "uvu/assert";
import { newFolder } from "../../../../packages/ctl/src/fleet/new-folder.ts";
import { compileFleet, loadFleet } from "../../../../packages/ctl/src/inventory/fleet.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";

const router = {
  name: "ixp1",
  groups: [],
  addresses: ["fe80::1", "192.0.2.11", "2001:db8::11"],
  router_id: "198.51.100.11",
  local_as: 64500,
  sessions: [{ name: "upstream", neighbor: "2001:db8:ffff::1", as: 64496 }],
};
const bare = { name: "core1", groups: [], addresses: null, router_id: null, local_as: null, sessions: [] };

suite("ctl: a new folder", (test) => {
  const read = async (files: Record<string, string>) => {
    const { path, release } = await temporaryDirectory("new");
    try {
      for (const [name, text] of Object.entries(files)) {
        await mkdir(dirname(join(path, name)), { recursive: true });
        await writeFile(join(path, name), text);
      }
      return await loadFleet(path);
    } finally {
      await release();
    }
  };

  test("is read without a complaint, and holds what was found", async () => {
    const loaded = await read(newFolder("lab", [router, bare], ["2001:db8::11"]));
    assert.equal(loaded.problems, []);
    assert.equal([...loaded.fleet.hosts.keys()].sort(), ["core1", "ixp1"]);
    const ixp1 = loaded.fleet.hosts.get("ixp1");
    assert.equal(ixp1?.groups, ["ixp", "routers"]);
    assert.is(ixp1?.variables.get("ansible_host"), "2001:db8::11");
    assert.is(ixp1?.variables.get("router_id"), "198.51.100.11");
    assert.is(ixp1?.variables.get("asn"), 64500);
    const compiled = compileFleet(loaded).find(({ host }) => host === "ixp1");
    assert.equal(
      compiled?.resources.map(({ kind, name }) => `${kind}/${name}`),
      ["service/ssh"],
    );
  });

  test("of no hosts yet is a folder too", async () => {
    const loaded = await read(newFolder("lab", [], []));
    assert.equal(loaded.problems, []);
    assert.is(loaded.fleet.hosts.size, 0);
  });
});
