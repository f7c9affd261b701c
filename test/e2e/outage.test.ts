// limit: 900 s
// lane: own
/**
 * Ten minutes without a broker and with Vault sealed, the whole night's worth of both at once. The servers go on as they are, correct what is edited by
 * hand, and remember what happened; a machine that boots in the middle waits. The broker comes back first: a change goes out with Vault still sealed.
 * Then Vault opens: the waiting machine is let in. No hand on any server, no agent started anew.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { callController } from "@muster/ports/call";
import { openVault } from "@muster/ports/vault";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, HOSTS, measured, openFleet } from "./kit.ts";
import { bootMachine, declareSpare, forgetHosts, type Machine } from "./machine.ts";
import { operatorBus, operatorOf } from "./persona.ts";

const DOWN_MS = 600_000;
const LOOK_MS = 60_000;
const MARK = "/etc/netinfo/outage";
const SPARE = ["edge9"] as const;

suite(
  "a long outage",
  (test) => {
    let fleet: Fleet;
    let machine: Machine | undefined;
    let down_ms = 0;
    let up_ms = 0;
    let edits = 0;
    let before: Record<string, string>;
    const life = new AbortController();

    const agents = async (): Promise<Record<string, string>> =>
      Object.fromEntries(
        await Promise.all(
          HOSTS.map(
            async (host) =>
              [
                host,
                await fleet.on(host).sh("systemctl show muster-agent --property=MainPID,NRestarts"),
              ] as const,
          ),
        ),
      );
    const said = async (): Promise<string> => (await machine?.said()) ?? "";
    const unseal = () => fleet.on("hub").sh("runuser -u muster-vault -- /usr/lib/muster/vault-unseal");

    test.before(
      async () => {
        fleet = await openFleet();
        await fleet.reset();
        await forgetHosts(fleet, SPARE);
        fleet.edit(
          "resources/routers.yml",
          (yaml) => `${yaml.trimEnd()}\n  ${MARK}: { content: "before\\n" }\n`,
        );
        await fleet.ctl(["apply", "-y", "-m", "before the outage"], { expect: 0 });
        await fleet.converged();
      },
      { limit_ms: 200_000 },
    );
    test.after(
      async () => {
        await fleet.on("hub").sh("systemctl start nats-server vault muster-controller");
        await unseal();
        await machine?.remove();
        await forgetHosts(fleet, SPARE);
        life.abort();
      },
      { limit_ms: 100_000 },
    );

    test("Vault is sealed and the broker stopped; a machine that boots now waits and says for what", async () => {
      declareSpare(fleet, SPARE);
      const { strings } = (
        await fleet.ctl(["join", SPARE[0], "--for", "30m", "--json"], { expect: 0 })
      ).json();
      before = await agents();
      const { profile } = await operatorOf(fleet, life.signal);
      const { vault: addresses, vault_ca } = profile.bundle;
      const vault = openVault({ addresses, ca_pem: vault_ca.join("") }, life.signal);
      await vault.withToken(fleet.state.read("vault-root-token") ?? "").write("sys/seal", {});
      await fleet.on("hub").sh("systemctl stop nats-server");
      down_ms = Date.now();
      machine = await bootMachine(fleet, SPARE[0]);
      await machine.join(strings[0].join);
      await fleet.until(
        "it says what it waits for",
        async () => /waiting for the fleet: the broker cannot be reached/.test(await said()),
        60_000,
      );
    });

    test(
      "for ten minutes: BGP stays up, every hand edit is put back, ctl says what is not there (5)",
      async () => {
        while (Date.now() - down_ms < DOWN_MS - LOOK_MS) {
          const host = HOSTS[++edits % HOSTS.length] ?? "core1";
          await fleet.on(host).write(MARK, `by hand ${edits}\n`);
          await fleet.until(
            `${host} puts it back`,
            async () => (await fleet.on(host).read(MARK)) === "before\n",
            10_000,
          );
          const { code, stderr } = await fleet.ctl(["status"]);
          assert.is(code, 5);
          assert.match(stderr, /the broker cannot be reached/);
          const sessions = await fleet
            .on("ixp1")
            .sh("birdc show protocols | grep -cE '^(upstream|core1) .*Established'");
          assert.is(sessions.trim(), "2");
          await sleep(LOOK_MS);
        }
        await sleep(Math.max(0, DOWN_MS - (Date.now() - down_ms)));
        assert.equal(await agents(), before, "an agent was started anew");
      },
      { limit_ms: DOWN_MS + 120_000 },
    );

    test("the broker is back, Vault still sealed: all hosts return, late events come in order, a change goes out", async () => {
      await fleet.on("hub").sh("systemctl start nats-server");
      up_ms = Date.now();
      const { ms } = await fleet.until(
        "all hosts are converged in ctl status",
        async () => {
          const rows = await fleet.status();
          return HOSTS.every((host) => rows.get(host)?.state === "converged");
        },
        60_000,
      );
      measured("broker back after ten minutes to all converged", `${Math.round(ms)} ms`);
      assert.equal(await agents(), before, "an agent was started anew");
      const tellLate = async () => {
        const told = (
          await fleet.ctl(["events", "--kind", "drift", "--since", "30m", "--json", "--last", "1000"], {
            expect: 0,
          })
        ).json() as { host: string; at: number; ref?: string; late_ms?: number }[];
        return told.filter(({ at, ref }) => at >= down_ms && at < up_ms && ref === `file/${MARK}`);
      };
      // What a host is comes before what it has to tell.
      const { value: late } = await fleet.until(
        "the hand edits of the outage are told",
        async () => {
          const so_far = await tellLate();
          return so_far.length >= edits && so_far;
        },
        30_000,
      );
      assert.is(late.length, edits, "not every hand edit of the outage is told, or one twice");
      assert.ok(edits >= 2 * HOSTS.length, `only ${edits} hand edits were made`);
      const unmarked = late.filter(({ at, late_ms = 0 }) => at < up_ms - 180_000 && late_ms <= 120_000);
      assert.equal(unmarked, [], "told minutes later, and not marked so");
      for (const host of HOSTS) {
        const own = late.filter((event) => event.host === host).map(({ at }) => at);
        assert.ok(own.length >= 2, `${host}: ${own.length}`);
        assert.equal([...new Set(own)].sort((a, b) => a - b).length, own.length, `${host}: told twice`);
      }
      fleet.edit("resources/routers.yml", (yaml) => yaml.replace("before", "after"));
      await fleet.ctl(["apply", ...["-y", "-m", "with Vault sealed"]], { expect: 0 });
      for (const host of HOSTS) assert.is(await fleet.on(host).read(MARK), "after\n");
    });

    test("the waiting machine is told of the seal, and is let in by itself once Vault opens", async () => {
      await fleet.until(
        "it says that Vault is sealed",
        async () => /Vault is sealed/.test(await said()),
        90_000,
      );
      await unseal();
      const { ms } = await fleet.until(
        "edge9 is enrolled",
        async () => {
          const hosts = (await fleet.ctl(["hosts", "--json"])).json() as { name: string; record: unknown }[];
          return hosts.find(({ name }) => name === SPARE[0])?.record !== null;
        },
        90_000,
      );
      measured("Vault opened to the waiting machine enrolled", `${Math.round(ms)} ms`);
      await fleet.ctl(["login", "alice", "--password-file", fleet.state.path("alice-password")], {
        expect: 0,
      });
    });

    test("the numbers of the ten minutes are there, of every host, without a hole, and told as late", async () => {
      const operator = await operatorOf(fleet, life.signal);
      const { bus } = await operatorBus(operator);
      const caller = { bus, signer: operator.signer, now: Date.now };
      const asked = {
        kind: "health",
        since: down_ms - LOOK_MS,
        step_ms: null,
        after: 0,
      } as const;
      for (const host of HOSTS)
        await fleet.until(
          `${host} has told the numbers of the outage`,
          async () => {
            const { track, late } = await callController(caller, "history", {
              ...asked,
              series: ["load1"],
              host,
            });
            const at = (track?.at ?? []).filter((each) => each >= down_ms && each <= up_ms);
            const steps = [down_ms, ...at, up_ms].map((each, index, all) => each - (all[index - 1] ?? each));
            return Math.max(...steps) <= LOOK_MS && late.some(({ from, to }) => from < up_ms && to > down_ms);
          },
          150_000,
        );
      await bus.close();
    });
  },
  { limit_ms: 150_000 },
);
