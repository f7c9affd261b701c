/** alerts.yml: what is signed of it, and what is said of mistakes in it; all at once, at their places. */
import { Alerting } from "@muster/protocol/alerting";
import * as assert from "uvu/assert";
import { buildFleet } from "../../../../packages/ctl/src/inventory/fleet.ts";
import { Problems, problemText } from "../../../../packages/ctl/src/inventory/problem.ts";
import { suite } from "../../../kit/suite.ts";

const read = (text: string | null) => {
  const files = {
    "muster.yml": "fleet: test\n",
    "hosts.yml": "core: { hosts: { core1: {} } }\nixp: { hosts: { ixp1: {}, ixp2: {} } }\n",
    ...(text === null ? {} : { "alerts.yml": text }),
  };
  const folder = { root: "/fleet", files: new Map(Object.entries(files)), bytes: new Map() };
  const { fleet, problems } = buildFleet(folder, new Problems());
  return { alerts: fleet.alerts, problems: problems.map(problemText) };
};

suite("alerts.yml", (test) => {
  test("selectors become names, durations milliseconds; defaults are filled in; the controllers take it", () => {
    const { alerts, problems } = read(`
routes:
  noc: { to: email, server: "smtp.example.net:587", from: m@example.net, recipients: [noc@example.net], user: m, password: "vault:kv/alerts/smtp#password" }
  hook: { to: webhook, url: "https://hook.example.net/x", on: ixp, severity: page, wait: 30s, repeat: 1d }
rules:
  - { name: lab, about: ["session/lab-*"], severity: none }
  - { name: edge, about: ["session/*"], on: "ixp*", for: 5s, rise: 2, fall: 9 }
  - { name: memory, when: "health.memory.available_bytes / health.memory.total_bytes < 5%" }
heartbeat: { url: "vault:kv/alerts/watcher#url" }
`);
    assert.equal(problems, []);
    const { hook, noc } = alerts?.routes ?? {};
    assert.equal(hook, {
      ...{ to: "webhook", url: "https://hook.example.net/x", severity: "page", hosts: ["ixp1", "ixp2"] },
      ...{ wait_ms: 30_000, repeat_ms: 86_400_000 },
    });
    assert.ok(noc?.to === "email" && noc.tls === "starttls" && noc.wait_ms === 10_000 && noc.hosts === null);
    assert.equal(alerts?.rules[1], {
      ...{ name: "edge", about: ["session/*"], severity: "page", hosts: ["ixp1", "ixp2"] },
      ...{ for_ms: 5_000, rise: 2, fall: 9 },
    });
    assert.equal(alerts?.rules[2]?.about, ["metric/memory", "metric/memory/*"]);
    assert.equal(alerts?.heartbeat, { url: "vault:kv/alerts/watcher#url", method: "GET", every_ms: 60_000 });
    Alerting.parse({ v: 1, fleet: "test", version: 1, ...alerts });
  });

  test("no file says nothing of alerts; an empty one says that nobody is told", () => {
    assert.is(read(null).alerts, null);
    assert.equal(read("# nothing\n").alerts, { rules: [], routes: {}, heartbeat: null });
    assert.equal(read("{}\n").alerts, { rules: [], routes: {}, heartbeat: null });
  });

  test("every mistake has its place and what would be right", () => {
    const { alerts, problems } = read(`routes:
  noc: { to: email, server: smtp.example.net, from: m@example.net, recipients: [noc@example.net] }
  hook: { to: webhook, url: "https://hook.example.net/x", token: hunter2 }
  Bad: { to: webhook, url: "https://hook.example.net/x", repeat: 1s }
rules:
  - { name: edge, about: ["session/*"], fro: 5s }
heartbeat: { url: "https://watch.example.net/x", every: soon }
`);
    assert.is(alerts, null);
    const text = problems.join("\n");
    for (const wanted of [
      /alerts\.yml:2:\d+: .*routes\.noc\.server.*must be host:port/,
      /alerts\.yml:3:\d+: .*routes\.hook\.token/,
      /alerts\.yml:6:\d+: unknown key `fro`/,
      /alerts\.yml:7:\d+: .*heartbeat\.every.*must be like 30s, 5m or 2h/,
    ])
      assert.match(text, wanted);
    const later = read(`routes:
  Bad: { to: webhook, url: "https://hook.example.net/x", repeat: 1s, on: nowhere }
rules: [{ name: both, about: [silent], when: "health.cpu_busy>80%" }]
`).problems.join("\n");
    for (const wanted of [
      /repeat_ms/,
      /`Bad` cannot be a route's name/,
      /`on`: .*nowhere/,
      /rule `both` must have either/,
    ])
      assert.match(later, wanted);
    assert.match(
      read('rules: [{ name: x, when: "load > 8" }]').problems.join("\n"),
      /alerts\.yml:1:\d+: .*rules\.0\.when.*expected a comparison of what hosts tell/,
    );
    assert.match(
      read('rules: [{ name: x, when: "health.cpu_bsy > 8" }]').problems.join("\n"),
      /rule `x`: .*did you mean `cpu_busy`/,
    );
    assert.match(read("routes: [noc]\n").problems.join("\n"), /alerts\.yml:1:\d+: `routes`/);
    assert.match(read("- noc\n").problems.join("\n"), /alerts\.yml must be a map/);
  });
});
