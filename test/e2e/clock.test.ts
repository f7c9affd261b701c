// limit: 300 s
/**
 * Clocks that are ten minutes off, one ahead and one behind: orders and changes still go through, by the challenge and by the signed time, and the
 * person is told whose clock is wrong. And clocks that run fast: an hour without a controller. Servers in containers share this machine's clock, so the agents get theirs from libfaketime.
 */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, HOSTS, measured, openFleet } from "./kit.ts";

const LIBRARY = "/usr/lib/lab/libfaketime.so.1";
const DROP_IN = "/etc/systemd/system/muster-agent.service.d/clock.conf";
const MARK = "/etc/netinfo/clock";
const OFF = { probe1: "+600", ixp1: "-600" } as const;
const SAID = { probe1: "its clock is 10 min ahead", ixp1: "its clock is 10 min behind" } as const;
const WRONG = Object.keys(OFF) as (keyof typeof OFF)[];

const HOUR_MS = 3_600_000;
/** How long an hour takes here. */
const AWAY_MS = 60_000;

suite(
  "clocks that are off",
  (test) => {
    let fleet: Fleet;

    /** `+600`, or `+0 x60` for a clock that runs sixty times as fast; null = the machine's own. Timers keep their pace. */
    const setClock = async (host: (typeof HOSTS)[number], faketime: string | null): Promise<void> => {
      const environment = `"LD_PRELOAD=${LIBRARY}" "FAKETIME=${faketime}" FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1`;
      const server = fleet.on(host);
      if (faketime === null) await server.sh(`rm -f ${DROP_IN}`);
      else await server.write(DROP_IN, `[Service]\nEnvironment=${environment}\n`);
      await server.sh("systemctl daemon-reload && systemctl restart muster-agent");
      await fleet.answer(host);
    };

    test.before(
      async () => {
        fleet = await openFleet();
        await fleet.reset();
        const library = readFileSync(
          `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/faketime/libfaketime.so.1`,
        );
        for (const host of HOSTS)
          await fleet.on(host).sh(`mkdir -p ${dirname(DROP_IN)} && cat >${LIBRARY}`, { input: library });
        await Promise.all(WRONG.map((host) => setClock(host, OFF[host])));
      },
      { limit_ms: 150_000 },
    );
    test.after(
      async () => {
        await fleet.on("hub").sh("systemctl start muster-controller");
        for (const host of HOSTS) {
          await setClock(host, null);
          await fleet.on(host).sh(`rm -f ${LIBRARY}`);
        }
        await fleet.reset();
      },
      { limit_ms: 150_000 },
    );

    test("ctl status names whose clock is off, and everything else is as it was", async () => {
      await fleet.until(
        "both clocks are told, and nothing else",
        async () => {
          const rows = await fleet.status();
          for (const host of HOSTS) {
            const row = rows.get(host);
            const off = WRONG.find((each) => each === host);
            assert.is(row?.state, "converged", host);
            assert.equal(
              row?.troubles.map(({ what }) => what),
              off === undefined ? [] : [SAID[off]],
              host,
            );
            assert.is(
              row?.sessions?.up,
              row?.sessions?.expected,
              `${host}: its sessions are known in spite of the clock`,
            );
          }
          return true;
        },
        30_000,
      );
      assert.match(
        (await fleet.ctl(["status"])).stdout,
        /ixp1.*its clock is 10 min behind.*\n.*timedatectl|ixp1.*its clock is 10 min behind.*timedatectl/,
      );
    });

    test("an order is answered, by a challenge", async () => {
      const answer = await fleet.ctl(["rpc", "reconcile", "--json"], { expect: 0 });
      assert.equal(Object.keys(answer.json().answered).sort(), [...HOSTS]);
    });

    test("a change reaches all three, and a hand edit is put back", async () => {
      fleet.edit(
        "resources/routers.yml",
        (yaml) => `${yaml.trimEnd()}\n  ${MARK}: { content: "in time\\n" }\n`,
      );
      const applied = await fleet.ctl(["apply", "-y", "-m", "whatever the time"], { expect: 0 });
      for (const host of HOSTS) assert.is(await fleet.on(host).read(MARK), "in time\n", applied.stdout);
      for (const host of WRONG) {
        await fleet.on(host).write(MARK, "by hand\n");
        await fleet.until(
          `${host} puts it back`,
          async () => (await fleet.on(host).read(MARK)) === "in time\n",
          5_000,
        );
      }
      assert.match((await fleet.ctl(["plan"], { expect: 0 })).stdout, /folder and servers agree/);
    });

    test(
      "the controller is away for an hour of the fleet's time: hosts keep their state and their word, and nothing piles up",
      async () => {
        await fleet.on("hub").sh("systemctl stop muster-controller");
        const begun_ms = Date.now();
        await Promise.all(HOSTS.map((host) => setClock(host, `+0 x${HOUR_MS / AWAY_MS}`)));
        const memory = () =>
          Promise.all(
            HOSTS.map(async (host) => {
              const pid = (
                await fleet.on(host).sh("systemctl show muster-agent --property=MainPID --value")
              ).trim();
              return (
                Number((await fleet.on(host).sh(`awk '/^VmRSS/ { print $2 }' /proc/${pid}/status`)).trim()) /
                1_024
              );
            }),
          );
        for (let round = 1; Date.now() - begun_ms < AWAY_MS; round++) {
          const host = HOSTS[round % HOSTS.length] ?? "core1";
          await fleet.on(host).write(MARK, `without a controller ${round}\n`);
          await fleet.until(
            `${host} puts it back`,
            async () => (await fleet.on(host).read(MARK)) === "in time\n",
            10_000,
          );
          // The file is back before the round is over that put it back.
          await fleet.until(
            "each says that it is converged",
            async () => {
              const told = await fleet.ctl(["status"]);
              assert.match(told.stdout, /no controller answers: asked the hosts themselves/);
              return HOSTS.every((each) => new RegExp(`^${each} .* converged `, "m").test(told.stdout));
            },
            10_000,
          );
          await sleep(8_000);
        }
        for (const [at, mib] of (await memory()).entries()) {
          measured(`${HOSTS[at]} after the hour`, `${mib.toFixed(1)} MiB`);
          // The first of them speaks with Docker.
          assert.ok(mib < (at === 0 ? 95 : 80), `${HOSTS[at]}: ${mib} MiB`);
        }
        await Promise.all(HOSTS.map((host) => setClock(host, null)));
        await fleet.on("hub").sh("systemctl start muster-controller");
        await fleet.until(
          "ctl status is content",
          async () => (await fleet.ctl(["status"])).code === 0,
          40_000,
        );
        fleet.edit("resources/routers.yml", (yaml) => yaml.replace("in time", "an hour later"));
        await fleet.ctl(["apply", "-y", "-m", "after the hour"], { expect: 0 });
        for (const host of HOSTS) assert.is(await fleet.on(host).read(MARK), "an hour later\n");
      },
      { limit_ms: 200_000 },
    );
  },
  { limit_ms: 60_000 },
);
