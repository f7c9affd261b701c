/** monitoring.yml and the `metrics` of services and containers: what is signed of them, and what is said of mistakes, at their places. */
import { Monitoring, targetGroups } from "@muster/protocol/monitoring";
import * as assert from "uvu/assert";
import { buildFleet } from "../../../../packages/ctl/src/inventory/fleet.ts";
import { Problems, problemText } from "../../../../packages/ctl/src/inventory/problem.ts";
import { suite } from "../../../kit/suite.ts";

const IMAGE = `image: "prom/prometheus@sha256:${"a".repeat(64)}"`;

function read(files: Readonly<Record<string, string>>) {
  const folder = {
    "muster.yml": "fleet: test\nlabels: [site]\n",
    "hosts.yml": `
core: { hosts: { core1: { ansible_host: 198.51.100.1, site: ams } } }
ixp: { hosts: { ixp1: { ansible_host: "2001:db8::11" }, ixp2: {} } }
`,
    ...files,
  };
  const built = buildFleet(
    { root: "/fleet", files: new Map(Object.entries(folder)), bytes: new Map() },
    new Problems(),
  );
  return { ...built.fleet, problems: built.problems.map(problemText) };
}
const targets = (monitoring: Monitoring) =>
  monitoring.scrape.map(({ job, kind, scheme, path, targets: of }) => [job, kind, scheme, path, of]);

suite("monitoring.yml", (test) => {
  test("a folder that says nothing gives nothing", () => {
    const { monitoring, problems } = read({});
    assert.equal([monitoring, problems], [{ scrape: [], hosts: {} }, []]);
  });

  test("services, containers and the file itself become targets by the addresses of hosts.yml; no manifest holds any of it", () => {
    const { monitoring, problems, hosts } = read({
      "monitoring.yml": `
scrape:
  node: { metrics: ":9100" }
  power: { metrics: "https://:9290/power", on: ixp, labels: { team: dc } }
`,
      "resources/ixp.yml": 'service: { prometheus-bird-exporter: { metrics: ":9324" } }\n',
      "resources/core1.yml": `
network: { back: { subnets: ["2001:db8:1::/64"] }, dmz: { subnets: [172.18.0.0/16], public: true } }
container:
  fixed: { ${IMAGE}, networks: { back: { ipv6_address: "2001:db8:1::5" } }, metrics: ":9090" }
  published: { ${IMAGE}, networks: { dmz: {} }, ports: ["443:3000", "127.0.0.1:80:80"], metrics: "https://:3000/m" }
  bound: { ${IMAGE}, networks: { dmz: {} }, ports: ["[2001:db8::99]:81:8080/tcp"], metrics: ":8080" }
  same: { ${IMAGE}, network_mode: host, metrics: ":9200" }
`,
    });
    assert.equal(problems, []);
    Monitoring.parse(monitoring);
    assert.equal(targets(monitoring), [
      ["bound", "container", "http", "/metrics", { core1: "[2001:db8::99]:81" }],
      ["fixed", "container", "http", "/metrics", { core1: "[2001:db8:1::5]:9090" }],
      [
        ...["node", "host", "http", "/metrics"],
        { core1: "198.51.100.1:9100", ixp1: "[2001:db8::11]:9100", ixp2: "ixp2:9100" },
      ],
      ["power", "host", "https", "/power", { ixp1: "[2001:db8::11]:9290", ixp2: "ixp2:9290" }],
      [
        ...["prometheus-bird-exporter", "service", "http", "/metrics"],
        { ixp1: "[2001:db8::11]:9324", ixp2: "ixp2:9324" },
      ],
      ["published", "container", "https", "/m", { core1: "198.51.100.1:443" }],
      ["same", "container", "http", "/metrics", { core1: "198.51.100.1:9200" }],
    ]);
    assert.equal(monitoring.hosts.core1, { groups: ["core"], labels: { site: "ams" } });
    assert.not.match(JSON.stringify([...hosts.values()].map(({ resources }) => resources)), /metrics/);
    const power = targetGroups(monitoring, "test", "power");
    assert.is(power.length, 2);
    assert.is(power[0]?.labels.team, "dc");
  });

  test("who is pushed to: durations become milliseconds, secrets stay references; what cannot log in is refused", () => {
    const { monitoring, problems } = read({
      "monitoring.yml": `
loki: { url: "https://loki.example.net", tenant: noc, token: "vault:kv/alerts/loki#token", labels: { site: ams } }
otlp: { url: "vault:kv/alerts/otlp#url", every: 30s, user: muster, password: "vault:kv/alerts/otlp#password" }
`,
    });
    assert.equal(problems, []);
    Monitoring.parse(monitoring);
    assert.equal(monitoring.loki, {
      ...{ url: "https://loki.example.net", tenant: "noc", token: "vault:kv/alerts/loki#token" },
      labels: { site: "ams" },
    });
    assert.equal(monitoring.otlp, {
      ...{ url: "vault:kv/alerts/otlp#url", user: "muster", password: "vault:kv/alerts/otlp#password" },
      ...{ attributes: {}, every_ms: 30_000 },
    });
    const wrong = (text: string) => read({ "monitoring.yml": text }).problems.join("\n");
    assert.match(wrong('loki: { url: "https://x", token: hunter2 }'), /loki\.token.*vault:kv\/alerts\//);
    assert.match(
      wrong('loki: { url: "https://x", user: me }'),
      /either with `token`, or with `user` and `password`/,
    );
    for (const url of ["https://me:hunter2@x/", "https://me@x", "https://:hunter2@x"]) {
      const said = wrong(`loki: { url: "${url}" }`);
      assert.match(said, /loki\.url.*without user and password: .*vault:kv\/alerts\//);
      assert.not.match(said, /hunter2/);
    }
    // What is no address to Node cannot be used, and may hold a password all the same.
    for (const url of ["https://me:hunter2@x:99999/", "https://me:hun/ter2@x/"])
      assert.match(
        wrong(`loki: { url: "${url}" }`),
        /is something that is not shown: .*must be an address such as/,
      );
    for (const text of [
      'loki: { url: "https://x", token: hunter2 }',
      'loki: { url: "https://x", token: 40967231 }',
      'otlp: { url: "https://x", user: me, password: "hunter2" }',
      'loki: { url: "x/hook/hunter2" }',
    ]) {
      const said = wrong(text);
      assert.match(said, /`(?:loki|otlp)\.\w+` of .* is something that is not shown: /);
      assert.not.match(said, /hunter2|40967231/);
    }
    assert.is(wrong('loki: { url: "https://x/a@b" }'), "");
    assert.match(wrong('otlp: { url: "https://x", every: 1s }'), /`every` must be from 5s to 1h/);
    assert.match(
      wrong('otlp: { url: "https://x", password: "vault:kv/alerts/a#b" }'),
      /either with `token`, or with `user` and `password`/,
    );
  });

  test("every mistake has its place and what would be right", () => {
    const { problems } = read({
      "monitoring.yml": `scrape:
  node: { metrics: 9100 }
  other: { metrics: ":70000" }
  own: { metrics: ":1", labels: { __address__: x } }
`,
      "resources/core1.yml": `service: { a: { metrics: "9100" } }
container: { b: { ${IMAGE}, metrics: ":9090" } }
`,
    });
    const text = problems.join("\n");
    for (const wanted of [
      /monitoring\.yml:2:\d+: .*scrape\.node\.metrics.*\n.*quote it: "9100"/,
      /monitoring\.yml:3:\d+: .*must have a port from 1 to 65535/,
      /monitoring\.yml:4:\d+: /,
      /resources\/core1\.yml:1:\d+: .*`metrics` is .*must be a port and a path, such as ":9100"/,
      /resources\/core1\.yml:2:\d+: .*nothing outside of the host reaches port 9090.*\n.*ports: \["9090:9090"\]/,
    ])
      assert.match(text, wanted);
    const later = read({ "monitoring.yml": 'scrape: { node: { metrics: ":1", on: nowhere } }\n' });
    assert.match(later.problems.join("\n"), /`on`: .*nowhere/);
  });
});
