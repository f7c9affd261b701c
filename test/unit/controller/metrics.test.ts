// limit: 180 s
/** `/metrics` of a real controller, read by a real Prometheus: the fleet as it is, and nothing of a host that is silent. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Caller, callController } from "@muster/ports/call";
import {
  ALERTING_SUBJECT,
  type Alerting,
  type ChecksSample,
  type Health,
  type HostView,
  type Monitoring,
  type ScrapeJob,
  seal,
  storeEnvelope,
  subjects,
  TELEMETRY,
  type TelemetryKind,
  verifierOf,
} from "@muster/protocol";
import * as assert from "uvu/assert";
import { AlertStore } from "../../../packages/controller/src/alerts/store.ts";
import { expose, type Family } from "../../../packages/controller/src/metrics/exposition.ts";
import { type FleetSource, fleetMetrics } from "../../../packages/controller/src/metrics/fleet.ts";
import { DASHBOARDS } from "../../../packages/ctl/src/prometheus/dashboards.ts";
import { type Child, freePort, startChild } from "../../kit/child.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { patienceOf } from "../../kit/patience.ts";
import { beat, makeHost, type TestHost } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";
import { EMPTY_BGP } from "../ctl/ground.ts";
import { CONVERGENCE, DOWN, NOW, SESSION, sample } from "../ctl/report/samples.ts";
import { collected, machine } from "./collected.ts";

const HEALTH: Health = {
  at: NOW,
  uptime_s: 86_400,
  load: [0.5, 0.4, 0.3],
  cpu_busy: 0.1,
  cores: 2,
  memory: { total_bytes: 2e9, available_bytes: 1e9, swap_used_bytes: 0 },
  disks: [{ mount: "/", size_bytes: 1e10, used_bytes: 5e9 }],
  interfaces: [{ name: "eth0", rx_bytes: 1e12, tx_bytes: 2e12, up: true }],
  failed_units: [],
  agent: { rss_bytes: 7e7, cpu_s: 12, uptime_s: 3_600 },
};

const CHECKS: ChecksSample = {
  at: NOW,
  checks: [
    {
      ...{
        name: "web",
        method: "http",
        target: "http://[::1]/",
        state: "down",
        since: NOW - 60_000,
        up_at: null,
      },
      ...{ ran_at: NOW, latency_ms: null, why: "connect ECONNREFUSED ::1:80", every_ms: 30_000 },
    },
    {
      ...{ name: "anycast", method: "probe", target: "2001:db8::/48", state: "blind", since: NOW - 60_000 },
      ...{ up_at: NOW - 60_000, ran_at: NOW, latency_ms: 12, why: "replies: too few", every_ms: 30_000 },
      reasons: [
        { name: "session", ok: true, why: "core1 up" },
        { name: "replies", ok: null, why: "too few" },
      ],
    },
  ],
};

/** A controller's last values of so many hosts; `change` says what is different of one. */
function lastValues(count: number, change: { silent?: boolean; health_heard_at?: number } = {}): FleetSource {
  const names = Array.from({ length: count }, (_, at) => `h${at}`);
  const samples = { convergence: CONVERGENCE, bgp: sample(SESSION, DOWN), health: HEALTH, checks: CHECKS };
  const record = (name: string): HostView["record"] => ({
    ...{ name, id: `U${"A".repeat(55)}`, ssh_public_key: "", curve: "", groups: [], enrolled_at: 0 },
    ...{ enrolled_by: "alice", recoveries: 0, state: "enrolled", os: "Debian 12", agent_version: "0.1.0" },
    certificates: { user_jwt: 0, service: 0, ssh: 0 },
  });
  return {
    leading: true,
    records: { names: () => names, byName: (name) => record(name) },
    last: {
      view: (name) => ({
        ...{ record: record(name), heard_at: NOW, silent: change.silent ?? false, clock_skew_ms: 40 },
        ...samples,
      }),
      sample(_, kind) {
        const value = (samples as Partial<Record<TelemetryKind, unknown>>)[kind];
        const heard_at = (kind === "health" ? change.health_heard_at : undefined) ?? NOW;
        return value === undefined ? undefined : { heard_at, value };
      },
    },
  };
}
const familiesOf = async (source: FleetSource) => {
  const families: Family[] = [];
  for await (const family of fleetMetrics(source, NOW)) families.push(family);
  return families;
};
/** Names of the metrics that have a value. */
const named = async (source: FleetSource) =>
  (await familiesOf(source)).flatMap(({ name, values }) => (values.length > 0 ? [name] : []));

suite("metrics of last values", (test) => {
  test("a silent host keeps that it is silent and when it was heard, and none of its last colours", async () => {
    assert.equal(
      (await named(lastValues(1, { silent: true }))).filter(
        (name) => !/^muster_(controller|hosts)/.test(name),
      ),
      ["muster_host_up", "muster_host_last_heard_timestamp_seconds", "muster_host_info"],
    );
  });

  test("checks: down and blind are not up; what is not known has no series; a host without checks is not blind for them", async () => {
    const text = async (managed: Record<string, number>) => {
      const source = lastValues(1);
      const view = source.last.view("h0", NOW) as HostView;
      const convergence = { ...CONVERGENCE, resources: { ...CONVERGENCE.resources, managed } };
      return expose(
        await familiesOf({ ...source, last: { ...source.last, view: () => ({ ...view, convergence }) } }),
      );
    };
    const declared = await text({ check: 2 });
    for (const line of [
      'muster_check_up{host="h0",check="web",method="http"} 0',
      'muster_check_up{host="h0",check="anycast",method="probe"} 0',
      'muster_check_blind{host="h0",check="anycast",method="probe"} 1',
      'muster_check_latency_seconds{host="h0",check="anycast",method="probe"} 0.012',
      'muster_probe_reason{host="h0",check="anycast",reason="session"} 1',
    ])
      assert.ok(declared.includes(`${line}\n`), line);
    assert.not.match(declared, /check_latency_seconds\{host="h0",check="web"/);
    assert.not.match(declared, /reason="replies"/);
    assert.match(declared, /sample_timestamp_seconds\{host="h0",kind="checks"\}/);
    assert.not.match(await text({}), /sample_timestamp_seconds\{host="h0",kind="checks"\}/);
  });

  test("a collector that says nothing any more loses its series, and the time of its last word stays", async () => {
    const blind = { health_heard_at: NOW - 3 * TELEMETRY.health.period_ms - 1 };
    const left = await named(lastValues(1, blind));
    const lost = (await named(lastValues(1))).filter((name) => !left.includes(name));
    assert.ok(lost.includes("muster_host_memory_total_bytes"));
    assert.ok(!lost.some((name) => name.startsWith("muster_bgp") || name.includes("sample_timestamp")));
  });
});

suite(
  "metrics",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let host: TestHost;
    let prometheus: Child;
    let directory = "";
    let own = "";
    let port = 0;

    const said = (kind: TelemetryKind, sample: object) =>
      host.bus.publish(subjects.telemetry(host.id, "ixp1", kind), Buffer.from(JSON.stringify(sample)));
    /** The value of what Prometheus now has, by the labels besides those of the scrape. */
    const query = async (expression: string): Promise<number[]> => {
      const reply = await fetch(`${own}/api/v1/query?query=${encodeURIComponent(expression)}`);
      const { data } = (await reply.json()) as { data?: { result: { value: [number, string] }[] } };
      return (data?.result ?? []).map(({ value }) => Number(value[1]));
    };
    const until = async (expression: string, wanted: number[]) => {
      // Prometheus hands on what it discovers every 5 s.
      const patience = patienceOf(40_000);
      for (let seen = await query(expression); ; seen = await query(expression)) {
        if (JSON.stringify(seen) === JSON.stringify(wanted)) return;
        if (patience.over()) throw new Error(`${expression} is ${seen}\n${prometheus.output()}`);
        await sleep(100);
      }
    };

    test.before(async () => {
      directory = await mkdtemp(join(tmpdir(), "muster-prometheus-"));
      fleet = await startFleet({ name: "as64500" });
      port = await freePort();
      controller = await startController(fleet, { metrics: { listen: `127.0.0.1:${port}` } });
      const setup = await fleet.connect("controller", "setup", life.signal);
      host = await makeHost(fleet, "ixp1", setup.bus, verifierOf(fleet.bundle), life.signal);
      beat(host, life.signal);
      // As the runbook has it.
      const discovery = {
        job_name: "fleet",
        http_sd_configs: [{ url: `http://127.0.0.1:${port}/sd`, refresh_interval: "1s" }],
        relabel_configs: [{ action: "labelmap", regex: "__meta_muster_label_(.+)" }],
      };
      const config = {
        global: { scrape_interval: "1s" },
        scrape_configs: [
          { job_name: "muster", static_configs: [{ targets: [`127.0.0.1:${port}`] }] },
          discovery,
        ],
      };
      await writeFile(join(directory, "prometheus.yml"), JSON.stringify(config));
      const web = await freePort();
      own = `http://127.0.0.1:${web}`;
      prometheus = startChild("prometheus", [
        `--config.file=${join(directory, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(directory, "data")}`,
        `--web.listen-address=127.0.0.1:${web}`,
      ]);
      await prometheus.until(() =>
        fetch(`${own}/-/ready`).then(
          ({ ok }) => ok,
          () => false,
        ),
      );
    });
    test.after(async () => {
      await prometheus?.stop();
      life.abort();
      await controller?.stop();
      await fleet?.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    });

    test("a real Prometheus has the fleet as it is, and sees a session go down", async () => {
      host.say({ state: "converged", resources: { total: 7, ok: 7, managed: {} } });
      said("health", HEALTH);
      const at = () => new Date().toISOString();
      said("bgp", { ...EMPTY_BGP, at: at(), sessions: [SESSION] });
      await until('up{job="muster"}', [1]);
      await until('muster_host_up{host="ixp1"}', [1]);
      await until('muster_host_state{host="ixp1", state="converged"}', [1]);
      await until('muster_host_resources_ok{host="ixp1"}', [7]);
      await until('muster_bgp_session_up{host="ixp1", session="upstream", neighbor_as="64496"}', [1]);
      await until(
        'muster_bgp_session_routes{session="upstream", family="ipv6", direction="imported"}',
        [182_301],
      );
      await until("count(muster_bgp_session_red == 1)", []);
      said("bgp", { ...EMPTY_BGP, at: at(), sessions: [SESSION, DOWN] });
      await until('muster_bgp_session_red{session="locix_rs1"}', [1]);
      await until("muster_controller_leading", [1]);
    });

    test("every panel of the dashboards has something to draw", async () => {
      const whole = { ...SESSION, exports_missing: [] };
      host.say({ certificates: [{ name: "bus", not_after: Date.now() + 86_400_000 }] });
      const panels = DASHBOARDS.flatMap((dashboard) =>
        dashboard.panels.map((panel) => ({ of: dashboard.title, ...panel })),
      );
      const patience = patienceOf(20_000);
      for (let left = panels; ; ) {
        // What one says once grows old: a host says it again and again.
        said("health", { ...HEALTH, ...machine(Date.now()), at: Date.now() });
        for (const [kind, sample] of collected(Date.now())) said(kind, sample);
        said("checks", CHECKS);
        said("bgp", { ...EMPTY_BGP, at: new Date().toISOString(), sessions: [whole, DOWN] });
        const drawn = await Promise.all(left.map(({ expr }) => query(expr.replace("$host", ".*"))));
        left = left.filter((_, at) => drawn[at]?.length === 0);
        if (left.length === 0) break;
        if (patience.over())
          throw new Error(left.map(({ of, title, expr }) => `${of}, ${title}: ${expr}`).join("\n"));
        await sleep(500);
      }
    });

    test("promtool finds nothing against the names and the text", async () => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      const child = spawn("promtool", ["check", "metrics"]);
      let complaints = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (complaints += data));
      child.stdin.end(text);
      const [code] = await once(child, "close");
      assert.is(code, 0, complaints);
      assert.is(complaints, "");
    });

    test("what the folder says is scraped reaches Prometheus with its labels, goes with the next version, and stays while nothing can be told", async () => {
      const signer = await fleet.person("alice");
      const { bus: own_bus } = await fleet.connect("operator", "alice", life.signal);
      const alice: Caller = { bus: own_bus, signer, now: Date.now };
      const give = async (version: number, monitoring: Monitoring | undefined, job = "node") => {
        const rules: Alerting = {
          ...{ v: 1, fleet: fleet.name, version, rules: [], routes: {}, heartbeat: null },
          ...(monitoring === undefined ? {} : { monitoring }),
        };
        const body = Buffer.from(JSON.stringify(rules));
        const document = storeEnvelope(seal(ALERTING_SUBJECT, body, signer, Date.now()));
        await callController(alice, "set_rules", { document });
        return fetch(`http://127.0.0.1:${port}/sd?job=${job}`);
      };
      assert.equal(await (await fetch(`http://127.0.0.1:${port}/sd`)).json(), []);
      const scrape: ScrapeJob = {
        ...{ job: "node", kind: "host", scheme: "http", path: "/metrics", labels: { team: "net" } },
        targets: { ixp1: `127.0.0.1:${port}` },
      };
      const hosts = { ixp1: { groups: ["ixp", "routers"], labels: { site: "ams" } } };
      const answer = await give(1, { scrape: [scrape], hosts });
      assert.match(answer.headers.get("content-type") ?? "", "application/json");
      assert.equal(await answer.json(), [
        {
          targets: [`127.0.0.1:${port}`],
          labels: {
            ...{ job: "node", host: "ixp1", team: "net", __scheme__: "http", __metrics_path__: "/metrics" },
            ...{ __meta_muster_fleet: "as64500", __meta_muster_kind: "host" },
            ...{ __meta_muster_groups: ",ixp,routers,", __meta_muster_label_site: "ams" },
          },
        },
      ]);
      await until('up{job="node", host="ixp1", site="ams", team="net"}', [1]);
      assert.equal(await (await fetch(`http://127.0.0.1:${port}/sd?job=other`)).json(), []);

      // Nobody signed this: that is no reason to take targets away.
      const { bus } = await fleet.connect("controller", "writer", life.signal);
      const store = new AlertStore(bus.kv("alerts"));
      const held = await store.rules();
      assert.ok(held !== null);
      const forged = { ...held.document, body: Buffer.from("{}").toString("base64") };
      await store.putRules(forged, held.revision);
      const refused = await fetch(`http://127.0.0.1:${port}/sd`);
      assert.is(refused.status, 503);
      assert.match(await refused.text(), /signature/);
      const failures = async () =>
        Number(
          /^prometheus_sd_http_failures_total (\d+)/m.exec(await (await fetch(`${own}/metrics`)).text())?.[1],
        );
      const before = await failures();
      await eventually(async () => assert.ok((await failures()) > before, `${before} failures`), 40_000);
      await until('up{job="node", host="ixp1"}', [1]);
      const again = await store.rules();
      await store.putRules(held.document, again?.revision ?? null);

      await give(2, undefined);
      await until('up{job="node"}', []);
    });

    test("there is nothing else to ask for", async () => {
      assert.is((await fetch(`http://127.0.0.1:${port}/`)).status, 404);
      assert.is((await fetch(`http://127.0.0.1:${port}/metrics`, { method: "POST" })).status, 405);
    });

    test("a port that is taken keeps no controller from its work", async () => {
      const taken = createServer().listen(0, "127.0.0.1");
      await once(taken, "listening");
      const address = taken.address();
      assert.ok(address !== null && typeof address === "object");
      const second = await startController(fleet, { metrics: { listen: `127.0.0.1:${address.port}` } });
      await second.stop();
      taken.close();
    });
  },
  { limit_ms: 90_000 },
);
