// limit: 200 s
/**
 * Clocks that are ten minutes off, one ahead and one behind: orders and changes still go through, by the challenge and by the signed time, and the
 * person is told whose clock is wrong. Servers in containers share this machine's clock, so the agents get theirs from libfaketime.
 */
import { readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, HOSTS, openFleet } from "./kit.ts";

const LIBRARY = "/usr/lib/lab/libfaketime.so.1";
const DROP_IN = "/etc/systemd/system/muster-agent.service.d/clock.conf";
const MARK = "/etc/netinfo/clock";
const OFF = { probe1: "+600", ixp1: "-600" } as const;
const SAID = { probe1: "its clock is 10 min ahead", ixp1: "its clock is 10 min behind" } as const;
const WRONG = Object.keys(OFF) as (keyof typeof OFF)[];

suite(
  "clocks that are off",
  (test) => {
    let fleet: Fleet;

    test.before(
      async () => {
        fleet = await openFleet();
        await fleet.reset();
        const library = readFileSync(
          `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/faketime/libfaketime.so.1`,
        );
        for (const host of WRONG) {
          const server = fleet.on(host);
          await server.sh(`mkdir -p ${DROP_IN.replace(/\/[^/]*$/, "")} && cat >${LIBRARY}`, {
            input: library,
          });
          const environment = `LD_PRELOAD=${LIBRARY} FAKETIME=${OFF[host]} FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1`;
          await server.write(DROP_IN, `[Service]\nEnvironment=${environment}\n`);
          await server.sh("systemctl daemon-reload && systemctl restart muster-agent");
        }
      },
      { limit_ms: 150_000 },
    );
    test.after(
      async () => {
        for (const host of WRONG) {
          const server = fleet.on(host);
          await server.sh(
            `rm -f ${DROP_IN} ${LIBRARY}; systemctl daemon-reload; systemctl restart muster-agent`,
          );
        }
        await fleet.reset();
      },
      { limit_ms: 150_000 },
    );

    test("ctl status names whose clock is off, and everything else is as it was", async () => {
      await fleet.until(
        "both clocks are told",
        async () => {
          const rows = await fleet.status();
          return WRONG.every((host) => rows.get(host)?.troubles.some(({ what }) => what === SAID[host]));
        },
        30_000,
      );
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
  },
  { limit_ms: 60_000 },
);
