// limit: 120 s
/**
 * `ctl revoke` while Vault is sealed, and with the recovery kit, on a real Vault, broker and controller: what does not need Vault is done, what waits for it
 * is named with the line to type, and that line ends it.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Bus, connectBus } from "@muster/ports/bus";
import { nkeyFromSeed, signEd25519 } from "@muster/protocol/nkey";
import { subjects } from "@muster/protocol/subjects";
import * as assert from "uvu/assert";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made, PASSWORD } from "../made.ts";
import { ctl, type Ran } from "../terminal.ts";

type Step = { step: string; what: string; changed: boolean; error: { code: string } | null };

suite(
  "ctl revoke without Vault",
  (test) => {
    const life = new AbortController();
    const controller = new AbortController();
    let made: Made;
    let bobs: Bus;
    const file = (name: string) => join(made.directory, name);
    const kit = () => ["--kit", file("lab.kit"), "--passphrase-file", file("passphrase")];
    const revoke = (...words: string[]) => ctl(["revoke", ...words, "-y"], { home: made.home });
    /** What came of each step: done, done before, or why not. */
    const steps = (ran: Ran) =>
      Object.fromEntries(
        (JSON.parse(ran.out) as { steps: Step[] }).steps.map(({ step, changed, error }) => [
          step,
          error?.code ?? (changed ? "done" : "before"),
        ]),
      );

    test.before(async () => {
      made = await emptyGround(life.signal);
      await made.init();
      await made.startBroker();
      const ran = await made.init();
      assert.is(ran.code, 0, ran.err);
      await made.startController(controller.signal);
      assert.is((await ctl(["login"], { home: made.home, answers: [PASSWORD] })).code, 0);
      await writeFile(file("bobs"), "another long password\n");
      for (const name of ["bob", "carol"]) {
        const words = ["operator", "add", name, "--rank", "operator", "--password-file", file("bobs")];
        assert.is((await ctl(words, { home: made.home })).code, 0);
      }
      const { anchor, broker_ca } = JSON.parse(await readFile(join(made.home, "lab/fleet.json"), "utf8"));
      const words = ["login", `bob@${made.address}#${anchor}`, "--password-file", file("bobs")];
      assert.is((await ctl(words, { home: file("bob") })).code, 0);
      const { seed, user_jwt } = JSON.parse(await readFile(join(file("bob"), "lab/session.json"), "utf8"));
      const key = nkeyFromSeed(seed);
      bobs = await connectBus(
        {
          servers: [made.address],
          ca_pem: broker_ca,
          name: "bob",
          inbox_prefix: subjects.inboxPrefix(key.public),
          credentials: () => ({ jwt: user_jwt, sign: (nonce) => signEd25519(key.key, nonce) }),
          first_connect: "once",
        },
        life.signal,
      );
      await made.vault.seal();
    });
    test.after(async () => {
      controller.abort();
      life.abort();
      await made.stop();
    });

    test("sealed: orders of his are void and nothing more is issued; what waits is named, and the kit", async () => {
      const ran = await revoke("bob", "--json");
      assert.is(ran.code, 4, ran.err);
      assert.equal(steps(ran), {
        bus: "VAULT_SEALED",
        vault: "VAULT_SEALED",
        signatures: "done",
        records: "done",
      });
      assert.ok(bobs.connected);
      const told = await revoke("bob");
      assert.match(told.out, /^bus +NOT DONE: Vault is sealed/m);
      assert.match(told.out, /^signatures .*\(was so before\)/m);
      assert.match(told.out, /^now +ctl revoke bob --kit FILE/m);
      assert.match(told.out, /^next +ctl revoke bob +again, logged in, when Vault is open/m);
    });

    test("whom nobody but Vault knows is revoked by saying what he is", async () => {
      const unknown = await revoke("carol");
      assert.is(unknown.code, 1);
      assert.match(unknown.err, /people are not known \(Vault is sealed.*\): say person\/carol if it is one/);
      const ran = await revoke("person/carol", "--json");
      assert.equal([ran.code, steps(ran).signatures], [4, "done"], ran.err);
    });

    test("with the kit he is off the bus at once, sealed or not", async () => {
      const ran = await revoke("bob", ...kit(), "--json");
      assert.is(ran.code, 4, ran.err);
      assert.equal(steps(ran), {
        bus: "done",
        vault: "NOT_LOGGED_IN",
        signatures: "before",
        records: "before",
      });
      await eventually(() => assert.not.ok(bobs.connected), 10_000);
      const told = await revoke("bob", ...kit());
      assert.match(told.out, /^vault +NOT DONE: .*recovery kit/m);
      assert.match(told.out, /^next +ctl revoke bob +again, logged in, when Vault is open/m);
      assert.not.match(told.out, /^now /m);
    });

    test("with the kit alone, no controller: the bundle goes out all the same", async () => {
      controller.abort();
      await eventually(async () => assert.is((await ctl(["hosts"], { home: made.home })).code, 5), 20_000);
      const ran = await revoke("person/dave", ...kit(), "--json");
      assert.equal(
        [ran.code, steps(ran).signatures, steps(ran).records],
        [4, "done", "NO_RESPONDER"],
        ran.out + ran.err,
      );
    });

    test("Vault is open again: the line that was named ends it, and the accounts are as they should be", async () => {
      await made.vault.unseal();
      await made.startController(life.signal);
      const ran = await revoke("bob", "--json");
      assert.is(ran.code, 0, ran.err);
      assert.equal(steps(ran), { bus: "before", vault: "done", signatures: "before", records: "before" });
      assert.is((await made.init()).code, 0);
      assert.is((await revoke("bob")).code, 0);
    });
  },
  { limit_ms: 60_000 },
);
