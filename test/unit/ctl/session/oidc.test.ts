/**
 * Log-ins by an identity provider on a real Vault, a real broker and a real provider: a person comes in as whom an admin named and as nobody else, and every
 * way in which it can fail says which it is.
 */

import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { freePort } from "../../../kit/child.ts";
import { eventually } from "../../../kit/eventually.ts";
import {
  CLIENT,
  type IdentityProvider,
  startIdentityProvider,
  visit,
} from "../../../kit/identity-provider.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made } from "../made.ts";
import { ctl, type Ran, started } from "../terminal.ts";

suite(
  "ctl login --oidc",
  (test) => {
    const life = new AbortController();
    let made: Made;
    let provider: IdentityProvider;
    let port: number;
    test.before(async () => {
      // Not one that the system hands out by itself: until `ctl` listens there any server of this test could get it.
      port = await freePort();
      // One after the other: two that look for a free port at once may find the same.
      provider = await startIdentityProvider([port]);
      made = await emptyGround(life.signal);
      await made.init();
      await made.startBroker();
      const ran = await made.init();
      assert.is(ran.code, 0, ran.err);
      await made.startController(life.signal);
      assert.is((await admin("login", "--password-file", file("password"))).code, 0);
      await writeFile(file("provider-ca.pem"), provider.ca_pem);
      await writeFile(file("client-secret"), `${CLIENT.secret}\n`);
      for (const name of ["carol", "dave", "mallory"])
        provider.people.set(name, { email: `${name}@example.org`, email_verified: name !== "dave" });
    });
    test.after(async () => {
      life.abort();
      await Promise.all([made.stop(), provider.stop()]);
    });
    const file = (name: string) => join(made.directory, name);
    const admin = (...words: string[]) => ctl(words, { home: made.home });
    const target = async (name: string) =>
      `${name}@${(await readFile(join(made.out, "fleet-string"), "utf8")).trim()}`;

    /** `ctl login --oidc` of a new machine, with a browser that does as `visitor` says from the address that is printed. */
    async function logIn(name: string, visitor: (address: string) => Promise<unknown>): Promise<Ran> {
      const run = started(["login", await target(name), "--oidc", "--port", String(port)], {
        home: file(`home-${name}`),
      });
      const printed = await run.until(/https:\S+/);
      await Promise.all([visitor(printed), run.ended]);
      return run.ended;
    }
    const asPerson = (sub: string) => async (address: string) => visit(await provider.logIn(address, sub));

    test("says that the fleet knows no provider, before one is set", async () => {
      const ran = await ctl(["login", await target("carol"), "--oidc", "--port", String(port)], {
        home: file("home-0"),
      });
      assert.is(ran.code, 1);
      assert.match(ran.err, /this fleet knows no identity provider/, ran.err);
      assert.match(ran.err, /ctl operator provider --oidc/, ran.err);
    });

    test("an admin sets the provider, and Vault asks it at once", async () => {
      const set = (issuer: string) =>
        admin(
          ...["operator", "provider", "--oidc", issuer, "--client-id", CLIENT.id],
          ...["--client-secret-file", file("client-secret"), "--provider-ca", file("provider-ca.pem")],
        );
      const wrong = await set("https://localhost:1");
      assert.is(wrong.code, 1);
      assert.match(wrong.err, /Vault gets no answer that fits from https:\/\/localhost:1/, wrong.err);
      const ran = await set(provider.issuer);
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.out, /people {2}https:\/\/localhost:\d+, as muster/);
      assert.match(ran.out, /http:\/\/localhost:8250\/oidc\/callback/);
      assert.not.match(ran.out + ran.err, new RegExp(CLIENT.secret));
    });

    test("a person whom nobody let in is a stranger, whatever the provider says", async () => {
      const ran = await ctl(["login", await target("mallory"), "--oidc", "--port", String(port)], {
        home: file("home-m"),
      });
      assert.is(ran.code, 1);
      assert.match(ran.err, /nobody called mallory logs in by the identity provider/, ran.err);
    });

    test("who was let in logs in, in the rank that the admin gave", async () => {
      const ran = await admin(
        "operator",
        "add",
        "carol",
        "--rank",
        "operator",
        "--oidc",
        "email=carol@example.org",
      );
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.out, /next {3}carol: ctl login carol@.* --oidc/);
      const login = await logIn("carol", asPerson("carol"));
      assert.is(login.code, 0, login.err);
      assert.match(login.out, /^lab · carol, operator, until /);
      const who = JSON.parse((await ctl(["whoami", "--json"], { home: file("home-carol") })).out);
      assert.is(who.rank, "operator");
      assert.match(
        (await admin("operator", "list")).out,
        /^carol +operator +all +oidc email=carol@example\.org/m,
      );
    });

    test("carol's own machine asks the provider again, without a word of it", async () => {
      const run = started(["login", "--port", String(port)], { home: file("home-carol") });
      await asPerson("carol")(await run.until(/https:\S+/));
      const ran = await run.ended;
      assert.is(ran.code, 0, ran.err);
    });

    test("over ssh the address is pasted; what is no address of this log-in is refused", async () => {
      const words = ["login", await target("carol"), "--oidc", "--paste", "--port", String(port)];
      const run = started(words, { home: file("home-ssh"), interactive: true });
      run.type(await provider.logIn(await run.until(/https:\S+/), "carol"));
      const ran = await run.ended;
      assert.is(ran.code, 0, ran.err);
      const other = started(words, { home: file("home-ssh"), interactive: true });
      await other.until(/https:\S+/);
      other.type(`http://localhost:${port}/oidc/callback?code=x&state=of-another-log-in`);
      const refused = await other.ended;
      assert.is(refused.code, 1);
      assert.match(refused.err, /not the address of this log-in/, refused.err);
    });

    test("the provider's word for mallory lets nobody in as carol", async () => {
      const ran = await logIn("carol", asPerson("mallory"));
      assert.is(ran.code, 1);
      assert.match(ran.err, /whom the identity provider let in is not carol/, ran.err);
    });

    test("an e-mail address that the provider does not vouch for is none", async () => {
      assert.is(
        (await admin("operator", "add", "dave", "--rank", "viewer", "--oidc", "email=dave@example.org")).code,
        0,
      );
      const ran = await logIn("dave", asPerson("dave"));
      assert.is(ran.code, 1);
      assert.match(ran.err, /does not vouch for that e-mail address/, ran.err);
    });

    test("calls of another page change nothing: the log-in goes on", async () => {
      const ran = await logIn("carol", async (address) => {
        for (const path of [
          "/",
          "/oidc/callback?code=x&state=guessed",
          "/oidc/callback?error=access_denied&state=guessed",
        ])
          assert.is((await visit(`http://localhost:${port}${path}`)).status, 400);
        await asPerson("carol")(address);
      });
      assert.is(ran.code, 0, ran.err);
    });

    test("the person says no at the provider", async () => {
      const ran = await logIn("carol", async (address) => {
        const state = new URL(address).searchParams.get("state");
        await visit(`http://localhost:${port}/oidc/callback?error=access_denied&state=${state}`);
      });
      assert.is(ran.code, 1);
      assert.match(ran.err, /the identity provider said no: access_denied/, ran.err);
    });

    test("an answer with another nonce is another log-in's", async () => {
      const ran = await logIn("carol", async (address) => {
        const altered = new URL(address);
        altered.searchParams.set("nonce", "n_altered-on-the-way");
        await asPerson("carol")(altered.href);
      });
      assert.is(ran.code, 1);
      assert.match(ran.err, /answered another log-in \(nonce\)/, ran.err);
    });

    test("an answer that was meant for another client is refused", async () => {
      const ran = await logIn("carol", async (address) => {
        const altered = new URL(address);
        altered.searchParams.set("client_id", "somebody-elses");
        await asPerson("carol")(altered.href);
      });
      assert.is(ran.code, 1);
      assert.match(ran.err, /takes its code back: it was used, or made for another client/, ran.err);
    });

    test("what the provider signed has expired", async () => {
      provider.slow = true;
      const ran = await logIn("carol", asPerson("carol"));
      provider.slow = false;
      assert.is(ran.code, 1);
      assert.match(ran.err, /has expired: are the clocks right/, ran.err);
    });

    test("the provider is down: told as that, and it goes on when it is back", async () => {
      const ran = await logIn("carol", async (address) => {
        const end = await provider.logIn(address, "carol");
        await provider.halt();
        await visit(end);
      });
      assert.is(ran.code, 5, ran.err);
      assert.match(ran.err, /the identity provider does not answer Vault/, ran.err);
      // A Vault that was started meanwhile never heard of it.
      await made.vault.seal();
      await made.vault.unseal();
      const begun = await ctl(["login", await target("carol"), "--oidc", "--port", String(port)], {
        home: file("home-down"),
      });
      assert.is(begun.code, 1);
      assert.match(begun.err, /Vault has no way to the identity provider/, begun.err);
      await provider.start();
      const again = await logIn("carol", asPerson("carol"));
      assert.is(again.code, 0, again.err);
    });

    test("no port is free", async () => {
      const other = createServer().listen(port, "127.0.0.1");
      const ran = await ctl(["login", await target("carol"), "--oidc", "--port", String(port)], {
        home: file("home-p"),
      });
      other.close();
      assert.is(ran.code, 1);
      assert.match(ran.err, /of this machine are taken/, ran.err);
    });

    test("the provider makes no admin unless it is trusted so far", async () => {
      const words = ["operator", "add", "carol", "--rank", "admin"];
      for (const more of [[], ["--oidc", "email=carol@example.org"]]) {
        const ran = await admin(...words, ...more);
        assert.is(ran.code, 1);
        assert.match(ran.err, /whoever holds that provider would hold the fleet/, ran.err);
      }
      assert.match((await admin("operator", "list")).out, /^carol +operator/m);
      const trusted = await admin(...words, "--trust-provider", "--oidc", "email=carol@example.org");
      assert.is(trusted.code, 0, trusted.err);
      assert.is(
        (await admin("operator", "add", "carol", "--rank", "operator", "--oidc", "email=carol@example.org"))
          .code,
        0,
      );
    });

    test("one name at the provider is one person", async () => {
      const ran = await admin(
        "operator",
        "add",
        "eve",
        "--rank",
        "operator",
        "--oidc",
        "email=carol@example.org",
      );
      assert.is(ran.code, 1);
      assert.match(ran.err, /carol@example\.org is carol already/, ran.err);
    });

    test("a password from before ends when that is said, and not before", async () => {
      const words = ["operator", "add", "frank", "--rank", "viewer"];
      const byPassword = async () =>
        (
          await ctl(["login", await target("frank"), "--password-file", file("password")], {
            home: file("home-f"),
          })
        ).code;
      assert.is((await admin(...words, "--password-file", file("password"))).code, 0);
      assert.is((await admin(...words, "--oidc", "sub=frank")).code, 0);
      assert.is(await byPassword(), 0);
      assert.is((await admin(...words, "--without-password")).code, 2);
      assert.is((await admin(...words, "--oidc", "sub=frank", "--without-password")).code, 0);
      assert.is(await byPassword(), 1);
      assert.match((await admin("operator", "list")).out, /^frank +viewer +all +oidc sub=frank *$/m);
    });

    test("another name at the provider takes the place of the first", async () => {
      assert.is((await admin("operator", "add", "dave", "--rank", "viewer", "--oidc", "sub=dave")).code, 0);
      const ran = await logIn("dave", asPerson("dave"));
      assert.is(ran.code, 0, ran.err);
    });

    test("an admin who loses the broker on the way is told what is left, and the same line completes it", async () => {
      const words = ["operator", "add", "erin", "--rank", "viewer", "--oidc", "sub=erin"];
      await made.stopBroker();
      const cut = await admin(...words);
      assert.is(cut.code, 4, cut.err);
      assert.match(cut.out, /^erin {2}viewer$/m);
      assert.match(cut.err, /NOT DONE: .*the audit does not say so.*\nnext {3}the same line again/, cut.err);
      await made.startBroker();
      await eventually(async () => {
        const again = await admin(...words);
        assert.is(again.code, 0, again.err);
        assert.match(again.out, /^erin {2}is viewer already$/m);
      }, 30_000);
      assert.match((await admin("audit")).out, /operator +done +erin is viewer/);
    });

    test("who is revoked comes in no more, and without --oidc by no provider", async () => {
      const cut = await admin("revoke", "carol", "-y");
      assert.is(cut.code, 0, cut.err);
      const ran = await logIn("carol", asPerson("carol"));
      assert.is(ran.code, 1);
      assert.match(ran.err, /carol was cut off/, ran.err);
      const none = await admin(
        "operator",
        "add",
        "dave",
        "--rank",
        "viewer",
        "--oidc",
        "none",
        "--password-file",
        file("password"),
      );
      assert.is(none.code, 0, none.err);
      const gone = await ctl(["login", await target("dave"), "--oidc", "--port", String(port)], {
        home: file("home-d"),
      });
      assert.match(gone.err, /nobody called dave logs in by the identity provider/, gone.err);
      assert.is(
        (
          await ctl(["login", await target("dave"), "--password-file", file("password")], {
            home: file("home-d"),
          })
        ).code,
        0,
      );
    });
  },
  { limit_ms: 90_000 },
);
