/** systemd's port: one process a round, what it reads, what it orders. */
import { createSystemd } from "@muster/agent/ports/systemd";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";
import { fakeSystemctl } from "./fake-systemctl.ts";

const ssh = () => ({
  active: "active",
  file_state: "enabled",
  reload: true,
  fragment: "/lib/systemd/system/ssh.service",
});

suite("systemd port", (test) => {
  test("a hundred questions at once are one process", async ({ signal }) => {
    const fake = fakeSystemctl();
    const systemd = createSystemd(fake.run);
    fake.units.set("ssh.service", ssh());
    const names = Array.from({ length: 100 }, (_, n) => `unit${n}`);
    const answers = await Promise.all([...names, "ssh"].map((name) => systemd.units([name], signal)));
    assert.is(fake.shows, 1);
    assert.is(answers[0]?.get("unit0")?.loaded, false);
    const found = answers.at(-1)?.get("ssh");
    assert.is(found?.active, "active");
    assert.is(found?.enabled, true);
    assert.is(found?.can_reload, true);
    assert.is(found?.active_since_ms, Date.UTC(2026, 10, 21, 9, 59, 6));
    await systemd.units(["ssh"], signal);
    assert.is(fake.shows, 2);
  });

  test("a template without an instance does not spoil the answer for the others", async ({ signal }) => {
    const fake = fakeSystemctl();
    fake.units.set("ssh.service", ssh());
    const found = await createSystemd(fake.run).units(["getty@", "ssh"], signal);
    assert.is(found.get("getty@")?.loaded, false);
    assert.is(found.get("ssh")?.loaded, true);
  });

  test("a failed order carries systemd's words", async ({ signal }) => {
    try {
      await createSystemd(fakeSystemctl().run).act("start", "nope", signal);
      assert.unreachable();
    } catch (error) {
      assert.ok(error instanceof FleetError);
      assert.is(error.code, "COMMAND_FAILED");
      assert.match(error.detail, /Unit nope\.service not found/);
    }
  });

  test("arming replaces the timer of that name; notify speaks only inside a notify unit", async ({
    signal,
  }) => {
    const fake = fakeSystemctl();
    await createSystemd(fake.run).arm("muster-undo-1", 61_000, ["/usr/bin/muster-agent", "undo"], signal);
    assert.equal(fake.done, [
      "systemctl stop muster-undo-1.timer",
      "systemd-run --unit=muster-undo-1 --on-active=61000ms --timer-property=AccuracySec=100ms --collect --quiet -- /usr/bin/muster-agent undo",
    ]);
    await createSystemd(fake.run, { environment: {} }).notify({ ready: true });
    assert.is(fake.done.length, 2);
    await createSystemd(fake.run, { environment: { NOTIFY_SOCKET: "/run/x" } }).notify({
      ready: true,
      status: "up\nnow",
    });
    assert.is(fake.done[2], "systemd-notify --ready --status=up now");
  });
});
