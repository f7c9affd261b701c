// limit: 240 s
/**
 * What breaks on one host: a disk that is full or read-only, below a declared file and below the agent's own state; a state file that was half written;
 * hundreds of files at once; a person who edits the same file in the same moment. The agent lives, says what it is, loses nothing and goes on by itself.
 */
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, type HostRow, measured, openFleet, type ServerHandle } from "./kit.ts";

const OWN = "resources/probe1.yml";
const STATE = "/var/lib/muster-agent";
const MANY = 500;
const AT_ONCE = 300;

suite(
  "faults of a host",
  (test) => {
    let fleet: Fleet;
    let probe1: ServerHandle;
    let example = "";
    test.before(async () => {
      fleet = await openFleet();
      probe1 = fleet.on("probe1");
      await fleet.reset();
      fleet.edit(OWN, (text) => {
        example = text;
        return text;
      });
    });
    test.after.each(async () => {
      await probe1.sh(
        `systemctl stop lab-filler 2>/dev/null; umount /srv/small ${STATE} 2>/dev/null; systemctl start muster-agent`,
      );
    });
    test.after(async () => {
      await fleet.reset();
      await probe1.sh("rm -rf /srv/small /srv/many /srv/contested");
    });

    const declare = (more: string) => fleet.edit(OWN, () => `${example}${more}`);
    const apply = (expect?: number) =>
      fleet.ctl(["apply", "probe1", "-y"], expect === undefined ? {} : { expect });
    const row = async (): Promise<HostRow | undefined> => (await fleet.status()).get("probe1");
    const pid = async () => (await probe1.sh("systemctl show muster-agent -p MainPID --value")).trim();
    const converged = async (limit_ms = 15_000) => {
      await fleet.answer("probe1");
      await fleet.ctl(["rpc", "reconcile", "probe1"], { expect: 0 });
      return fleet.until(
        "probe1 is converged",
        async () => {
          const now = await row();
          if (now?.state === "converged" && now.colour === "green") return true;
          throw new Error(JSON.stringify(now));
        },
        limit_ms,
      );
    };
    /** A file of that size in the small file system, all of one letter. */
    const big = (letter: string, size: number) =>
      `directory: { /srv/small: {} }\nfile: { /srv/small/big: { content: "${letter.repeat(size)}" }, /etc/netinfo/beside: { content: "${letter}\\n" } }\n`;

    test("a full disk and one that is read-only: the old file stays whole, the rest is done, it goes on by itself", async () => {
      const agent = await pid();
      await probe1.sh("mkdir -p /srv/small; mount -t tmpfs -o size=256k tmpfs /srv/small");
      declare(big("a", 60_000));
      await apply(0);
      await probe1.sh("head -c 1M /dev/zero >/srv/small/fill 2>/dev/null || true");
      declare(big("b", 60_000));
      const full = await apply(1);
      assert.match(
        full.stdout,
        /file\/\/srv\/small\/big: .*ENOSPC: no space left on device/,
        `${full.stdout}${full.stderr}`,
      );
      assert.is(await probe1.read("/srv/small/big"), "a".repeat(60_000));
      assert.is(await probe1.read("/etc/netinfo/beside"), "b\n");
      assert.equal((await probe1.sh("ls -A /srv/small")).trim().split("\n"), ["big", "fill"]);
      assert.equal([(await row())?.state, (await row())?.colour], ["failed", "red"]);
      await probe1.sh("rm /srv/small/fill");
      await converged();
      assert.is(await probe1.read("/srv/small/big"), "b".repeat(60_000));

      await probe1.sh("mount -o remount,ro /srv/small");
      declare(big("c", 60_000));
      const shut = await apply(1);
      assert.match(
        shut.stdout,
        /file\/\/srv\/small\/big: .*EROFS: read-only file system/,
        `${shut.stdout}${shut.stderr}`,
      );
      await probe1.sh("mount -o remount,rw /srv/small");
      await converged();
      assert.is(await pid(), agent, "the agent was not restarted");
      await probe1.sh("umount /srv/small");
      declare("");
      await apply(0);
    });

    test("its own disk full, then read-only: it lives, says so, applies nothing that it could not remember", async () => {
      // The state on a small disk of its own.
      await probe1.sh(
        `systemctl stop muster-agent; cp -a ${STATE} /srv/state; mount -t tmpfs -o size=3m,mode=700 tmpfs ${STATE}; cp -a /srv/state/. ${STATE}/; rm -rf ${STATE}/*.sock; systemctl start muster-agent`,
      );
      await converged();
      const agent = await pid();
      declare('file: { /etc/netinfo/unknown: { content: "new\\n" } }\n');
      // What the agent clears away is taken too, as by a log that grows.
      const grow = `while :; do head -c 1M /dev/zero >>${STATE}/fill; sleep 0.1; done`;
      for (const [fault, mend, words] of [
        [
          `head -c 8M /dev/zero >${STATE}/fill; systemd-run --quiet --collect --unit=lab-filler sh -c '${grow}'`,
          `systemctl stop lab-filler; rm ${STATE}/fill`,
          /ENOSPC/,
        ],
        [`mount -o remount,ro ${STATE}`, `mount -o remount,rw ${STATE}`, /EROFS/],
      ] as const) {
        await probe1.sh(`${fault} 2>/dev/null`);
        const refused = await apply();
        assert.is.not(refused.code, 0, refused.stdout);
        assert.match(refused.stdout + refused.stderr, words, refused.stdout + refused.stderr);
        assert.is((await probe1.exec(["test", "-e", "/etc/netinfo/unknown"])).code, 1);
        await fleet.until("it is red", async () => (await row())?.colour === "red", 10_000);
        await probe1.sh(mend);
      }
      await apply(0);
      assert.is(await probe1.read("/etc/netinfo/unknown"), "new\n");
      assert.is(await pid(), agent, "the agent was not restarted");
      await probe1.sh(
        `systemctl stop muster-agent; rm -rf /srv/state; cp -a ${STATE} /srv/state; umount ${STATE}; rm -rf ${STATE}/*; cp -a /srv/state/. ${STATE}/; rm -rf ${STATE}/*.sock /srv/state; systemctl start muster-agent`,
      );
      declare("");
      await fleet.answer("probe1");
      await apply(0);
    });

    test("a state file that was half written: the one before counts, it is told, nothing changes on the host", async () => {
      const before = await probe1.sh("stat -c '%n %Y %i' /etc/motd /etc/netinfo/*");
      const since_ms = Date.now();
      // Stopped as well, so that systemd does not start it again before the file is cut.
      await probe1.sh(
        `systemctl kill --signal=KILL muster-agent && systemctl stop muster-agent && truncate -s -1500 ${STATE}/ledger.json && systemctl start muster-agent`,
      );
      await fleet.event(({ what }) => /ledger was damaged: .*ledger\.json/.test(what), since_ms, 20_000);
      await converged();
      assert.is(await probe1.sh("stat -c '%n %Y %i' /etc/motd /etc/netinfo/*"), before);
    });

    test("500 resources on one host, and 300 of them changed by hand at once", async () => {
      const lines = Array.from({ length: MANY }, (_, at) => `  /srv/many/${at}: { content: "${at}\\n" }\n`);
      declare(`directory: { /srv/many: {} }\nfile:\n${lines.join("")}`);
      const applied = await apply(0);
      measured(
        `apply of ${MANY} files`,
        `${Math.round(applied.ms)} ms, on the host ${(await row())?.last_apply_ms} ms`,
      );
      const planned = await fleet.ctl(["plan", "probe1"], { expect: 0 });
      measured(`plan of ${MANY} files, nothing to do`, `${Math.round(planned.ms)} ms`);
      const changed = `cd /srv/many; for i in $(seq 0 ${AT_ONCE - 1}); do echo mine >$i; done; date +%s%3N`;
      const began = Number(await probe1.sh(changed));
      const whole = `cd /srv/many; for i in $(seq 0 ${MANY - 1}); do [ "$(cat $i)" = $i ] || exit 1; done; date +%s%3N`;
      const back = await fleet.until(
        "all are back",
        async () => {
          const look = await probe1.exec(["sh", "-c", whole]);
          return look.code === 0 ? Number(look.stdout) : undefined;
        },
        20_000,
      );
      measured(`${AT_ONCE} files changed at once, until all are back`, `${back.value - began} ms`);
      await converged();
      const memory = await probe1.sh(`grep VmRSS /proc/${await pid()}/status`);
      measured(
        `the agent's memory with ${MANY} resources`,
        `${Math.round(Number(/\d+/.exec(memory)?.[0]) / 1024)} MiB`,
      );
      fleet.edit(OWN, () => example);
      await fleet.ctl(["apply", "probe1", "-y", "--force"], { expect: 0 });
      assert.is((await probe1.exec(["test", "-e", "/srv/many"])).code, 1);
    });

    test("a person edits the same file in the same moment: never half a file, and the end is told as it is", async () => {
      const declared = "declared\\n".repeat(200);
      declare(`file: { /srv/contested: { content: "${declared}" } }\n`);
      await apply(0);
      const hand = `i=0; while [ $i -lt 150 ]; do i=$((i + 1)); yes "hand $i" | head -n 200 >/srv/.mine; cp /srv/.mine /srv/.mine2; mv /srv/.mine2 /srv/contested; sleep 0.02; done`;
      const person = probe1.sh(hand, { timeout_ms: 60_000 });
      declare(`file: { /srv/contested: { content: "${"anew\\n".repeat(200)}" } }\n`);
      const meanwhile = await fleet.ctl(["apply", "probe1", "-y", "--overwrite"]);
      await person;
      await fleet.until(
        "it comes to rest",
        async () => {
          const now = await row();
          const text = await probe1.read("/srv/contested");
          const lines = new Set(text.trim().split("\n"));
          assert.is(lines.size, 1, "half of one and half of the other");
          if (lines.has("anew")) return now?.state === "converged";
          // The last edit was the person's: then it is red, and says why.
          return now?.colour === "red" && /put back 3 times in 10 min/.test(JSON.stringify(now.troubles));
        },
        40_000,
      );
      assert.ok([0, 1, 4].includes(meanwhile.code), meanwhile.stdout);
      await fleet.ctl(["apply", "probe1", "-y", "--overwrite"], { expect: 0 });
      assert.match(await probe1.read("/srv/contested"), /^anew\n/);
      await probe1.sh("rm -f /srv/.mine");
    });
  },
  { limit_ms: 90_000 },
);
