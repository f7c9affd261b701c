/** `ctl join` before anything is signed: what is typed wrong, and names that the folder does not have. */
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { pick } from "../../../../packages/ctl/src/commands/enrol.ts";
import { announcedNetworks, fleetOfFolder } from "../../../../packages/ctl/src/fleet/folder.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { startGround, writeSmallFolder } from "../ground.ts";
import { ctl } from "../terminal.ts";

suite("ctl join: what is typed", (test) => {
  let cwd = "";
  let release: () => Promise<void>;
  test.before(async () => {
    ({ path: cwd, release } = await temporaryDirectory("join"));
    await writeFile(join(cwd, "muster.yml"), "# ours\nfleet: lab   # the lab\nlabels: []\n");
    await writeFile(join(cwd, "hosts.yml"), "ixp: { hosts: { ixp1: {}, ixp2: {} } }\n");
    await mkdir(join(cwd, "host_vars"));
    await writeFile(join(cwd, "host_vars/ixp1.yml"), 'announce: ["2001:db8:5000::/36"]\n');
    await writeFile(
      join(cwd, "host_vars/ixp2.yml"),
      'announce:\n  - "192.0.2.0/24"\nother: ["10.0.0.0/8"]\n',
    );
  });
  test.after(() => release());
  const joining = (...words: string[]) => ctl(["join", ...words], { home: join(cwd, "home"), cwd });

  test("says what is wrong, with exit 2", async () => {
    const cases: [string[], RegExp][] = [
      [[], /for which hosts/],
      [["IXP1"], /host: 0: must be 1 to 63/],
      [["ixp1", "--for", "soon"], /--for soon: must be like 15m/],
      [["ixp1", "--for", "30d"], /7 d at most/],
      [["ixp1", "--network", "192.0.2.1"], /must be a network/],
      [["--count", "0", "--group", "ixp"], /--count 0/],
      [["--count", "3"], /needs --group/],
      [["ixp1", "--count", "3", "--group", "ixp"], /leave the names or the count away/],
    ];
    for (const [words, expected] of cases) {
      const ran = await joining(...words);
      assert.is(ran.code, 2, words.join(" "));
      assert.match(ran.err, expected);
    }
  });

  test("takes only names of the folder, and says what was meant", async () => {
    const ran = await joining("ixp3", "ixp1");
    assert.is(ran.code, 1);
    assert.match(ran.err, /ixp3; did you mean `ixp[12]`\?: not in hosts.yml/);
    const known = await joining("ixp1");
    assert.match(known.err, /no valid log-in.*the fleet lab/);
  });

  test("reads the fleet's name and what it announces at a glance", async () => {
    assert.is(await fleetOfFolder(join(cwd, "host_vars")), "lab");
    assert.is(await fleetOfFolder("/"), null);
    assert.equal((await announcedNetworks(cwd)).sort(), ["192.0.2.0/24", "2001:db8:5000::/36"]);
  });
});

suite("ctl join: where it writes", (test) => {
  test("a relative --out lies where the person is, 0600", async () => {
    const life = new AbortController();
    const ground = await startGround([], life.signal, { controller: false });
    try {
      await writeSmallFolder(ground);
      const ran = await ground.run("join ixp1 --out ixp1.join");
      assert.is(ran.code, 0, ran.out + ran.err);
      const file = join(ground.folder, "ixp1.join");
      assert.match(await readFile(file, "utf8"), /^\S+\n$/);
      assert.is((await stat(file)).mode & 0o777, 0o600);
    } finally {
      life.abort();
      await ground.stop();
    }
  });
});

suite("ctl enrol: which machine", (test) => {
  const row = (name: string, fingerprint: string) => ({
    name,
    fingerprint: `SHA256:${fingerprint}`,
    id: "U",
    facts: { hostname: name, os: "", addresses: [] },
    from: "",
    asked_at: 0,
  });
  const rows = [row("ixp1", "abcdefgh1"), row("ixp1", "abcdefgh2"), row("probe1", "Abcdefgh1")];

  test("by the beginning of its fingerprint, capitals counting, or by its name", () => {
    assert.is(pick(rows, "abcdefgh1"), rows[0]);
    assert.is(pick(rows, "SHA256:abcdefgh2"), rows[1]);
    assert.is(pick(rows, "Abcdef"), rows[2]);
    assert.is(pick(rows, "probe1"), rows[2]);
  });

  test("never by a guess", () => {
    assert.throws(() => pick(rows, "abcdef"), /2 machines fit/);
    assert.throws(() => pick(rows, "ixp1"), /2 machines fit/);
    assert.throws(() => pick(rows, "abc"), /no waiting machine/);
    assert.throws(() => pick(rows, "SHA256:"), /no waiting machine/);
    assert.throws(() => pick(rows, ""), /no waiting machine/);
  });
});
