// limit: 240 s
/**
 * The broker's disk is full. Nothing is stored any more and nothing says so by itself: `ctl status` does, with since when and what to do; a change is refused and
 * nothing of it reaches a host; the servers go on. With room again and the broker started anew all returns, the events of that time too.
 */
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, HOSTS, measured, openFleet } from "./kit.ts";

const STORE = "/var/lib/muster-nats";
const MARK = "/etc/netinfo/disk";
/** A log that grows: what the broker clears away is taken too, for as long as this runs. */
const FILLER = "lab-filler";

suite(
  "the broker's disk is full",
  (test) => {
    let fleet: Fleet;
    let full_ms = 0;
    const hub = (script: string) => fleet.on("hub").sh(script);
    const mark = (text: string): void =>
      fleet.edit("resources/routers.yml", (yaml) => {
        const rest = yaml.split("\n").filter((line) => !line.includes(MARK));
        return `${rest.join("\n").trimEnd()}\n  ${MARK}: { content: "${text}\\n" }\n`;
      });

    test.before(
      async () => {
        fleet = await openFleet();
        await fleet.reset();
        mark("before");
        await fleet.ctl(["apply", "-y", "-m", "before"], { expect: 0 });
        // The store on a disk of its own, so that it alone is full.
        await hub(`set -e
          systemctl stop nats-server
          cp -a ${STORE} ${STORE}.kept
          mount -t tmpfs -o size=$(( $(du -sk ${STORE} | cut -f1) + 8192 ))k tmpfs ${STORE}
          cp -a ${STORE}.kept/. ${STORE}/
          chown --reference=${STORE}.kept ${STORE}; chmod --reference=${STORE}.kept ${STORE}
          systemctl start nats-server`);
        await fleet.converged();
      },
      { limit_ms: 200_000 },
    );
    test.after(
      async () => {
        await hub(`systemctl stop ${FILLER} || true; set -e
          systemctl stop nats-server
          rm -f ${STORE}/filler; rm -rf ${STORE}.kept; mkdir ${STORE}.kept
          cp -a ${STORE}/. ${STORE}.kept/; chown --reference=${STORE} ${STORE}.kept; chmod --reference=${STORE} ${STORE}.kept
          umount ${STORE}; rm -rf ${STORE}; mv ${STORE}.kept ${STORE}
          systemctl start nats-server`);
        await fleet.converged();
        await fleet.reset();
      },
      { limit_ms: 200_000 },
    );

    test("ctl status tells it, since when, and what to do; every host is still seen", async () => {
      const grow = `while :; do dd if=/dev/zero of=${STORE}/filler bs=64k oflag=append conv=notrunc 2>/dev/null; sleep 0.2; done`;
      await hub(`systemd-run --quiet --collect --unit=${FILLER} sh -c '${grow}'`);
      full_ms = Date.now();
      const { value: told, ms } = await fleet.until(
        "ctl status tells it",
        async () => {
          const answer = await fleet.ctl(["status"]);
          return /^broker {2}stores nothing since /m.test(answer.stdout) && answer;
        },
        60_000,
      );
      measured("a full disk to told by ctl status", `${Math.round(ms)} ms`);
      assert.is(told.code, 1);
      assert.match(told.stdout, /its disk may be full {6}on its server: df -h; journalctl -u nats-server/);
      for (const host of HOSTS) assert.match(told.stdout, new RegExp(`^${host} .* converged `, "m"));
    });

    test("a change is refused, and nothing of it reaches a host; a hand edit is put back", async () => {
      mark("while it is full");
      const applied = await fleet.ctl(["apply", "-y", "-m", "too late"]);
      assert.ok([1, 5].includes(applied.code), applied.stdout + applied.stderr);
      assert.match(applied.stdout + applied.stderr, /its disk may be full|no space|insufficient/);
      for (const host of HOSTS) assert.is(await fleet.on(host).read(MARK), "before\n");
      await fleet.on("core1").write(MARK, "by hand\n");
      await fleet.until(
        "it is put back",
        async () => (await fleet.on("core1").read(MARK)) === "before\n",
        5_000,
      );
    });

    test("with room again and the broker started anew: all as before, the events of that time, and the change", async () => {
      await hub(`systemctl stop ${FILLER}; rm ${STORE}/filler; systemctl restart nats-server`);
      const { ms } = await fleet.until(
        "ctl status is content",
        async () => (await fleet.ctl(["status"])).code === 0,
        60_000,
      );
      measured("broker started anew to ctl status content", `${Math.round(ms)} ms`);
      await fleet.event(
        ({ host, kind, ref }) => host === "core1" && kind === "drift" && ref === `file/${MARK}`,
        full_ms,
        30_000,
      );
      await fleet.ctl(["apply", "-y", "-m", "with room"], { expect: 0 });
      for (const host of HOSTS) assert.is(await fleet.on(host).read(MARK), "while it is full\n");
    });
  },
  { limit_ms: 100_000 },
);
