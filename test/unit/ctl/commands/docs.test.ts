/** `ctl docs`: pages from the schemas, and the schemas that it writes for editors. No fleet, no log-in. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { KIND_NAMES } from "@muster/protocol";
import * as assert from "uvu/assert";
import { parse } from "yaml";
import { topicOf, topics } from "../../../../packages/ctl/src/docs/topics.ts";
import { suite } from "../../../kit/suite.ts";
import { ctl } from "../terminal.ts";

suite("ctl docs", (test) => {
  let directory: string;
  test.before(async () => {
    directory = await mkdtemp(join(tmpdir(), "muster-docs-"));
  });
  test.after(() => rm(directory, { recursive: true, force: true }));
  const run = (...words: string[]) => ctl(words, { home: directory, cwd: directory });

  test("lists every kind, and every word of the list is a page", async () => {
    const { out, code } = await run("docs");
    assert.is(code, 0);
    for (const kind of KIND_NAMES) assert.match(out, new RegExp(`^${kind} `, "m"));
    for (const { words } of topics()) {
      const topic = topicOf(words.split(" ")[0] ?? "", undefined);
      assert.ok(topic.tables.length > 0 && topic.tables.every(({ rows }) => rows.length > 0), words);
    }
  });

  test("a kind shows the fields as the folder has them", async () => {
    const { out } = await run("docs", "file");
    assert.match(out, /^template +text +- +Name of a template/m);
    assert.match(out, /^mode +text +"0644" +Permission bits/m);
    assert.not.match((await run("docs", "container")).out, /^pin /m);
    assert.is((await run("docs", "file//etc/motd")).out, out);
  });

  test("an error by its code, a method by its name", async () => {
    assert.match(
      (await run("docs", "error", "overwrite")).out,
      /^OVERWRITE +the host was edited by hand.* 1 +no$/m,
    );
    assert.is((await run("docs", "OVERWRITE")).out, (await run("docs", "error", "OVERWRITE")).out);
    assert.match((await run("docs", "rpc", "bgp")).out, /^Needs viewer; at most 10 s\.$/m);
  });

  test("as JSON and YAML the same", async () => {
    const json = JSON.parse((await run("docs", "sysctl", "-o", "json")).out);
    assert.equal(parse((await run("docs", "sysctl", "-o", "yaml")).out), json);
    assert.is(json.title, "sysctl");
  });

  test("a word that is no page is usage, with what may have been meant", async () => {
    const wrong = await run("docs", "brid");
    assert.is(wrong.code, 2);
    assert.match(wrong.err, /did you mean `bird`/);
    assert.match((await run("docs", "error", "OVERWRIT")).err, /did you mean `OVERWRITE`/);
  });

  test("--schema writes what the example has", async () => {
    assert.is((await run("docs", "--schema")).code, 2);
    await writeFile(join(directory, "muster.yml"), "fleet: lab\n");
    assert.is((await run("docs", "--schema")).code, 0);
    const example = fileURLToPath(new URL("../../../../inventory/", import.meta.url));
    for (const path of [".schema/muster.json", ".schema/resources.json", ".schema/alerts.json"])
      assert.is(await readFile(join(directory, path), "utf8"), await readFile(join(example, path), "utf8"));
  });
});
