/** `render` and `explain` on the example fleet folder: no log-in, no network. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { exampleFolder } from "../../../kit/example.ts";
import { suite } from "../../../kit/suite.ts";
import { ctl } from "../terminal.ts";

const EXAMPLE = exampleFolder();

suite("render and explain", (test) => {
  let directory = "";
  const run = (words: string, cwd = EXAMPLE) => ctl(words.split(" "), { home: join(directory, "home"), cwd });
  test.before(async () => {
    directory = await mkdtemp(join(tmpdir(), "muster-render-"));
  });
  test.after(() => rm(directory, { recursive: true, force: true }));

  test("prints what templates become, and other resources as they are", async () => {
    const ran = await run("render ixp1");
    assert.is(ran.code, 0, ran.err);
    assert.match(ran.out, /# ixp1 bird\/main → \/etc\/bird\/bird\.conf\n/);
    assert.match(ran.out, /protocol bgp upstream \{\n {2}neighbor 2001:db8:ffff::1 as 64496;/);
    assert.match(ran.out, /# ixp1 sysctl\/net\.ipv6\.conf\.all\.forwarding {2}\{"value":"1"\}/);
    const one = await run("render ixp1 --only file//etc/motd");
    assert.not.match(one.out, /bird/);
  });

  test("--out writes a directory a host, and nothing the second time", async () => {
    const out = join(directory, "out");
    const ran = await run(`render core --out ${out}`);
    assert.is(ran.code, 0, ran.err);
    assert.match(await readFile(join(out, "core1/etc/bird/bird.conf"), "utf8"), /router id 198\.51\.100\.1;/);
    assert.is(JSON.parse(await readFile(join(out, "core1.json"), "utf8")).host, "core1");
    assert.match((await run(`render core --out ${out}`)).out, /0 files written/);
  });

  test("explains where each field came from, and what it replaced", async () => {
    const ran = await run("explain core1 file//etc/netinfo/resolv.conf --offline");
    assert.is(ran.code, 0, ran.err);
    assert.match(
      ran.out,
      /mode +"0444" +resources\/core\.yml:\d+:\d+\n +"0644" +resources\/routers\.yml:\d+:\d+ {2}replaced/,
    );
    assert.match(ran.out, /^renders to\n {2}content: \|/m);
    assert.not.match(ran.out, /not asked|SILENT/);
    const asking = await run("explain core1 file//etc/netinfo/resolv.conf");
    assert.is(asking.code, 1);
    assert.match(
      asking.out,
      /^renders to[\s\S]*not asked {2}what core1 has is not known: there is no valid log-in/m,
    );
    assert.match(ran.out, /after {2}directory\/\/etc\/netinfo/);
    const wrong = await run("explain core1 file//etc/mot");
    assert.is(wrong.code, 2);
    assert.match(wrong.err, /did you mean `file\/\/etc\/motd`/);
    assert.is((await run("explain core9 file//etc/motd")).code, 2);
  });

  test("every mistake is listed at once, and outside of a folder it is said so", async () => {
    const broken = join(directory, "broken");
    await mkdir(join(broken, "resources"), { recursive: true });
    await writeFile(join(broken, "muster.yml"), "fleet: as64500\n");
    await writeFile(join(broken, "hosts.yml"), "core: { hosts: { core1: {} } }\n");
    await writeFile(
      join(broken, "resources/core.yml"),
      'file:\n  /etc/a: { contents: x }\n  /etc/b: { content: "{{ nothing }}" }\n',
    );
    const ran = await run("render", broken);
    assert.is(ran.code, 2);
    assert.match(
      ran.err,
      /resources\/core\.yml:2:\d+: .*contents[\s\S]*resources\/core\.yml:3:\d+: .*nothing/,
    );
    assert.is((await run("render", directory)).code, 2);
  });
});
