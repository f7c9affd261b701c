/** A machine that knows nothing meets a fleet: whole `ctl init`, a real controller under its own Vault policy, the anchor, and machines that join. */
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { connectBus } from "@muster/ports/bus";
import { hostFingerprint } from "@muster/protocol/names";
import { subjects } from "@muster/protocol/subjects";
import * as assert from "uvu/assert";
import { freePort } from "../../../kit/child.ts";
import { enrol, makeMachine } from "../../../kit/machine.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made, PASSWORD } from "../made.ts";
import { ctl } from "../terminal.ts";

suite(
  "a machine meets the fleet",
  (test) => {
    const life = new AbortController();
    let made: Made;
    let fleet_string = "";
    let laptop = "";
    test.before(async () => {
      made = await emptyGround(life.signal);
      laptop = join(made.directory, "laptop");
      const local = ["--controller-cidr", "127.0.0.1/32", "--controller-cidr", "::1/128"];
      await made.init(local);
      await made.startBroker();
      await made.init(local);
      const again = await made.init([...local, "--json"]);
      assert.equal(JSON.parse(again.out).changed, [], again.err);
      await made.startController(life.signal);
      fleet_string = (await readFile(join(made.out, "fleet-string"), "utf8")).trim();
    });
    test.after(async () => {
      life.abort();
      await made.stop();
    });

    test("refuses a broker that does not fit the anchor, before anything is sent", async () => {
      const other = fleet_string.replace(/#.{4}/, "#AAAA");
      const ran = await ctl(["login", `alice@${other}`], { home: laptop, answers: [PASSWORD] });
      assert.is(ran.code, 1, ran.err);
      assert.match(ran.err, /not this fleet.*nothing was sent/);
      const bare = await ctl(["login", `alice@${made.address}`], { home: laptop, answers: [PASSWORD] });
      assert.match(bare.err, /the part after # is missing/);
    });

    test("tells what is no broker", async () => {
      const port = await freePort("127.0.0.1");
      const anchor = fleet_string.split("#")[1];
      const nobody = await ctl(["login", `alice@127.0.0.1:${port}#${anchor}`], {
        home: laptop,
        answers: [PASSWORD],
      });
      assert.is(nobody.code, 5, nobody.err);
      const server = createServer((socket) => socket.end("220 mail ready\r\n")).listen(port, "127.0.0.1");
      const mail = await ctl(["login", `alice@127.0.0.1:${port}#${anchor}`], {
        home: laptop,
        answers: [PASSWORD],
      });
      server.close();
      assert.is(mail.code, 5);
      assert.match(mail.err, /no NATS server/);
    });

    test("logs alice in on a new machine: everything comes from the anchor", async () => {
      const ran = await ctl(["login", `alice@${fleet_string}`], { home: laptop, answers: [PASSWORD] });
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.out, /^lab · alice, admin/);
      const again = await ctl(["login"], { home: laptop, answers: [PASSWORD] });
      assert.is(again.code, 0, again.err);
    });

    test("gives an operator and a viewer their access through the controller", async () => {
      for (const [name, rank] of [
        ["bob", "operator"],
        ["vera", "viewer"],
      ] as const) {
        const file = join(made.directory, `${name}.password`);
        await writeFile(file, `${name} has a password\n`);
        const add = await ctl(["operator", "add", name, "--rank", rank, "--password-file", file], {
          home: laptop,
        });
        assert.is(add.code, 0, add.err);
        const home = join(made.directory, name);
        const login = await ctl(["login", `${name}@${fleet_string}`, "--password-file", file], { home });
        assert.is(login.code, 0, login.err);
        const list = await ctl(["enrol"], { home });
        assert.is(list.code, rank === "operator" ? 0 : 1, list.err);
        if (rank === "viewer") assert.match(list.err, /this needs operator/);
      }
    });

    test("lets machines in: with a join string once, without one after approval", async () => {
      const bus = await connectBus(
        {
          servers: [made.address],
          ca_pem: await readFile(join(made.out, "controller/broker-ca.pem"), "utf8"),
          name: "new machine",
          inbox_prefix: subjects.enrolInboxPrefix(),
          first_connect: "once",
        },
        life.signal,
      );
      const text = await ctl(["join", "ixp1", "--group", "ixp"], { home: laptop });
      const ixp1 = await makeMachine("ixp1");
      const joined = await enrol(bus, ixp1, text.out.trim());
      assert.is(joined.status, "admitted", JSON.stringify(joined));
      const second = await enrol(bus, await makeMachine("ixp1"), text.out.trim());
      assert.is(second.status, "refused");

      const probe1 = await makeMachine("probe1");
      assert.is((await enrol(bus, probe1)).status, "pending");
      const fingerprint = hostFingerprint(probe1.nkey.public);
      const list = await ctl(["enrol"], { home: laptop });
      assert.match(list.out, /^FINGERPRINT +CALLS ITSELF/);
      assert.ok(list.out.includes(fingerprint));
      const none = await ctl(["enrol", "approve", "SHA256:nobody", "-y"], { home: laptop });
      assert.is(none.code, 1);
      const approved = await ctl(["enrol", "approve", fingerprint.slice(0, 16), "--group", "probe", "-y"], {
        home: laptop,
      });
      assert.is(approved.code, 0, approved.err);
      assert.is((await enrol(bus, probe1)).status, "admitted");

      const probe2 = await makeMachine("probe2");
      await enrol(bus, probe2);
      const asked = await ctl(["enrol", "reject", "probe2"], { home: laptop, answers: ["y"] });
      assert.is(asked.code, 0, asked.err);
      assert.is((await enrol(bus, probe2)).status, "refused");
      await bus.close();
    });
  },
  { limit_ms: 60_000 },
);
