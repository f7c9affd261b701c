/**
 * The last part of the story of a first fleet: the first server is destroyed for good. From the recovery kit and a backup on another machine a bare
 * server with an address that nobody knew takes its place. One host finds it under the old name, the other is told over ssh; both kept running.
 */
import * as assert from "uvu/assert";
import type { Test } from "../kit/suite.ts";
import { install } from "./debian.ts";
import { type Fleet, measured } from "./kit.ts";
import type { Machine } from "./machine.ts";

type On = (
  machine: Machine,
  line: string,
  limit_ms?: number,
) => Promise<{ code: number; stdout: string; stderr: string }>;

export type Stage = {
  readonly name: string;
  /** The name under which hosts look for the first server. */
  readonly hub: string;
  readonly mirror: boolean;
  machines(): { fleet: Fleet; core: Machine; spare: Machine; ixp: Machine; probe: Machine; desk: Machine };
  readonly on: On;
  readonly must: (machine: Machine, line: string) => Promise<string>;
};

const BACK_MS = 60_000;

export function restored(test: Test, { name, hub, mirror, machines, on, must }: Stage): void {
  const place = mirror ? `rclone:off/backups/${name}` : "/mnt/backup";
  let kit = "";
  let backup = "";
  let applied = 0;
  let before: { lock: string; kept: string };

  const generation = async (machine: Machine) =>
    Number(
      /generation (\d+)/.exec(
        await machine.sh("systemctl show muster-agent --property=StatusText --value"),
      )?.[1],
    );
  /** In place: the engine holds on to the file. */
  const unname = `grep -v ' ${hub}$' /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts`;
  const keptOf = async ({ ixp, probe }: { ixp: Machine; probe: Machine }) => {
    const line =
      "systemctl show muster-agent bird ssh --property=Id,MainPID; sha256sum /var/lib/muster-agent/keys.json; cat /etc/motd";
    return (await Promise.all([ixp, probe].map((machine) => must(machine, line)))).join("\n");
  };
  const resource = (text: string) =>
    `printf '%s\\n' 'file: { /etc/motd: { content: "${text}\\n" } }' >/root/fleet/resources/ixp.yml; cp /root/fleet/resources/ixp.yml /root/fleet/resources/probe.yml`;

  if (!mirror) test.skip("backups by rclone", "no Debian mirror answers here: they go to a directory");

  test("a backup lies on another machine, and more is applied after it", async () => {
    const { core, desk, spare, ixp, probe } = machines();
    const apply = `cd /root/fleet && ctl apply ixp9,probe9 -y -m`;
    await must(desk, `mkdir -p /root/fleet/resources; ${resource("before the backup")}; ${apply} 'a motd'`);
    if (mirror) {
      // What an operator has anyway: a machine elsewhere that takes sftp.
      await Promise.all([core, spare].map((machine) => install(machine, "rclone")));
      const key = await must(
        core,
        "mkdir -p -m 0700 /root/.ssh; [ -e /root/.ssh/backup ] || ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/backup; cat /root/.ssh/backup.pub",
      );
      await desk.sh("mkdir -p -m 0700 /root/.ssh; cat >>/root/.ssh/authorized_keys", {
        input: key,
      });
      const { ipv6 } = await desk.facts();
      const remote = `rclone config create off sftp host='[${ipv6}]' user=root key_file=/root/.ssh/backup --non-interactive >/dev/null`;
      await must(core, remote);
      const secret = await must(core, "cat /root/.ssh/backup");
      await spare.sh("mkdir -p -m 0700 /root/.ssh; umask 077; cat >/root/.ssh/backup", { input: secret });
      await must(spare, remote);
      const wrong = await on(core, `ctl backup to rclone:nowhere/${name}`);
      assert.is(wrong.code, 1, wrong.stdout);
      assert.match(wrong.stderr, /rclone .*nowhere/);
    }
    const made = await must(core, `ctl backup to ${place} --keep 1`);
    backup = /^backup +(\S+\.muster)/m.exec(made)?.[1] ?? "";
    assert.match(made, new RegExp(`to ${place.replace("/", ".")} in `));
    if (mirror) {
      // Only what is kept stays there, and whole.
      await must(core, "sleep 1; ctl backup");
      const there = (await must(desk, `ls /root/backups/${name}`)).trim().split("\n");
      assert.is(there.length, 1, there.join());
      backup = there[0] ?? "";
    }
    kit = await must(core, `cat /root/${name}.kit`);
    await must(desk, `${resource("after the backup")}; ${apply} 'another motd'`);
    applied = await generation(ixp);
    before = {
      lock: await must(desk, "cat /root/fleet/hosts.lock"),
      kept: await keptOf({ ixp, probe }),
    };
    if (!mirror) {
      const bytes = await must(core, `base64 -w0 /mnt/backup/${backup}`);
      await spare.sh(`mkdir -p /mnt/backup; base64 -d >/mnt/backup/${backup}`, { input: bytes });
    }
  });

  test(
    "destroyed for good, it is made again elsewhere, and the old hosts come back by themselves",
    async () => {
      const { fleet, core, spare, desk, ixp, probe } = machines();
      await spare.sh(`umask 077; cat >/root/${name}.kit`, { input: kit });
      const apt = "cd /root && DEBIAN_FRONTEND=noninteractive apt-get -y -q install ./muster.deb";
      await Promise.all([core.remove(), must(spare, apt)]);
      const { ipv6 } = await spare.facts();
      const line = (from: string) =>
        `ctl restore /root/${name}.kit --from ${from} --address core2.${name}.example --address ${ipv6} --password-file /root/password --passphrase-file /root/passphrase`;
      const taken = await on(spare, `${line(place)} --name core9`);
      assert.is(taken.code, 1, taken.stdout);
      assert.match(taken.stderr, /core9 is the server that is gone, and its name stays with its key/);
      const nothing = await on(spare, line("/mnt"));
      assert.match(nothing.stderr, /\/mnt has no backup of/);
      // The old name leads to the new machine for the laptop and for probe9; ixp9 knows nothing of it.
      const point = `${unname}; echo '${ipv6} ${hub}' >>/etc/hosts`;
      await Promise.all([desk, probe].map((machine) => machine.sh(point)));
      await ixp.sh(unname);

      const begun_ms = performance.now();
      const [told, led] = await Promise.all([
        on(spare, line(place), 240_000),
        (async () => {
          // A person at the laptop, as soon as the new server takes a log-in.
          await fleet.until(
            "alice logs in at the new server and sees its hosts",
            async () =>
              (
                await on(
                  desk,
                  "ctl login alice --password-file /root/password && cd /root/fleet && ctl hosts",
                )
              ).code === 0,
            150_000,
          );
          return on(desk, "cd /root/fleet && ctl join ixp9 --ssh");
        })(),
      ]);
      measured("ctl restore until all hosts are back", `${Math.round(performance.now() - begun_ms)} ms`);
      assert.is(led.code, 0, led.stdout + led.stderr);
      assert.match(led.stdout, /^ixp9 +is back after /m);
      // Who is told over ssh may come while it still waits, or after: then it says how.
      const both = /^back +(ixp9, probe9|probe9, ixp9) in .* \(they had kept running\)$/m.test(told.stdout);
      assert.is(told.code, both ? 0 : 4, told.stdout + told.stderr);
      if (!both) {
        assert.match(told.stdout, /^back +probe9 in .* \(they had kept running\)$/m);
        assert.match(told.stdout, /^silent +ixp9: not heard yet/m);
        assert.match(told.stdout, /ctl join ixp9 --ssh/);
      }
      measured("of it the server itself", / after ([^;]+);/.exec(told.stdout)?.[1] ?? "");
      assert.match(told.stdout, /^server +spare9 is the first server now, after .*; from as64501-/m);
      assert.match(told.stdout, new RegExp(`^names +${hub} must lead here now`, "m"));
      assert.match(told.stdout, /^gone +core9 silent since /m);
      assert.match(told.stdout, /^lost +/m);
      assert.match(told.stdout, /^backup +NOT SET/m);
      assert.is(await keptOf({ ixp, probe }), before.kept);
    },
    { limit_ms: 300_000 },
  );

  test("what was applied after the backup stands, numbers go on above it, and nobody has another key", async () => {
    const { fleet, desk, ixp, probe } = machines();
    const planned = await on(desk, "cd /root/fleet && ctl plan ixp9,probe9");
    assert.not.match(planned.stdout, /motd/, planned.stdout);
    const again = await on(desk, "cd /root/fleet && ctl apply ixp9,probe9 -y -m 'after the loss'");
    assert.is(again.code, 0, again.stdout + again.stderr);
    const [one, other] = await Promise.all([ixp, probe].map(generation));
    assert.ok((one ?? 0) > applied && (other ?? 0) > applied, `${one} ${other} ${applied}`);
    assert.is(await ixp.read("/etc/motd"), "after the backup\n");
    assert.is(await must(desk, "cat /root/fleet/hosts.lock"), before.lock);
    await fleet.until(
      "ixp9 and probe9 are green, core9 is silent",
      async () => {
        const { hosts } = JSON.parse((await on(desk, "cd /root/fleet && ctl status --json")).stdout) as {
          hosts: { host: string; state: string; colour: string }[];
        };
        const rows = hosts.map(({ host, state, colour }) => `${host} ${state} ${colour}`).sort();
        const wanted = ["core9 silent red", "ixp9 converged green", "probe9 converged green"];
        if (wanted.every((row) => rows.includes(row))) return true;
        throw new Error(rows.join("; "));
      },
      BACK_MS,
    );
  });

  test("both know the new addresses by a signed bundle, and need neither the old name nor the file", async () => {
    const { fleet, spare, desk, ixp, probe } = machines();
    await Promise.all([ixp, probe].map((machine) => machine.sh(`rm -f /etc/muster/fleet; ${unname}`)));
    await spare.sh("systemctl restart nats-server");
    await fleet.until(
      "both answer again",
      async () => (await on(desk, "cd /root/fleet && ctl rpc ping ixp9,probe9")).code === 0,
      BACK_MS,
    );
  });
}
