/** The recovery kit's use on a real broker and controller: whoever has it, with whatever program, is told by an event, in `ctl status` and in the audit. */
import { callController } from "@muster/ports/call";
import * as assert from "uvu/assert";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";
import { type Ground, startGround } from "../ground.ts";

suite("use of the recovery kit", (test) => {
  const life = new AbortController();
  let ground: Ground;
  test.before(async () => {
    ground = await startGround(["core1"], life.signal);
    await ground.write("muster.yml", "fleet: as64500\n");
    await ground.write("hosts.yml", "core: { hosts: { core1: {} } }\n");
  });
  test.after(async () => {
    life.abort();
    await ground.stop();
  });

  test("it shows in status from then on, and in events and audit, though its user says nothing", async () => {
    const before = await ground.run("status");
    assert.not.match(before.out, /recovery kit/);
    const { bus } = await ground.fleet.connect("operator", "kit", life.signal);
    const kit = { bus, signer: await ground.fleet.person("kit", "kit"), now: Date.now };
    await callController(kit, "hosts", { after: null, limit: 1 });
    await eventually(async () => {
      const { out } = await ground.run("status");
      assert.match(
        out,
        /^kit {2}the recovery kit was used \d\d:\d\d.*: hosts with the recovery kit by kit /m,
        out,
      );
    }, 20_000);
    const json = JSON.parse((await ground.run("status --json")).out);
    assert.match(json.kit_used.what, /hosts with the recovery kit by kit/);
    assert.match((await ground.run("events --kind kit")).out, /hosts with the recovery kit by kit/);
    await callController(kit, "note", { what: "kit", target: "the bus", result: "done" });
    assert.match((await ground.run("audit")).out, /kit \(recovery kit\)/);
  });
});
