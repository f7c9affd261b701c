/** What Tab offers, on the table of commands and the example folder: no log-in, no network. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";
import { ctl } from "../terminal.ts";

const EXAMPLE = fileURLToPath(new URL("../../../../inventory", import.meta.url));

suite("ctl completion: candidates", (test) => {
  let directory = "";
  test.before(async () => {
    directory = await mkdtemp(join(tmpdir(), "muster-completion-"));
  });
  test.after(() => rm(directory, { recursive: true, force: true }));

  /** The words that are offered behind these; the last is the one that is written. */
  const offered = async (typed: readonly string[], cwd = EXAMPLE): Promise<string[]> => {
    const ran = await ctl(["completion", "words", "--", ...typed], { home: join(directory, "home"), cwd });
    assert.is(ran.code, 0, ran.err);
    assert.is(ran.err, "");
    return ran.out
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split("\t")[0] ?? "");
  };

  test("commands, with what they are for", async () => {
    assert.equal(await offered(["pl"]), ["plan"]);
    assert.ok((await offered([""])).includes("completion"));
    const ran = await ctl(["completion", "words", "--", "pl"], { home: directory });
    assert.is(ran.out, "plan\twhat hosts would do to become what the folder says\n");
    assert.equal(await offered(["enrol", "a"]), ["approve"]);
    assert.equal(await offered(["nonsense", ""]), []);
  });

  test("options: those of the command and of all, each once unless it may be repeated", async () => {
    assert.equal(await offered(["plan", "--on"]), ["--only"]);
    assert.equal(await offered(["plan", "--only", "x", "--on"]), ["--only"]);
    assert.equal(await offered(["bgp", "--js"]), ["--json"]);
    assert.equal(await offered(["bgp", "--json", "--js"]), []);
    assert.equal(await offered(["--fl"]), ["--fleet"]);
    assert.equal(await offered(["enrol", "approve", "--gr"]), ["--group"]);
    assert.equal(await offered(["bgp", "--", "--do"]), []);
  });

  test("values by what they are", async () => {
    assert.equal(await offered(["-o", ""]), ["table", "wide", "json", "yaml"]);
    assert.equal(await offered(["status", "-o", "w"]), ["wide"]);
    assert.equal(await offered(["status", "--output", "=", "w"]), ["wide"], "as bash parts --output=w");
    assert.equal(await offered(["operator", "add", "bob", "--rank", "ad"]), ["admin"]);
    assert.equal(await offered(["events", "--kind", "dr"]), ["drift", "drain"]);
    assert.equal(await offered(["rpc", "pi"]), ["ping"]);
    assert.equal(await offered(["completion", "z"]), ["zsh"]);
    assert.equal(await offered(["docs", "bi"]), ["bird"]);
    assert.equal(await offered(["login", "--password-file", ""]), [":files"]);
    assert.equal(await offered(["apply", "-m", ""]), []);
  });

  test("hosts and groups of the folder, also in a list", async () => {
    assert.equal(await offered(["plan", "i"]), ["ixp1", "ixp"]);
    assert.equal(await offered(["plan", "ixp1,pr"]), ["ixp1,probe1", "ixp1,probe"]);
    assert.equal(await offered(["explain", "co"]), ["core1"], "one host only");
    assert.equal(await offered(["join", "ixp1", "co"]), ["core1"], "again and again");
    assert.equal(await offered(["status", "--not", "core1,pro"]), ["core1,probe1", "core1,probe"]);
    assert.equal(await offered(["join", "--group", "cor"]), ["core"]);
  });

  test("resources and BGP sessions of the host that was named", async () => {
    assert.equal(await offered(["explain", "ixp1", "bi"]), ["bird/main"]);
    assert.ok((await offered(["plan", "--only", "file//etc/m"])).includes("file//etc/motd"));
    assert.equal(await offered(["bgp", "ixp1", "up"]), ["upstream"]);
    assert.equal(await offered(["bgp", "probe1", "up"]), []);
  });

  test("nothing without a folder, and no complaint in one with mistakes", async () => {
    assert.equal(await offered(["plan", ""], directory), []);
    assert.equal(await offered(["bgp", "ixp1", ""], directory), []);
    await writeFile(join(directory, "muster.yml"), "fleet: [\n");
    await writeFile(join(directory, "hosts.yml"), "core: 1\n");
    assert.equal(await offered(["plan", ""], directory), ["all", "core"], "what can be read");
    assert.equal(await offered(["explain", "ixp1", ""], directory), []);
  });

  test("a shell that is not known is named", async () => {
    const ran = await ctl(["completion", "tcsh"], { home: directory });
    assert.is(ran.code, 2);
    assert.match(ran.err, /no shell tcsh; there are bash, zsh, fish/);
  });
});
