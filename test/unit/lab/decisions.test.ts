/** What the lab decides without touching the machine: versions, mounts, addresses, the rules of a cut line, words for times. */
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

type Addresses = { ipv4: string; ipv6: string };
type LabOf = {
  number: number;
  planned: { name: string }[];
};
type Parts = {
  atLeast(have: string, needs: string): boolean;
  parseMounts(text: string): { path: string; type: string; options: string[] }[];
  parseControllers(text: string): string[];
  cutRules(from?: string[]): string;
  addressesOf(lab: LabOf, server: string, taken: string[]): Addresses;
  recipeHash(recipe: unknown): string;
  duration(seconds: number): string;
  isPinned(text: string): boolean;
  IMAGE: string;
};

suite("decisions of the lab", (test) => {
  let lab: Parts;
  test.before(async () => {
    const files = ["go", "cgroups", "faults", "network", "cache", "progress", "images"];
    const directory = new URL("../../../deploy/lab/", import.meta.url);
    const parts = await Promise.all(files.map((file) => import(new URL(`${file}.mjs`, directory).href)));
    lab = Object.assign({}, ...parts);
  });

  test("an image is pinned by a line of its own, whatever else the lock holds", () => {
    assert.ok(lab.isPinned(`# head\n${lab.IMAGE} core1 sha256:0\n`));
    for (const text of [
      "",
      "# head\n",
      "prom/prometheus:v3 sha256:0\n",
      `# ${lab.IMAGE} core1\n`,
      `${lab.IMAGE}1 x\n`,
    ])
      assert.not.ok(lab.isPinned(text), text);
  });

  test("a version is new enough, part by part and not as text", () => {
    for (const [have, needs] of [
      ["2.15.2", "2.15.2"],
      ["2.16.0", "2.15.2"],
      ["1.100", "1.25"],
      ["3", "2.99.99"],
      ["1.21", "1.21.0"],
    ] as const)
      assert.ok(lab.atLeast(have, needs), `${have} ≥ ${needs}`);
    for (const [have, needs] of [
      ["2.9.10", "2.15.2"],
      ["1.21", "1.21.1"],
      ["0.12.9", "1.0"],
    ] as const)
      assert.not.ok(lab.atLeast(have, needs), `${have} < ${needs}`);
  });

  test("mounts and controllers, as the kernel prints them", () => {
    const mounts = lab.parseMounts(
      "tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0\ncgroup /sys/fs/cgroup/systemd cgroup rw,none,name=systemd 0 0\n",
    );
    assert.equal(mounts, [
      { path: "/sys/fs/cgroup", type: "tmpfs", options: ["rw", "mode=755"] },
      { path: "/sys/fs/cgroup/systemd", type: "cgroup", options: ["rw", "none", "name=systemd"] },
    ]);
    const table =
      "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nmemory\t0\t1\t0\npids\t11\t40\t1\n";
    assert.equal(lab.parseControllers(table), ["cpu", "pids"]);
    assert.equal(lab.parseControllers("#subsys_name\thierarchy\tnum_cgroups\tenabled\n"), []);
  });

  test("a cut drops everything both ways, or only what is named, by family", () => {
    const all = lab.cutRules();
    assert.is(all.match(/policy drop;/g)?.length, 2);
    const some = lab.cutRules(["10.213.5.10", "fd6d::a"]);
    assert.is(some.match(/policy accept;/g)?.length, 2);
    assert.match(some, "ip saddr 10.213.5.10 drop;");
    assert.match(some, "ip daddr 10.213.5.10 drop;");
    assert.match(some, "ip6 saddr fd6d::a drop;");
    assert.match(some, "ip6 daddr fd6d::a drop;");
    assert.not.match(some, /policy drop/);
  });

  test("planned servers have fixed addresses; others get free ones apart from those", () => {
    const one = { number: 7, planned: [{ name: "hub" }, { name: "core1" }] };
    const hub = lab.addressesOf(one, "hub", []);
    const core1 = lab.addressesOf(one, "core1", [hub.ipv4]);
    assert.equal([hub.ipv4, core1.ipv4], ["10.213.7.10", "10.213.7.11"]);
    assert.match(hub.ipv6, /^fd6d:7573:7465:7::a$/);
    const extra = lab.addressesOf(one, "visitor", [hub.ipv4, core1.ipv4]);
    const next = lab.addressesOf(one, "another", [hub.ipv4, core1.ipv4, extra.ipv4]);
    assert.is(new Set([hub, core1, extra, next].map(({ ipv4 }) => ipv4)).size, 4);
    assert.ok(Number(extra.ipv4.split(".")[3]) >= 100);
  });

  test("a recipe's hash changes with the recipe", () => {
    assert.is(lab.recipeHash({ a: 1 }), lab.recipeHash({ a: 1 }));
    assert.is.not(lab.recipeHash({ a: 1 }), lab.recipeHash({ a: 2 }));
  });

  test("times in words", () => {
    assert.equal([0.34, 9.94, 9.96, 59.4, 60, 200, 3_600].map(lab.duration), [
      "0.3 s",
      "9.9 s",
      "10 s",
      "59 s",
      "1 min",
      "3 min 20 s",
      "60 min",
    ]);
  });
});
