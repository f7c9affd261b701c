// limit: 300 s
/**
 * Who gets in and who does not, on real machines: join strings that are expired, forged, from elsewhere, for another or used before; a broker that is
 * not the fleet's; a machine that waits for a person; one that lost its papers; one that boots before its network. `systemctl status` says where it
 * stands each time.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { readJoinString, writeJoinString } from "@muster/protocol";
import * as assert from "uvu/assert";
import { PeopleCa } from "../kit/people.ts";
import { suite } from "../kit/suite.ts";
import { openFakeBroker } from "./fake-broker.ts";
import { type Fleet, measured, openFleet } from "./kit.ts";
import { bootMachine, declareSpare, forgetHosts, type Machine } from "./machine.ts";
import { type Operator, operatorOf, viewerSigner } from "./persona.ts";

const SPARE = ["edge1", "edge2", "edge3"] as const;
/** The agent looks at its files every second, and an answer takes a few round trips. */
const SAYS_MS = 15_000;
/** Silence shows by time limits only, one after the other for each broker. */
const UNREACHABLE_MS = 30_000;

suite(
  "enrolment",
  (test) => {
    let fleet: Fleet;
    let alice: Operator;
    let machine: Machine;
    let edge2_key: string;
    const life = new AbortController();

    test.before(
      async () => {
        fleet = await openFleet();
        alice = await operatorOf(fleet, life.signal);
        await forgetHosts(fleet, SPARE);
        await fleet.reset();
        declareSpare(fleet, SPARE);
        machine = await bootMachine(fleet, "edge1");
      },
      { limit_ms: 200_000 },
    );
    test.after(
      async () => {
        await machine.remove();
        await forgetHosts(fleet, SPARE);
        await fleet.reset();
        life.abort();
      },
      { limit_ms: 200_000 },
    );

    /** A new string for that name, as a person makes it. */
    const joinString = async (name: string, ...options: string[]): Promise<string> => {
      const { strings } = (await fleet.ctl(["join", name, ...options, "--json"], { expect: 0 })).json();
      return strings[0].join;
    };
    /** Waits until `systemctl status` of the machine says so; gives how long that took. */
    const says = async (pattern: RegExp, limit_ms = SAYS_MS): Promise<number> =>
      (
        await fleet.until(
          `the machine says ${pattern}`,
          async () => {
            const said = await machine.said();
            if (pattern.test(said)) return true;
            throw new Error(said);
          },
          limit_ms,
        )
      ).ms;
    const isNobody = async (name: string): Promise<void> => {
      const hosts = (await fleet.ctl(["hosts", "--json"])).json() as { name: string; record: unknown }[];
      assert.is(hosts.find((host) => host.name === name)?.record ?? null, null, `${name} got in`);
    };

    test("without a string it waits and says for what", async () => {
      await says(
        /^waiting for a join string in \/etc\/muster\/join \(or a fleet string in \/etc\/muster\/fleet\)$/,
      );
    });

    test("a broker with another CA gets nothing, and is named", async () => {
      const other = await openFakeBroker(machine.gateway);
      try {
        const claims = readJoinString(await joinString("edge1"));
        const astray = { ...claims, brokers: [`${machine.gateway}:${other.port}`] };
        await machine.join(writeJoinString(astray, alice.signer, Date.now()));
        await says(/^enrolment refused: the server does not fit the join string.*shows .*, expected /);
        assert.ok(other.told().connections > 0);
        assert.is(other.told().bytes, 0, "it spoke to a broker that it does not know");
      } finally {
        await other.close();
      }
      await isNobody("edge1");
    });

    test("an expired string is refused by name", async () => {
      const text = await joinString("edge1", "--for", "1s");
      await sleep(1_100);
      await machine.join(text);
      await says(/^enrolment refused: the join string has expired: at /);
      await isNobody("edge1");
    });

    test("forged strings are refused: altered claims, a viewer's signature, a foreign CA", async () => {
      const good = await joinString("edge1");
      const claims = readJoinString(good);
      const [version = "", body = "", headers = ""] = good.split(".");
      const altered = JSON.parse(Buffer.from(body, "base64url").toString());
      altered.groups = ["core"];
      const stranger = await (await PeopleCa.make("operators")).person("alice", "operator");
      const forged = {
        "altered claims": [version, Buffer.from(JSON.stringify(altered)).toString("base64url"), headers].join(
          ".",
        ),
        "a viewer's signature": writeJoinString(claims, await viewerSigner(alice), Date.now()),
        "a foreign CA": writeJoinString(claims, stranger, Date.now()),
      };
      for (const text of Object.values(forged)) {
        const since_ms = Date.now();
        await machine.join(text);
        await says(/^enrolment refused: the join string is not signed by an operator of this fleet/);
        await fleet.event(
          ({ kind, severity, what: told, at }) =>
            kind === "enrolment" &&
            severity === "warning" &&
            at >= since_ms &&
            /not signed by an operator/.test(told),
          since_ms,
        );
        // So that the next refusal is not taken for this one.
        await machine.join("mj1");
        await says(/^enrolment refused: .*it must begin with mj1\. and have three parts/);
      }
      await isNobody("edge1");
    });

    test("a string for another network is refused, with the address that the broker saw", async () => {
      await machine.join(await joinString("edge1", "--network", "192.0.2.0/24"));
      await says(/^enrolment refused: the join string is not for this network.*10\.213\.|fd6d:/);
      await isNobody("edge1");
    });

    test("a second machine with an enrolled name is refused and alarms", async () => {
      const since_ms = Date.now();
      await machine.join(await joinString("core1"));
      await says(/^enrolment refused: another machine holds this name: core1 is enrolled with another key/);
      const { value } = await fleet.event(
        ({ kind, what }) => kind === "enrolment" && /calls itself core1 was refused/.test(what),
        since_ms,
      );
      assert.is(value.severity, "error");
      assert.is((await fleet.status()).get("core1")?.state, "converged");
    });

    test("a good string lets it in within seconds, and is gone from the disk", async () => {
      const begun_ms = performance.now();
      await machine.join(await joinString("edge1", "--group", "spare"));
      await says(/^enrolled as edge1, watched, no desired state yet$/);
      measured("a join string to enrolled", `${Math.round(performance.now() - begun_ms)} ms`);
      assert.is((await machine.exec(["test", "-e", "/etc/muster/join"])).code, 1);
      await fleet.until(
        "edge1 is watched",
        async () => (await fleet.status()).get("edge1")?.state === "watched",
        10_000,
      );
    });

    test("its key may not take another name", async () => {
      await machine.sh("systemctl stop muster-agent; rm /var/lib/muster-agent/credentials.json*");
      await machine.join(await joinString("edge2"));
      await machine.sh("systemctl start muster-agent");
      await says(
        /^enrolment refused: another machine holds this name: this machine's key is enrolled as edge1 already/,
      );
      await isNobody("edge2");
    });

    test("it lost its papers and kept its key: it comes back with no string", async () => {
      const since_ms = Date.now();
      await machine.sh("systemctl stop muster-agent; rm -f /etc/muster/join; systemctl start muster-agent");
      await says(/^enrolled as edge1, watched/);
      const { value } = await fleet.event(
        ({ host, kind, what }) =>
          host === "edge1" && kind === "enrolment" && /came back by its own key/.test(what),
        since_ms,
      );
      assert.is(value.severity, "warning");
    });

    test("a string that was used lets no other machine in", async () => {
      const text = await joinString("edge2");
      await machine.wipe();
      await machine.join(text);
      await machine.sh("systemctl start muster-agent");
      await says(/^enrolled as edge2, watched/);
      edge2_key = await machine.read("/etc/ssh/ssh_host_ed25519_key");
      await machine.wipe();
      await machine.join(text);
      const since_ms = Date.now();
      await machine.sh("systemctl start muster-agent");
      await says(/^enrolment refused: the join string was used before: by another machine/);
      await fleet.event(({ kind, what }) => kind === "enrolment" && /used before/.test(what), since_ms);
    });

    test("replaced: the old key is out on every plane, also at other hosts' sshd, and the next machine has the name", async () => {
      // The key of the machine that is gone opens core1, as one that people had let in there.
      const core1 = fleet.on("core1");
      const hub = fleet.on("hub");
      const key = "/root/edge2-key";
      await hub.sh(`umask 077; cat >${key}; ssh-keygen -y -f ${key} >${key}.pub`, { input: edge2_key });
      const line = (await hub.read(`${key}.pub`)).trim();
      await core1.sh("cat >>/root/.ssh/authorized_keys", { input: `${line} edge2\n` });
      const logIn = () =>
        hub.exec([
          ...["ssh", "-F", "none", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes"],
          ...["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "root@core1", "hostname"],
        ]);
      const before = await logIn();
      assert.equal([before.code, before.stdout.trim()], [0, "core1"], before.stderr);

      const why = "disk gone";
      const { json } = await fleet.ctl(["host", "replace", "edge2", "--why", why, "-y", "--json"], {
        expect: 0,
      });
      await fleet.until("sshd of core1 refuses it", async () => (await logIn()).code === 255, 20_000);
      assert.match(
        await core1.sh("journalctl -u ssh -n 50 | cat"),
        /revoked by file \/etc\/ssh\/muster-revoked.krl/,
      );
      // Nobody else is locked out, also when somebody takes the list away: sshd would refuse every key.
      await core1.sh("rm /etc/ssh/muster-revoked.krl");
      await fleet.until(
        "the list lies there again",
        () => core1.sh("test -s /etc/ssh/muster-revoked.krl && echo yes"),
        10_000,
      );
      assert.is(
        (await core1.sh("sshd -T | grep -i ^revokedkeys")).trim(),
        "revokedkeys /etc/ssh/muster-revoked.krl",
      );
      await core1.sh("sed -i '/ edge2$/d' /root/.ssh/authorized_keys");

      await machine.wipe();
      await machine.join(json().join);
      await machine.sh("systemctl start muster-agent");
      await says(/^enrolled as edge2, watched/);
      await fleet.ctl(["audit", "--verify", "--host", "core1"], { expect: 0 });
      // A controller tells the audit of it beside its answer.
      await fleet.until(
        "the audit has both",
        async () => {
          const rows = (await fleet.ctl(["audit", "--since", "10m", "--json"], { expect: 0 })).json() as {
            by: { name: string } | null;
            what: string;
            target: string;
            result: string;
          }[];
          const done = (what: string, target: RegExp) =>
            rows
              .filter((row) => row.what === what && row.result === "done" && target.test(row.target))
              .at(-1);
          const told = [
            done("revoke", /^edge2|^host edge2/)?.by?.name,
            done("join", /^edge2 /) !== undefined,
          ];
          assert.equal(told, ["alice", true], JSON.stringify(rows.slice(-30)));
          return true;
        },
        10_000,
      );
    });

    test("with a fleet string it waits; machine and ctl show one fingerprint; a person lets it in", async () => {
      await machine.wipe();
      await forgetHosts(fleet, ["edge1"]);
      await fleet.until("a controller answers", async () => (await fleet.ctl(["hosts"])).code === 0, 15_000);
      const fleet_string = fleet.state.read("fleet/fleet-string") ?? "";
      await machine.sh("cat >/etc/muster/fleet; systemctl start muster-agent", {
        input: `${fleet_string}\n`,
      });
      await says(/^waiting for approval: SHA256:[A-Za-z0-9+/]{43}$/);
      const fingerprint = (await machine.said()).replace("waiting for approval: ", "");
      const shown = await machine.sh("systemctl status muster-agent | cat");
      assert.ok(shown.includes(fingerprint), shown);
      const rows = (await fleet.ctl(["enrol", "--json"], { expect: 0 })).json() as {
        fingerprint: string;
        name: string;
      }[];
      assert.equal(
        rows.map((row) => [row.fingerprint, row.name]),
        [[fingerprint, "edge1"]],
      );
      assert.match((await fleet.ctl(["enrol"], { expect: 0 })).stdout, /^SHA256:\S+ +edge1 /m);
      const taken = await fleet.ctl(["enrol", "approve", fingerprint, "--name", "edge2", "-y"], {
        expect: 1,
      });
      assert.match(taken.stderr, /another machine holds this name/);
      await fleet.ctl(["enrol", "approve", fingerprint, "--name", "edge3", "--group", "spare", "-y"], {
        expect: 0,
      });
      await says(/^enrolled as edge3, watched/);
      assert.match((await fleet.ctl(["enrol"], { expect: 0 })).stdout, /no machine waits/);
    });

    test("an agent that starts before its network enrols by itself once there is one", async () => {
      await machine.wipe();
      await forgetHosts(fleet, ["edge3"]);
      await fleet.until("a controller answers", async () => (await fleet.ctl(["hosts"])).code === 0, 15_000);
      await machine.join(await joinString("edge3"));
      await machine.cut();
      await machine.sh("systemctl start muster-agent");
      await says(/^asking \S+, \S+ to let this machine in$/);
      await says(/^waiting for the fleet: the broker cannot be reached/, UNREACHABLE_MS);
      await machine.mend();
      const ms = await says(/^enrolled as edge3, watched/, UNREACHABLE_MS);
      measured("line mended to enrolled", `${Math.round(ms)} ms`);
    });
  },
  { limit_ms: 60_000 },
);
