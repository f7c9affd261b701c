/**
 * The first server's package over its life, on a machine that carries a whole fleet: replaced by a newer one, removed, purged, there again, and gone for
 * good by the line that the purge says. Last, on the machine that is bare again, a fleet on a Vault of one's own.
 */
import * as assert from "uvu/assert";
import type { Test } from "../kit/suite.ts";
import { measured } from "./kit.ts";
import type { Stage } from "./restored.ts";

const APT = "DEBIAN_FRONTEND=noninteractive apt-get -y -q";
const SERVICES = "nats-server vault muster-controller muster-agent";
const BACK_MS = 60_000;
/** Its root token, for a Vault that lives as long as the test. */
const TOKEN = "a-token-of-the-test";

export function lifeOfPackage(test: Test, { name, machines, on, must }: Stage): void {
  const answers = () => {
    const { fleet, desk } = machines();
    return fleet.until(
      "hosts answer through this server",
      async () => {
        const asked = await on(desk, "cd /root/fleet && ctl rpc ping ixp9,probe9");
        if (asked.code === 0) return true;
        throw new Error(asked.stdout + asked.stderr);
      },
      BACK_MS,
    );
  };
  const pid = async (unit: string) =>
    (await must(machines().spare, `systemctl show ${unit} --property=MainPID --value`)).trim();

  test("a newer package takes over: broker and controller are new, Vault stays open", async () => {
    const { spare } = machines();
    const newer =
      "cd /root && dpkg-deb -R muster.deb new && sed -i 's/^Version: .*/Version: 99.0.0/' new/DEBIAN/control && dpkg-deb -Znone -b new newer.deb >/dev/null && rm -r new";
    await must(spare, newer);
    const [vault, broker] = [await pid("vault"), await pid("nats-server")];
    const begun_ms = performance.now();
    const told = await must(spare, `cd /root && ${APT} install ./newer.deb`);
    measured("apt upgrade of the first server", `${Math.round(performance.now() - begun_ms)} ms`);
    assert.match(told, /Vault goes on with the program that it was started with/);
    assert.is(await pid("vault"), vault);
    assert.is.not(await pid("nats-server"), broker);
    await answers();
    assert.is(await must(spare, "systemctl --failed --no-legend"), "");
  });

  test("removed it stops, purged it keeps what a fleet lives by, and installed again it runs on", async () => {
    const { spare, desk } = machines();
    const kept =
      "cd / && find etc/muster var/lib/muster* -type f -name '*key*' -o -name fleet.json -o -name vault.db | sort";
    const before = await must(spare, kept);
    assert.match(before, /unseal\.key/);
    await must(spare, `${APT} remove muster`);
    assert.is(
      (await on(spare, `systemctl is-active ${SERVICES} muster-backup.timer | grep -cx inactive`)).stdout,
      "5\n",
    );
    const purged = await must(spare, `${APT} purge muster 2>&1`);
    assert.match(purged, /the fleet's Vault and broker are kept/);
    assert.match(purged, /^ {2}rm -r \/etc\/muster \/var\/lib\/muster\*$/m);
    assert.is(await must(spare, kept), before);
    assert.not.match(await must(spare, "dpkg --list"), /muster/);
    await must(spare, `cd /root && ${APT} install ./muster.deb`);
    await answers();
    assert.is((await on(desk, "ctl login alice --password-file /root/password")).code, 0);
  });

  test("gone for good by the line that it says, with nothing left", async () => {
    const { spare } = machines();
    const purged = await must(spare, `${APT} purge muster 2>&1`);
    const line = /^ {2}(rm -r .*)$/m.exec(purged)?.[1] ?? "false";
    await must(spare, line);
    const left = await must(
      spare,
      "find / -xdev \\( -path /proc -o -path /root \\) -prune -o -iname '*muster*' -print; find /run -iname '*muster*'",
    );
    assert.is(left, "");
    assert.is((await on(spare, "pgrep -af 'muster|vault|nats-server'")).stdout, "");
  });

  test("a purge where there never was a fleet keeps nothing, and a Vault of one's own makes one", async () => {
    const { spare } = machines();
    // The script alone: another installation for it would take its time, and shows no more.
    const script =
      "dpkg-deb -e /root/muster.deb /tmp/control && mkdir -p /etc/muster/nats /var/lib/muster-vault /var/lib/muster-nats/jwt && DPKG_MAINTSCRIPT_PACKAGE=muster /tmp/control/postrm purge";
    assert.not.match(await must(spare, `${script} 2>&1`), /kept/);
    assert.is(await must(spare, "find /etc /var/lib -iname '*muster*'"), "");
    await must(spare, `cd /root && ${APT} install ./muster.deb`);
    const { ipv6 } = await spare.facts();
    // Somebody's own Vault: not this package's unit, with a CA of its own.
    await must(
      spare,
      `install -d -m 0700 /root/own && systemd-run --unit own-vault vault server -dev -dev-tls -dev-tls-cert-dir=/root/own -dev-tls-san=${ipv6} -dev-no-store-token -dev-root-token-id=${TOKEN} -dev-listen-address=[::]:8300 && umask 077 && echo ${TOKEN} >/root/own/token`,
    );
    await must(
      spare,
      "for n in $(seq 400); do [ -s /root/own/vault-ca.pem ] && nc -z ::1 8300 && exit 0; sleep 0.2; done; exit 1",
    );
    const init = `ctl init as64502 --address ${ipv6} --admin alice --vault https://[${ipv6}]:8300 --vault-ca /root/own/vault-ca.pem --vault-token-file /root/own/token --audit-file /tmp/audit.log --password-file /root/password --passphrase-file /root/passphrase`;
    const made = await must(spare, init);
    assert.match(made, /^vault +https:\/\/\[.*\]:8300$/m);
    assert.match(made, /^broker +running +controller +running +spare9 +joined, watched +you +alice, admin$/m);
    assert.is((await on(spare, "systemctl is-active vault.service")).stdout, "inactive\n");
    assert.match(await must(spare, init), /^changed +nothing: the fleet is as it should be$/m);
    const backup = await on(spare, "ctl backup to /mnt");
    assert.is(backup.code, 1);
    assert.match(backup.stderr, /backups are made on the first server, as root, where ctl init made Vault/);
    assert.match(await must(spare, "ctl rpc ping all --fleet as64502"), /spare9/);
    assert.ok(name !== "as64502");
  });
}
