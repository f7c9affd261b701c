/** `ctl vault layout`: the files of several servers, which are those in deploy/vault/three-servers, and what a second run leaves alone. */
import { X509Certificate } from "node:crypto";
import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { ctl } from "../terminal.ts";

suite("ctl vault layout", (test) => {
  let directory = "";
  let release: () => Promise<void>;
  test.before(async () => {
    ({ path: directory, release } = await temporaryDirectory("layout"));
  });
  test.after(() => release());

  const layout = (...servers: string[]) =>
    ctl(["vault", "layout", ...servers, "--out", "out", "--json"], { home: directory, cwd: directory });
  const THREE = ["a=a.example", "b=b.example", "c=c.example"];
  const read = (name: string) => readFile(join(directory, "out", name), "utf8");

  test("writes the layout that the repository shows", async () => {
    const ran = await layout(...THREE);
    assert.is(ran.code, 0, ran.err);
    for (const name of ["a", "b", "c"]) {
      const shown = new URL(`../../../../deploy/vault/three-servers/${name}.hcl`, import.meta.url);
      assert.is(await read(`${name}/vault.hcl`), await readFile(shown, "utf8"));
      const certificate = new X509Certificate(await read(`${name}/tls.crt`));
      assert.is(certificate.checkHost(`${name}.example`), `${name}.example`);
      assert.is(certificate.checkHost("localhost"), "localhost");
      assert.ok(certificate.verify(new X509Certificate(await read("ca.crt")).publicKey));
      assert.is((await stat(join(directory, "out", name, "tls.key"))).mode & 0o777, 0o600);
    }
  });

  test("changes nothing the second time, and only what has to be for another server", async () => {
    assert.equal(JSON.parse((await layout(...THREE)).out).changed, []);
    const { changed } = JSON.parse((await layout("a=a.example", "b=2001:db8::b", "c=c.example")).out);
    assert.equal(changed, ["a/vault.hcl", "b/vault.hcl", "b/tls.crt", "b/tls.key", "c/vault.hcl"]);
    assert.match(await read("a/vault.hcl"), /leader_api_addr {5}= "https:\/\/\[2001:db8::b\]:8200"/);
  });

  test("refuses what would not hold", async () => {
    const refused = async (pattern: RegExp, ...servers: string[]) => {
      const ran = await layout(...servers);
      assert.is(ran.code, 2, ran.err);
      assert.match(ran.err, pattern);
    };
    await refused(/it takes three to lose one/, "a=a.example", "b=b.example");
    await refused(/a name of its own/, "a=a.example", "a=b.example", "c=c.example");
    await refused(
      /must be NAME=ADDRESS without a port, such as a=a\.example/,
      "a=a.example:8200",
      ...THREE.slice(1),
    );
    await refused(/must be NAME=ADDRESS/, 'a=a" }', ...THREE.slice(1));
    await rm(join(directory, "out/ca.key"));
    const ran = await layout(...THREE);
    assert.is(ran.code, 1);
    assert.match(ran.err, /ca\.key is not there: put it back/);
  });
});
