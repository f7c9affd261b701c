/** What `ctl join --ssh` and `--cloud-init` decide before anything leaves this machine, and the sentence of a host that has joined. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { loadFleet } from "../../../../packages/ctl/src/inventory/fleet.ts";
import { checkedUrl, cloudInit } from "../../../../packages/ctl/src/join/cloud-init.ts";
import { joinedText } from "../../../../packages/ctl/src/join/joined.ts";
import { readPackage } from "../../../../packages/ctl/src/join/package.ts";
import { sshTargets, sshWords } from "../../../../packages/ctl/src/join/targets.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";

suite("ctl join: how a server is reached", (test) => {
  const loaded = async (hosts: string) => {
    const { path, release } = await temporaryDirectory("targets");
    await writeFile(join(path, "muster.yml"), "fleet: lab\n");
    await writeFile(join(path, "hosts.yml"), hosts);
    return loadFleet(path).finally(release);
  };

  test("by ansible's variables, of the host or of its group", async () => {
    const fleet = await loaded(
      `ixp: { hosts: { ixp1: { ansible_host: "2001:db8::11", ansible_port: 2222 }, ixp2: {} }, vars: { ansible_user: ops } }\n`,
    );
    const [ixp1, ixp2] = sshTargets(fleet, ["ixp1", "ixp2"]);
    assert.equal(ixp1, { name: "ixp1", address: "2001:db8::11", user: "ops", port: 2222 });
    assert.equal(sshWords(ixp1 as never).slice(-3), ["-p", "2222", "ops@2001:db8::11"]);
    assert.is(sshWords(ixp2 as never).at(-1), "ops@ixp2");
  });

  test("and never by a word that ssh would take for an option", async () => {
    const fleet = await loaded(`ixp: { hosts: { ixp1: { ansible_host: "-oProxyCommand=id" } } }\n`);
    assert.throws(() => sshTargets(fleet, ["ixp1"]), /ixp1: ansible_host must be one word/);
  });
});

suite("ctl join: the package", (test) => {
  test("is the named one or the one in the folder, and must be a Debian package", async () => {
    const { path, release } = await temporaryDirectory("package");
    const where = { cwd: path, folder: join(path, "fleet"), home: join(path, "home") };
    const refusal = (named?: string) =>
      readPackage(named, where).then(
        () => "taken",
        (error: unknown) => String(error),
      );
    assert.match(await refusal(), /muster-agent\.deb is in none of/);
    await mkdir(where.folder);
    await writeFile(join(where.folder, "muster-agent.deb"), "!<arch>\ndebian-binary   ");
    assert.is(await refusal(), "taken");
    await writeFile(join(path, "other.deb"), "hello");
    assert.match(await refusal("other.deb"), /other\.deb is not a Debian package/);
    await release();
  });
});

suite("ctl join: user data", (test) => {
  test("joins by the file, and fetches from https only", () => {
    const url = checkedUrl("https://example.net/muster-agent.deb");
    const text = cloudInit({ fleet: "lab", name: "ixp1", join: "mj1.x.y", url, not_after: 0 });
    assert.match(text, /^#cloud-config\n/);
    assert.match(text, /permissions: "0600"\n {4}content: \|\n {6}mj1\.x\.y\n/);
    for (const bad of [undefined, "http://example.net/x", "/root/x.deb", "https://e.net/';id;'"])
      assert.throws(() => checkedUrl(bad), /needs --package https/);
  });

  test("a host that has joined is told in a sentence", () => {
    const sessions = { seen: 3, down: ["locix_rs1"] };
    const text = joinedText(
      { os: "Debian 12", bird: "2.0.12", sessions },
      { state: "joined", took_ms: 6_000 },
    );
    assert.is(text, "joined in 6 s   Debian 12, BIRD 2.0.12, 3 sessions seen, 1 down: locix_rs1");
    const bare = joinedText(
      { os: "Debian 12", bird: null, sessions: { seen: 0, down: [] } },
      { state: "already", took_ms: 1 },
    );
    assert.is(bare, "is in already   Debian 12");
  });
});
