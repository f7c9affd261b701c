// limit: 300 s
/**
 * Vault is sealed, and a change has to go out: the recovery kit logs in, plans and applies from a machine that knows nothing of the fleet. Every host
 * that it touches says so loudly. The controller that runs goes on, and afterwards all is as before.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openVault } from "@muster/ports/vault";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type CtlResult, type Fleet, measured, openFleet } from "./kit.ts";
import { operatorOf } from "./persona.ts";

const FILE = "/etc/netinfo/in-need";

suite(
  "the recovery kit",
  (test) => {
    let fleet: Fleet;
    let home: string;
    let since_ms: number;
    const life = new AbortController();

    const unseal = (): Promise<string> =>
      fleet.on("hub").sh("runuser -u muster-vault -- /usr/lib/muster/vault-unseal");

    test.before(
      async () => {
        fleet = await openFleet();
        await fleet.reset();
        // A machine without profile, session and password.
        home = mkdtempSync(join(tmpdir(), "muster-kit-"));
        chmodSync(home, 0o700);
        const { profile } = await operatorOf(fleet, life.signal);
        const { vault: addresses, vault_ca } = profile.bundle;
        const root = fleet.state.read("vault-root-token") ?? "";
        const vault = openVault({ addresses, ca_pem: vault_ca.join("") }, life.signal).withToken(root);
        await vault.write("sys/seal", {});
        await fleet.until("Vault is sealed", async () => (await vault.health()).sealed, 10_000);
        since_ms = Date.now();
      },
      { limit_ms: 200_000 },
    );
    test.after(
      async () => {
        await unseal();
        rmSync(home, { recursive: true, force: true });
        life.abort();
        await fleet.reset();
      },
      { limit_ms: 200_000 },
    );

    const withKit = (
      args: readonly string[],
      passphrase_file = fleet.state.path("kit-passphrase"),
    ): Promise<CtlResult> =>
      fleet.ctl(["--kit", fleet.state.path("recovery.kit"), "--passphrase-file", passphrase_file, ...args], {
        env: { MUSTER_HOME: home },
      });

    test("with Vault sealed nobody logs in, and a log-in that holds goes on", async () => {
      const password = fleet.state.path("alice-password");
      const login = await fleet.ctl(["login", "alice", "--password-file", password], { expect: 5 });
      assert.match(login.stderr, /Vault is sealed/);
      await fleet.ctl(["status"], { expect: 0 });
    });

    test("without the kit, or with a wrong passphrase, the strange machine gets nowhere", async () => {
      const none = await fleet.ctl(["plan"], { env: { MUSTER_HOME: home }, expect: 1 });
      assert.match(none.stderr, /no valid log-in/);
      const wrong_file = join(home, "wrong");
      writeFileSync(wrong_file, "correct horse battery staple\n", { mode: 0o600 });
      const wrong = await withKit(["plan"], wrong_file);
      assert.is(wrong.code, 1);
      assert.match(wrong.stderr, /the passphrase does not open the recovery kit/);
      assert.not.match(wrong.stdout + wrong.stderr, /correct horse/);
    });

    test("it plans and applies, and says that it is the kit", async () => {
      fleet.edit("resources/core1.yml", () => `file:\n  ${FILE}: { content: "by the kit\\n" }\n`);
      const planned = await withKit(["plan"]);
      assert.is(planned.code, 3, planned.stderr);
      assert.match(planned.stderr, /recovery kit of as64500: every host logs that it was used/);
      const applied = await withKit(["apply", "core1", "-y", "-m", "in need"]);
      assert.is(applied.code, 0, applied.stdout + applied.stderr);
      measured("apply with the kit", `${Math.round(applied.ms)} ms`);
      assert.is(await fleet.on("core1").read(FILE), "by the kit\n");
      assert.match((await fleet.ctl(["plan"], { expect: 0 })).stdout, /folder and servers agree/);
    });

    test("every host that was touched logs it loudly, and no other", async () => {
      const kit = (host: string, what: RegExp) =>
        fleet.event(
          (event) => event.host === host && event.kind === "kit" && what.test(event.what),
          since_ms,
        );
      for (const host of ["core1", "ixp1", "probe1"]) {
        const { value } = await kit(host, /^plan with the recovery kit by kit$/);
        assert.is(value.severity, "error");
      }
      const { value } = await kit("core1", /^generation \d+ was signed with the recovery kit by kit$/);
      assert.is(value.severity, "error");
      assert.match((await fleet.ctl(["status"])).stdout, /^kit {2}the recovery kit was used \d\d:\d\d/m);
      const journal = await fleet.on("core1").sh("journalctl -u muster-agent -o cat --since -5min -p err");
      assert.match(journal, /was signed with the recovery kit by kit/);
      const told = (
        await fleet.ctl(["events", "--kind", "kit", "--since", "5m", "--json"], { expect: 0 })
      ).json() as {
        host: string;
        what: string;
        at: number;
      }[];
      const signed = told.filter(({ what, at }) => at >= since_ms && /was signed/.test(what));
      assert.equal([...new Set(signed.map(({ host }) => host))], ["core1"]);
    });

    test("the controller goes on with Vault sealed; a restart of an agent needs no Vault", async () => {
      await fleet.on("probe1").sh("systemctl restart muster-agent");
      await fleet.converged();
      fleet.edit("resources/core1.yml", () => `file:\n  ${FILE}: { content: "by alice\\n" }\n`);
      await fleet.ctl(["apply", "-y", "-m", "with a log-in that holds"], { expect: 0 });
      assert.is(await fleet.on("core1").read(FILE), "by alice\n");
    });

    test("with Vault gone altogether the kit does the same", async () => {
      await fleet.on("hub").sh("systemctl stop vault");
      const password = fleet.state.path("alice-password");
      const login = await fleet.ctl(["login", "alice", "--password-file", password], { expect: 5 });
      assert.match(login.stderr, /Vault cannot be reached/);
      fleet.edit("resources/core1.yml", () => `file:\n  ${FILE}: { content: "by the kit again\\n" }\n`);
      assert.is((await withKit(["plan", "core1"])).code, 3);
      const applied = await withKit(["apply", "core1", "-y", "-m", "without Vault"]);
      assert.is(applied.code, 0, applied.stdout + applied.stderr);
      assert.is(await fleet.on("core1").read(FILE), "by the kit again\n");
    });

    test("Vault is back and open: log-in and all else are normal again", async () => {
      await fleet.on("hub").sh("systemctl start vault");
      await unseal();
      await fleet.ctl(["login", "alice", "--password-file", fleet.state.path("alice-password")], {
        expect: 0,
      });
      await fleet.ctl(["status"], { expect: 0 });
    });
  },
  { limit_ms: 60_000 },
);
