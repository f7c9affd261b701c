// limit: 240 s
/**
 * Packages, accounts and timers on a real Debian with systemd: apt against a repository of its own, ssh with the declared key, a timer that runs.
 * What somebody has locked, held or changed by hand is named and not fought with.
 */
import { execFileSync } from "node:child_process";
import * as assert from "uvu/assert";
import { addToRepository, type Deb } from "../kit/apt.ts";
import { temporaryDirectory } from "../kit/child.ts";
import { suite } from "../kit/suite.ts";
import { type Fleet, measured, openFleet, type ServerHandle, slowness } from "./kit.ts";

const REPOSITORY = "/srv/lab-repository";
const OWN = "resources/core1.yml";
// biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query fills it in
const STATUS = "${db:Status-Abbrev}${Version}";
const UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
/** Its installation takes until somebody lets it go on: so a person holds dpkg's lock. */
const SLOW = "until [ -e /run/lab-go ]; do sleep 0.1; done";

const tiny = (version: string): Deb => ({
  name: "lab-tiny",
  version,
  files: { "/etc/lab-tiny.conf": `shipped with ${version}\n`, "/usr/share/lab-tiny/version": `${version}\n` },
});

suite(
  "packages, accounts, timers",
  (test) => {
    let fleet: Fleet;
    let core1: ServerHandle;
    const repository = { path: "", release: async () => {} };

    const publish = async (...debs: Deb[]) => {
      addToRepository(repository.path, debs);
      const input = execFileSync("tar", ["-C", repository.path, "-c", "."], { maxBuffer: 64 * 1024 * 1024 });
      await core1.exec(["sh", "-c", `mkdir -p ${REPOSITORY} && tar -x -C ${REPOSITORY}`], { input });
    };
    const declare = (yaml: string) => fleet.edit(OWN, () => yaml);
    const apply = (expect?: number) =>
      fleet.ctl(["apply", "core1", "-y"], expect === undefined ? {} : { expect });
    const version = async (name: string) =>
      (await core1.exec(["dpkg-query", "-W", "-f", STATUS, name])).stdout.trim();
    const runs = async () => Number(await core1.sh("grep -c ^Start-Date /var/log/apt/history.log || true"));
    const trouble = (words: RegExp, limit_ms = 10_000) =>
      fleet.until(
        `core1 says ${words}`,
        async () => (await fleet.status()).get("core1")?.troubles.find(({ what }) => words.test(what)),
        limit_ms,
      );

    test.before(async () => {
      fleet = await openFleet();
      core1 = fleet.on("core1");
      await fleet.reset();
      Object.assign(repository, await temporaryDirectory("repository"));
      await core1.sh(
        `mkdir -p /var/log/apt; : >/var/log/apt/history.log; cp -n /etc/apt/sources.list /etc/apt/sources.list.was || true
         echo 'deb [trusted=yes] file:${REPOSITORY} ./' >/etc/apt/sources.list; rm -rf /var/lib/apt/lists/* /run/lab-go`,
      );
      await publish(
        tiny("1.0"),
        { name: "lab-daemon", version: "1", files: { "/lib/systemd/system/lab-daemon.service": UNIT } },
        { name: "lab-needs-tiny", version: "1", control: ["Depends: lab-tiny"] },
        { name: "lab-slow", version: "1", postinst: SLOW },
        { name: "lab-other", version: "1" },
      );
    });
    test.after(async () => {
      await core1.sh("touch /run/lab-go");
      await fleet.reset();
      await core1.sh(
        `apt-mark unhold lab-tiny; dpkg --purge lab-needs-tiny lab-tiny lab-daemon lab-slow lab-other; rm -rf ${REPOSITORY} /home/lab-noc /run/lab-go
         [ ! -e /etc/apt/sources.list.was ] || mv /etc/apt/sources.list.was /etc/apt/sources.list`,
      );
      await repository.release();
    });

    test("three packages are one apt run, and the service that one brings runs in the same apply", async () => {
      declare(`package:
  lab-tiny: { version: "1.0" }
  lab-daemon: {}
  lab-needs-tiny: {}
service:
  lab-daemon: { enabled: true, state: running }
`);
      const planned = await fleet.ctl(["plan", "core1"], { expect: 3 });
      assert.match(
        planned.stdout,
        /^core1 \+ package\/lab-tiny {2}it is not installed, 1\.0 is declared$/m,
        planned.stdout,
      );
      const applied = await apply(0);
      measured("three packages and a service", `${Math.round(applied.ms)} ms`);
      assert.equal(
        [await version("lab-tiny"), await version("lab-daemon"), await version("lab-needs-tiny")],
        ["ii 1.0", "ii 1", "ii 1"],
      );
      assert.is(await runs(), 1);
      assert.is((await core1.sh("systemctl is-active lab-daemon")).trim(), "active");
      await fleet.ctl(["plan"], { expect: 0 });
    });

    test("another version, held: a file that was changed here stays; what a person installs is shown and left", async () => {
      await publish(tiny("2.0"));
      await core1.write("/etc/lab-tiny.conf", "by hand\n");
      fleet.edit(OWN, (text) => text.replace('version: "1.0"', 'version: "2.0", hold: true'));
      await apply(0);
      assert.is(await version("lab-tiny"), "hi 2.0");
      assert.is(await core1.read("/etc/lab-tiny.conf"), "by hand\n");
      assert.match(await core1.sh("apt-mark showhold"), /^lab-tiny$/m);

      await core1.sh(
        "apt-get -q -y --allow-downgrades --allow-change-held-packages -o Dpkg::Options::=--force-confold install lab-tiny=1.0",
      );
      const { value } = await trouble(/package\/lab-tiny lab-tiny 1\.0 is installed/);
      assert.is(value.tint, "amber");
      assert.match(await version("lab-tiny"), /i 1\.0$/);
      await fleet.ctl(["apply", "core1", "-y", "--overwrite"], { expect: 0 });
      assert.is(await version("lab-tiny"), "hi 2.0");
    });

    test("a version that does not exist is named with those that do, and the rest is done", async () => {
      fleet.edit(OWN, (text) =>
        text.replace("  lab-daemon: {}\n", '  lab-daemon: { version: "9.9" }\n  lab-other: {}\n'),
      );
      const applied = await apply(1);
      assert.match(applied.stdout, /apt has no version 9\.9 of lab-daemon; it has 1/, applied.stdout);
      assert.is(await version("lab-other"), "ii 1");
      const row = (await fleet.status()).get("core1");
      assert.equal([row?.state, row?.colour], ["failed", "red"]);
      fleet.edit(OWN, (text) => text.replace('lab-daemon: { version: "9.9" }', "lab-daemon: {}"));
      await apply(0);
    });

    test("somebody holds dpkg's lock: who, in words, and it is done once they are through", async () => {
      const person = core1.exec(["apt-get", "-q", "-y", "install", "lab-slow"], { timeout_ms: 240_000 });
      await fleet.until("the person's apt runs", async () => (await version("lab-slow")) === "iF 1", 10_000);
      await core1.sh("apt-mark unhold lab-tiny || true");
      fleet.edit(OWN, (text) => text.replace("  lab-other: {}\n", "  lab-other: { state: absent }\n"));
      const applied = await apply(1);
      measured("apply while dpkg is locked, until it says so", `${Math.round(applied.ms)} ms`);
      assert.match(
        applied.stdout,
        /package\/lab-other.*apt-get \(process \d+\) holds \/var\/lib\/dpkg\/lock/,
        applied.stdout,
      );
      assert.is(await version("lab-other"), "ii 1");
      await core1.sh("touch /run/lab-go");
      assert.is((await person).code, 0);
      await fleet.until("it is removed", async () => !(await version("lab-other")).startsWith("ii"), 40_000);
    });

    test("out of the folder it stays and the plan says so; absent takes it away, and never another with it", async () => {
      declare('package:\n  lab-tiny: { version: "2.0", hold: true }\n  lab-daemon: {}\n');
      const planned = await fleet.ctl(["plan", "core1"], { expect: 3 });
      assert.match(
        planned.stdout,
        /left +package\/lab-needs-tiny: lab-needs-tiny 1 stays installed/,
        planned.stdout,
      );
      await apply(0);
      declare("package:\n  lab-tiny: { state: absent }\n  lab-daemon: {}\n");
      await core1.sh("apt-mark unhold lab-tiny");
      const refused = await fleet.ctl(["apply", "core1", "-y", "--overwrite"]);
      assert.is(refused.code, 1, refused.stdout);
      assert.match(
        refused.stdout,
        /apt would also remove lab-needs-tiny: declare what should go/,
        refused.stdout,
      );
      assert.is(await version("lab-tiny"), "ii 2.0");
      declare(
        "package:\n  lab-tiny: { state: absent }\n  lab-needs-tiny: { state: absent }\n  lab-daemon: {}\n",
      );
      await fleet.ctl(["apply", "core1", "-y", "--overwrite"], { expect: 0 });
      assert.match(await version("lab-tiny"), /^rc /);
      declare("package: { lab-daemon: {} }\n");
      await apply(0);
    });

    test("an account opens with its declared key alone, is put back, and goes with its home kept", async () => {
      await core1.sh("rm -f /root/lab-key*; ssh-keygen -q -t ed25519 -N '' -C lab -f /root/lab-key");
      const key = (await core1.read("/root/lab-key.pub")).trim();
      declare(`user:
  lab-noc: { groups: [adm], authorized_keys: ['restrict,command="echo let in as $USER" ${key}'] }
`);
      await apply(0);
      const knock = async () =>
        (
          await core1.exec([
            "ssh",
            ..."-i /root/lab-key -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR lab-noc@127.0.0.1 id".split(
              " ",
            ),
          ])
        ).stdout.trim();
      assert.is(await knock(), "let in as lab-noc");
      assert.match(await core1.sh("id lab-noc; getent shadow lab-noc"), /\(adm\)[\s\S]*^lab-noc:!/m);

      const began = Date.now();
      await core1.sh(
        "usermod -G '' -s /bin/sh lab-noc; echo 'ssh-ed25519 AAAA mallory' >>/home/lab-noc/.ssh/authorized_keys",
      );
      const { ms } = await fleet.until(
        "groups, shell and keys are back",
        async () => {
          const now = await core1.sh(
            "id lab-noc; getent passwd lab-noc; cat /home/lab-noc/.ssh/authorized_keys",
          );
          return /\(adm\)/.test(now) && /:\/bin\/bash$/m.test(now) && !now.includes("mallory");
        },
        4_000,
      );
      measured("a changed account, until it is back", `${Math.round(ms)} ms`);
      await fleet.event(({ ref, what }) => ref === "user/lab-noc" && /put back/.test(what), began);

      await core1.sh(
        "mkdir /root/lab-trap; runuser -u lab-noc -- sh -c 'mv ~/.ssh ~/away; ln -s /root/lab-trap ~/.ssh'",
      );
      await trouble(/\/home\/lab-noc\/\.ssh is a link: remove it by hand/);
      assert.is((await core1.sh("ls /root/lab-trap")).trim(), "");
      await core1.sh("rm -rf /root/lab-trap /home/lab-noc/.ssh");

      declare("user: { bird: { groups: [adm] } }\n");
      const planned = await fleet.ctl(["plan", "core1"], { expect: 3 });
      assert.match(
        planned.stdout,
        /waiting +user\/bird: bird is a system account .* left alone/,
        planned.stdout,
      );
      assert.match(planned.stdout, /- user\/lab-noc[\s\S]*its files in \/home\/lab-noc stay/, planned.stdout);
      declare("");
      await apply(0);
      assert.is((await core1.exec(["id", "lab-noc"])).code, 1);
      await core1.sh("test -d /home/lab-noc");
    });

    test("a timer runs its command, is put back, and goes with its units", async () => {
      declare(`timer:
  lab-tick: { every: 1s, command: "echo 100% $(id -un) >>/run/lab-tick", user: nobody }
`);
      await core1.sh("rm -f /run/lab-tick; install -o nobody /dev/null /run/lab-tick");
      await apply(0);
      await fleet.until(
        "it ran",
        async () => (await core1.read("/run/lab-tick")).includes("100% nobody"),
        5_000,
      );
      const states =
        "systemctl is-active lab-tick.timer; systemctl is-enabled lab-tick.timer; cat /etc/systemd/system/lab-tick.*";
      const good = await core1.sh(states);
      const slow = slowness();
      for (const change of [
        // What systemd tells is heard over a bus that was started anew, too.
        "systemctl restart dbus; sleep 2; systemctl stop lab-tick.timer",
        "systemctl disable lab-tick.timer",
        "echo '# mine' >>/etc/systemd/system/lab-tick.service",
      ]) {
        await core1.sh(`${change} 2>/dev/null`);
        const { ms } = await fleet.until(
          "it is back",
          async () => (await core1.exec(["sh", "-c", states])).stdout === good,
          10_000,
        );
        measured(`${change}, until it is back`, `${Math.round(ms)} ms`);
        assert.ok(ms < 2_500 * slow, `${change}: ${ms}`);
      }
      fleet.edit(OWN, (text) => text.replace("every: 1s", "on_calendar: every morning"));
      const planned = await fleet.ctl(["plan", "core1"]);
      assert.match(
        planned.stdout,
        /REFUSED.*on_calendar every morning: .*[Ff]ailed to parse/,
        planned.stdout,
      );
      declare("");
      await apply(0);
      assert.equal((await core1.exec(["sh", "-c", "ls /etc/systemd/system/lab-tick.*"])).stdout, "");
      assert.not.match(await core1.sh("systemctl list-timers --all"), /lab-tick/);
    });
  },
  { limit_ms: 90_000 },
);
