/**
 * `ctl ssh` and what it writes for a person's own ssh, with a real ssh against real sshds: a host proves itself by the fleet's host CA, which is believed for
 * names of the fleet alone, and what was revoked is refused as soon as an admin has signed it.
 */
import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { subjects } from "@muster/protocol";
import { writeKrl } from "@muster/protocol/krl";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { type SshPaper, type SshServer, sshKey, startSshd } from "../../../security/ssh-server.ts";
import { type Ground, startGround, writeSmallFolder } from "../ground.ts";

const run = promisify(execFile);
const USER = userInfo().username;

suite(
  "ctl ssh",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    let place: Awaited<ReturnType<typeof temporaryDirectory>>;
    let [ca, core1, person]: SshPaper[] = [];
    const servers: SshServer[] = [];
    const at = (name: string) => join(place.path, name);

    /** A certificate by the fleet's CA for these names, as one line. */
    const signed = async (paper: SshPaper | undefined, names: string, kind: readonly string[]) => {
      const [copy, line] = [at("signing.pub"), at("signing-cert.pub")];
      await writeFile(copy, `${paper?.public_key}\n`);
      await run("ssh-keygen", [
        "-q",
        "-s",
        ca?.key_file ?? "",
        ...kind,
        "-I",
        names,
        "-n",
        names,
        "-V",
        "-5m:+1h",
        copy,
      ]);
      const { stdout } = await run("cat", [line]);
      await rm(line);
      return stdout.trim();
    };
    const shows = async (names: string | null) => {
      assert.ok(core1 && ca);
      const line = names === null ? null : await signed(core1, names, ["-h"]);
      const trusts = { user_cas: [ca.public_key], krl: new Uint8Array() };
      const server = await startSshd(place.path, core1, line, trusts);
      servers.push(server);
      return server;
    };
    /** As a person does who included what was printed. What ssh said where it did not get in. */
    const dial = async (server: SshServer, ...more: string[]): Promise<string> => {
      const vars = `{ site: ams, ansible_host: 127.0.0.1, ansible_port: ${server.port}, ansible_user: ${USER} }`;
      await ground.write(
        "hosts.yml",
        `core:\n  hosts:\n    core1: ${vars}\nixp: {}\nprobe: {}\nrouters:\n  children: { core: {}, ixp: {}, probe: {} }\n`,
      );
      const printed = await ground.run("ssh --config");
      assert.is(printed.code, 0, printed.err);
      await writeFile(at("config"), `${printed.out}\n`);
      const own = [
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        `IdentityFile=${person?.key_file}`,
      ];
      const words = [
        "-F",
        at("config"),
        ...own,
        "-o",
        `CertificateFile=${at("person-cert.pub")}`,
        ...more,
        "core1",
        "true",
      ];
      return run("ssh", words, { timeout: 20_000 }).then(
        () => "in",
        (error: { stderr?: string }) => error.stderr ?? "",
      );
    };

    test.before(
      async () => {
        place = await temporaryDirectory("ctl-ssh");
        ground = await startGround([], life.signal, { controller: false });
        await writeSmallFolder(ground);
        [ca, core1, person] = await Promise.all(
          ["ca", "core1", "person"].map((name) => sshKey(place.path, name)),
        );
        await writeFile(at("person-cert.pub"), `${await signed(person, USER, [])}\n`);
        await publish({ ssh_host_ca: [ca?.public_key ?? ""] });
      },
      { limit_ms: 30_000 },
    );
    test.after(async () => {
      for (const server of servers) await server.stop();
      life.abort();
      await ground.stop();
      await place.release();
    });
    const publish = async (change: Partial<Ground["fleet"]["bundle"]>) => {
      const { fleet } = ground;
      fleet.bundle = { ...fleet.bundle, ...change, version: fleet.bundle.version + 1 };
      const { headers, body } = fleet.signBundle(fleet.bundle);
      const bus = await fleet.setup(life.signal);
      await bus.publishStored(subjects.trust(), body, { headers });
      await bus.close();
    };

    test("a host proves itself by its certificate: nobody is asked, and nothing else is believed", async () => {
      assert.is(await dial(await shows("core1,core1.as64500")), "in");
      assert.match(await dial(await shows("core2,core2.as64500")), /name is not a listed principal/);
      assert.match(await dial(await shows(null)), /No ED25519 host key is known/);
    });

    test("the fleet's CA counts for the fleet's names alone", async () => {
      const server = await shows("core1.as64500,www.example");
      assert.is(await dial(server), "in");
      assert.match(await dial(server, "-o", "HostKeyAlias=www.example"), /No ED25519 host key is known/);
    });

    test("what was revoked is refused, as soon as an admin has signed it", async () => {
      const server = await shows("core1,core1.as64500");
      assert.is(await dial(server), "in");
      const key = core1?.public_key.split(" ")[1] ?? "";
      const list = (keys: string[]) => writeKrl({ keys, people: [] }, 1, Date.now()).toString("base64");
      await publish({ ssh_krl: list([key]) });
      assert.match(await dial(server), /revoked/i);
      await publish({ ssh_krl: list([]) });
      assert.is(await dial(server), "in");
    });

    test("runs ssh itself and ends as it does; what is not said right is told", async () => {
      const ran = await ground.run("ssh core1 true");
      // Nobody gave this one a key.
      assert.is(ran.code, 255, ran.err);
      assert.is((await ground.run("ssh core9")).code, 1);
      assert.is((await ground.run("ssh")).code, 2);
      assert.is((await ground.run("ssh core1 --config")).code, 2);
    });

    test("without a broker it goes on with what is known, and says so", async () => {
      await ground.fleet.stop();
      const ran = await ground.run("ssh --config");
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.err, /what was revoked after .* may not be known here/);
      assert.match(ran.out, /HostKeyAlias core1\.as64500/);
    });
  },
  { limit_ms: 30_000 },
);
