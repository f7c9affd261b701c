/** Whole fleet folders: the example that people copy, a broken one with every mistake, and Ansible's own reading of variables. */
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { explain } from "../../../../packages/ctl/src/inventory/explain.ts";
import {
  buildFleet,
  compileFleet,
  type LoadedFleet,
  loadFleet,
} from "../../../../packages/ctl/src/inventory/fleet.ts";
import { findFleetFolder } from "../../../../packages/ctl/src/inventory/folder.ts";
import { Problems, problemText } from "../../../../packages/ctl/src/inventory/problem.ts";
import type { YamlNode } from "../../../../packages/ctl/src/inventory/yaml.ts";
import { sha256 } from "../../../../packages/protocol/src/canonical.ts";
import { FleetError } from "../../../../packages/protocol/src/errors.ts";
import { exampleFolder } from "../../../kit/example.ts";
import { suite } from "../../../kit/suite.ts";

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const golden = join(root, "test/golden/inventory");

/** A fleet of one host core1 in the groups a and b (equal rank), unless `files` says otherwise. */
function fleet(files: Record<string, string>): LoadedFleet {
  const all = {
    "muster.yml": "fleet: test\n",
    "hosts.yml": "a: { hosts: { core1: {} } }\nb: { hosts: { core1: {} } }\n",
    ...files,
  };
  return buildFleet(
    { root: "/fleet", files: new Map(Object.entries(all)), bytes: new Map() },
    new Problems(),
  );
}

const texts = (loaded: LoadedFleet) => loaded.problems.map(problemText);

function spec(loaded: LoadedFleet, ref: string): unknown {
  assert.equal(texts(loaded), []);
  return compileFleet(loaded)[0]?.resources.find((each) => `${each.kind}/${each.name}` === ref)?.spec;
}

suite("fleet folder", (test) => {
  test("the example compiles without a problem", async () => {
    const loaded = await loadFleet(exampleFolder());
    assert.equal(texts(loaded), []);
    const hosts = compileFleet(loaded);
    assert.equal(
      hosts.map((host) => host.host),
      ["core1", "ixp1", "probe1"],
    );
    const [, ixp1] = hosts;
    assert.equal(ixp1?.groups, ["ixp", "routers"]);
    assert.equal(ixp1?.labels, { site: "ams", exchange: "locix" });
    const bird = ixp1?.resources.find((each) => each.kind === "bird");
    assert.ok(
      bird?.kind === "bird" &&
        bird.spec.config.includes("neighbor 2001:db8:ffff::1 as 64496;\n  local as 64500;"),
    );
    assert.ok(bird.spec.config.includes("2001:db8:5000::/36{48,48}"));
    assert.equal(Object.keys(bird.spec.expect), ["upstream", "locix_rs1"]);
    assert.equal(bird.needs, ["service/bird"]);
  });

  test("every mistake of a broken folder is listed in one run, each with its place", async () => {
    const loaded = await loadFleet(join(golden, "broken"));
    assert.fixture(`${texts(loaded).join("\n")}\n`, readFileSync(join(golden, "broken.txt"), "utf8"));
    assert.throws(
      () => compileFleet(loaded),
      (error: unknown) =>
        error instanceof FleetError && error.code === "INVENTORY" && error.detail.includes("motd.j2:1:15"),
    );
  });

  test("variables are those that ansible-inventory 2.19 lists", async () => {
    const { fleet: read, problems } = await loadFleet(join(golden, "precedence"));
    assert.equal(problems, []);
    const plain = (node: YamlNode): unknown => {
      if (node.t === "scalar") return node.value;
      if (node.t === "list") return node.items.map(plain);
      return Object.fromEntries([...node.entries].map(([key, { value }]) => [key, plain(value)]));
    };
    const expected: Record<string, Record<string, unknown>> = JSON.parse(
      readFileSync(join(golden, "precedence/ansible.json"), "utf8"),
    );
    assert.equal([...read.hosts.keys()].sort(), Object.keys(expected).sort());
    for (const [name, host] of read.hosts) {
      const own = [...host.variables.entries].map(([key, { value }]) => [key, plain(value)] as const);
      assert.equal(Object.fromEntries(own), expected[name], name);
    }
    assert.is(read.hosts.get("core1")?.variables.get("e"), "host-inline-core-file");
    assert.equal(read.hosts.get("core1")?.variables.get("ports"), [22, 179]);
  });

  test("a cycle and a need that is not there are named", async () => {
    const [cycle, missing] = texts(await loadFleet(join(golden, "cycle")));
    assert.match(
      cycle ?? "",
      "core.yml:2:33: resources need each other in a circle: file//etc/a → file//etc/b → service/ssh → file//etc/a",
    );
    assert.match(missing ?? "", "did you mean `service/ssh`?");
  });
});

suite("merging", (test) => {
  const service = (text: string) => `service: { ssh: ${text} }\n`;

  test("the host's file wins over equal groups that disagree, and explain says where all came from", () => {
    const files = {
      "resources/a.yml": service("{ state: running, enabled: false }"),
      "resources/b.yml": service("{ state: stopped }"),
    };
    assert.match(
      texts(fleet(files))[0] ?? "",
      "resources/b.yml:1:19: two groups of equal rank disagree on `state`",
    );
    const settled = fleet({ ...files, "resources/core1.yml": service("{ state: running }") });
    assert.equal(spec(settled, "service/ssh"), { state: "running", enabled: false });
    const { fields } = explain(settled.fleet, "core1", "service/ssh");
    const state = fields.find((field) => field.path === "state");
    assert.equal(state?.at, { file: "resources/core1.yml", line: 1, column: 19 });
    assert.equal(
      state?.replaced.map((old) => old.at.file),
      ["resources/a.yml", "resources/b.yml"],
    );
  });

  test("null drops a field, absent drops the resource, lists replace", () => {
    const base = { "resources/all.yml": service("{ state: stopped }") };
    assert.equal(spec(fleet({ ...base, "resources/core1.yml": service("{ state: null }") }), "service/ssh"), {
      state: "running",
      enabled: true,
    });
    const gone = fleet({ ...base, "resources/core1.yml": service("{ absent: true }") });
    assert.is(spec(gone, "service/ssh"), undefined);
    assert.equal(compileFleet(gone)[0]?.absent, ["service/ssh"]);
  });

  test("a bare mode is an error that says so", () => {
    const [text] = texts(fleet({ "resources/a.yml": "file: { /etc/x: { content: x, mode: 0644 } }\n" }));
    assert.match(text ?? "", "resources/a.yml:1:37: `mode` of file//etc/x is `0644`");
    assert.match(text ?? "", 'write mode: "0644" with the quotes');
  });

  test("forms of the folder: scalar sysctl, validate as a line, values that keep their type", () => {
    const loaded = fleet({
      "host_vars/core1.yml": "up: no\n",
      "resources/a.yml": `sysctl: { net.ipv4.ip_forward: 1 }
service: { x: { enabled: "{{ up }}" } }
file: { /etc/s: { content: "a\\n\\n", validate: visudo -c "-f" %s } }
`,
    });
    assert.equal(spec(loaded, "sysctl/net.ipv4.ip_forward"), { value: "1" });
    assert.equal(spec(loaded, "service/x"), { state: "running", enabled: false });
    const file = spec(loaded, "file//etc/s");
    assert.equal(file, {
      content: "a\n\n",
      owner: "root",
      group: "root",
      mode: "0644",
      validate: ["visudo", "-c", "-f", "%s"],
    });
  });

  test("hosts share a spec that is the same, and nothing else: what is wrong is told of each", () => {
    const hosts = { "hosts.yml": "a: { hosts: { core1: {}, core2: {}, core3: { extra: '0640' } } }\n" };
    const of = (more: Record<string, string>) => fleet({ ...hosts, ...more });
    const loaded = of({
      "resources/a.yml":
        'file: { /etc/motd: { content: "hello", mode: "{{ extra | default(\'0644\') }}" } }\n',
    });
    assert.equal(texts(loaded), []);
    const [one, two, three] = compileFleet(loaded).map(({ resources: [first] }) => first?.spec);
    assert.is(one, two);
    assert.equal(
      [one, three],
      [
        { ...one, mode: "0644" },
        { ...one, mode: "0640" },
      ],
    );
    const told = texts(
      of({
        "resources/core1.yml": "file: { /etc/motd: { content: hello } }\n",
        "resources/core2.yml": "file: { /etc/motd: { content: hello, mode: 644 } }\n",
        "resources/core3.yml": "file: { etc/motd: { content: hello, mode: 644 } }\n",
      }),
    ).join("\n");
    assert.match(told, /core2.*`mode` of file\/\/etc\/motd/);
    assert.match(told, /core3.*`etc\/motd` is no name for a file/);
    assert.match(told, /core3.*`mode` of file\/etc\/motd/);
  });

  test("order: parents first, what a service is told of before it", () => {
    const loaded = fleet({
      "resources/a.yml": `service: { x: {} }
file: { /etc/x/sub/f: { content: x, on_change: { reload: service/x } } }
directory: { /etc/x/sub: {}, /etc/x: {} }
`,
    });
    assert.equal(texts(loaded), []);
    assert.equal(
      compileFleet(loaded)[0]?.resources.map((each) => `${each.kind}/${each.name}`),
      ["directory//etc/x", "directory//etc/x/sub", "file//etc/x/sub/f", "service/x"],
    );
  });

  test("a secret is refused wherever it would reach a resource, and may be asked for", () => {
    const files = { "host_vars/core1.yml": 's: { password: "vault:kv/a/b#c" }\n' };
    const used = fleet({
      ...files,
      "resources/a.yml": 'file: { /etc/x: { content: "p {{ s.password }}" } }\n',
    });
    assert.match(
      texts(used)[0] ?? "",
      "resources/a.yml:1:36: `vault:kv/a/b#c` (host_vars/core1.yml:1:16) is a secret",
    );
    const filtered = fleet({
      ...files,
      "resources/a.yml": 'file: { /etc/x: { content: "p {{ s.password | upper }}" } }\n',
    });
    assert.match(texts(filtered)[0] ?? "", "no filter can work on it");
    const misspelt = fleet({ "resources/a.yml": "file: { /etc/x: { content: vault:kv/a } }\n" });
    assert.match(texts(misspelt)[0] ?? "", "`vault:kv/a` (resources/a.yml:1:28) is a secret");
    const asked = fleet({
      ...files,
      "resources/a.yml": 'file: { /etc/x: { content: "{{ s.password is defined }}" } }\n',
    });
    assert.equal(texts(asked), []);
  });
});

suite("hostile files", (test) => {
  const nine = (of: string) => `[${Array(9).fill(of).join(",")}]`;
  const bomb = Array.from({ length: 8 }, (_, i) => `a${i + 1}: &a${i + 1} ${nine(`*a${i}`)}\n`).join("");
  for (const [name, file, text, fault] of [
    ["an alias inside its own anchor", "host_vars/core1.yml", "a: &x [*x]\n", "nested deeper than 100"],
    ["aliases that multiply", "host_vars/core1.yml", `a0: &a0 [x]\n${bomb}`, "over 200000 values"],
    ["brackets without end", "resources/a.yml", `a: ${"[".repeat(20_000)}`, "not YAML"],
    [
      "a key __proto__",
      "resources/a.yml",
      "service: { x: { __proto__: { state: stopped } } }\n",
      "unknown key `__proto__`",
    ],
    ["a kind constructor", "resources/a.yml", "constructor: { x: {} }\n", "unknown kind `constructor`"],
    [
      "two documents",
      "resources/a.yml",
      "service: {}\n---\nfile: {}\n",
      "resources/a.yml:2:1: a second document",
    ],
  ] as const)
    test(name, () => assert.match(texts(fleet({ [file]: text })).join("\n"), fault));
});

suite("reading from the disk", (test) => {
  let folder = "";
  const write = (path: string, text: string | Buffer) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  test.before.each(() => {
    folder = mkdtempSync(join(tmpdir(), "muster-fleet-"));
    write("muster.yml", "fleet: test\n");
    write("hosts.yml", "a: { hosts: { core1: {} } }\n");
  });
  test.after.each(() => rmSync(folder, { recursive: true, force: true }));

  test("the nearest folder upward is found", async () => {
    mkdirSync(join(folder, "templates/deep"), { recursive: true });
    assert.is(await findFleetFolder(join(folder, "templates/deep")), folder);
    assert.is(await findFleetFolder("/proc"), null);
  });

  test("a link out of the folder, a huge file and a binary template are refused by name", async () => {
    write("host_vars/core1.yml", "x".repeat((1 << 20) + 1));
    write("files/big.bin", "");
    truncateSync(join(folder, "files/big.bin"), (64 << 20) + 1);
    write("templates/logo.png", Buffer.from([0xff, 0xfe, 0x00]));
    symlinkSync("/etc/hostname", join(folder, "templates/out.j2"));
    write("resources/a.yml", "file: { /etc/logo: { template: logo.png } }\n");
    const list = texts(await loadFleet(folder)).join("\n");
    assert.match(list, "host_vars/core1.yml:1:1: the file has 1048577 bytes; the limit is 1048576");
    assert.match(list, "files/big.bin:1:1: the file has 67108865 bytes; the limit is 67108864");
    assert.match(list, "templates/out.j2:1:1: this symbolic link leaves the fleet folder");
    assert.match(list, "templates/logo.png is not UTF-8 text");
  });

  test("what is over 16 KiB or no text goes by its hash, and its bytes are there to be handed over", async () => {
    const logo = Buffer.from([0xff, 0xfe, 0x00]);
    write("files/logo.png", logo);
    write("files/just.txt", "x".repeat(16 * 1024));
    write("templates/list.j2", "{% for n in range(9000) %}{{ n }}\n{% endfor %}");
    write(
      "resources/a.yml",
      'file: { /a: { source: logo.png, mode: "0600" }, /b: { source: just.txt }, /c: { template: list.j2 } }\n',
    );
    const loaded = await loadFleet(folder);
    const [a, b, c] = ["/a", "/b", "/c"].map(
      (name) => spec(loaded, `file/${name}`) as Record<string, unknown>,
    );
    assert.equal(a, {
      blob: { sha256: sha256(logo), size_bytes: 3 },
      owner: "root",
      group: "root",
      mode: "0600",
    });
    assert.ok(b?.blob === undefined && typeof b?.content === "string");
    const { sha256: hash, size_bytes } = (c?.blob ?? {}) as { sha256: string; size_bytes: number };
    assert.is(c?.content, undefined);
    const bytes = loaded.fleet.contents.get(hash);
    assert.is(bytes?.length, size_bytes);
    assert.ok(
      Buffer.from(bytes ?? [])
        .toString()
        .endsWith("8998\n8999\n"),
    );
    assert.equal(loaded.fleet.contents.get(sha256(logo)), logo);
    assert.is(loaded.fleet.contents.size, 2);
  });

  test("a folder without muster.yml is no fleet folder", async () => {
    rmSync(join(folder, "muster.yml"));
    let code = "";
    await loadFleet(folder).catch((error: unknown) => {
      if (error instanceof FleetError) code = error.code;
    });
    assert.is(code, "NOT_FOUND");
  });
});
