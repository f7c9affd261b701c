/** `ctl prometheus`: its rules by the real promtool, each shown to fire and to be silent; the files of its dashboards. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";
import { ctl } from "./terminal.ts";

const execute = promisify(execFile);

/** Series by name and labels, each with its values at every minute: `1x10` = ten minutes more of 1. */
type Series = Readonly<Record<string, string>>;
const host = '{host="ixp1"}';
const session = '{host="ixp1", session="upstream", neighbor_as="64496"}';

const EXAMPLES: Readonly<Record<string, { fires: Series; silent: Series }>> = {
  MusterControllerGone: { fires: {}, silent: { muster_controller_leading: "1x20" } },
  MusterNoLeader: {
    fires: {
      'muster_controller_leading{instance="a"}': "0x20",
      'muster_controller_leading{instance="b"}': "0x20",
    },
    silent: {
      'muster_controller_leading{instance="a"}': "0x20",
      'muster_controller_leading{instance="b"}': "1x20",
    },
  },
  MusterHostSilent: {
    fires: { [`muster_host_up${host}`]: "0x20" },
    silent: { [`muster_host_up${host}`]: "1x20" },
  },
  MusterCollectorBlind: {
    fires: { 'muster_host_collector_blind{host="ixp1", kind="bgp"}': "1x20" },
    silent: { 'muster_host_collector_blind{host="ixp1", kind="bgp"}': "0x20" },
  },
  MusterHostFault: {
    fires: { 'muster_host_faults{host="ixp1", kind="containers", colour="red"}': "2x20" },
    silent: {
      'muster_host_faults{host="ixp1", kind="containers", colour="red"}': "0x20",
      'muster_host_faults{host="ixp1", kind="containers", colour="amber"}': "2x20",
    },
  },
  MusterHostNotAsDeclared: {
    fires: { 'muster_host_state{host="ixp1", state="undone"}': "1x20" },
    silent: {
      'muster_host_state{host="ixp1", state="undone"}': "0x20",
      'muster_host_state{host="ixp1", state="converged"}': "1x20",
    },
  },
  MusterResourceInTrouble: {
    fires: { [`muster_host_troubles${host}`]: "2x20" },
    silent: { [`muster_host_troubles${host}`]: "0x20" },
  },
  MusterHandEdit: {
    fires: { [`muster_host_drifts${host}`]: "1x20" },
    silent: { [`muster_host_drifts${host}`]: "1 1 0x18" },
  },
  MusterSessionDown: {
    fires: { [`muster_bgp_session_red${session}`]: "1x20" },
    silent: { [`muster_bgp_session_red${session}`]: "0x20" },
  },
  MusterSessionFlapping: {
    fires: { [`muster_bgp_session_flaps${session}`]: "3x20" },
    silent: { [`muster_bgp_session_flaps${session}`]: "2x20" },
  },
  MusterRoutingDaemonDown: {
    fires: { [`muster_bgp_daemon_up${host}`]: "0x20" },
    silent: { [`muster_bgp_daemon_up${host}`]: "1x20" },
  },
  MusterRoutingFault: {
    fires: { 'muster_bgp_faults{host="ixp1", colour="red"}': "1x20" },
    silent: {
      'muster_bgp_faults{host="ixp1", colour="red"}': "0x20",
      'muster_bgp_faults{host="ixp1", colour="amber"}': "2x20",
    },
  },
  MusterCheckDown: {
    fires: { 'muster_check_up{host="ixp1", check="web", method="http"}': "0x20" },
    silent: { 'muster_check_up{host="ixp1", check="web", method="http"}': "1x20" },
  },
  MusterChecksUnknown: {
    fires: { [`muster_host_checks${host}`]: "2x20" },
    silent: {
      [`muster_host_checks${host}`]: "2x20",
      'muster_check_up{host="ixp1", check="web", method="http"}': "0x20",
    },
  },
  MusterCredentialEnds: {
    fires: { 'muster_certificate_expiry_timestamp_seconds{host="ixp1", name="bus"}': "86400x20" },
    silent: { 'muster_certificate_expiry_timestamp_seconds{host="ixp1", name="bus"}': "604800x20" },
  },
  MusterClockOff: {
    fires: { [`muster_host_clock_skew_seconds${host}`]: "-600x20" },
    silent: { [`muster_host_clock_skew_seconds${host}`]: "0.2x20" },
  },
  MusterClockFollowsNone: {
    fires: { [`muster_host_clock_synchronized${host}`]: "0x20" },
    silent: { [`muster_host_clock_synchronized${host}`]: "1x8 0x7 1x3" },
  },
  MusterDiskFillsSoon: {
    fires: { 'muster_host_filesystem_full_in_seconds{host="ixp1", mount="/"}': "7100x20" },
    silent: { 'muster_host_filesystem_full_in_seconds{host="ixp1", mount="/"}': "7300x20" },
  },
  MusterDiskFull: {
    fires: {
      'muster_host_filesystem_used_bytes{host="ixp1", mount="/"}': "95x20",
      'muster_host_filesystem_size_bytes{host="ixp1", mount="/"}': "100x20",
    },
    silent: {
      'muster_host_filesystem_used_bytes{host="ixp1", mount="/"}': "50x20",
      'muster_host_filesystem_size_bytes{host="ixp1", mount="/"}': "100x20",
    },
  },
  MusterLogLinesDropped: {
    fires: { 'muster_log_lines_dropped_total{by="host"}': "0+10x20" },
    silent: { 'muster_log_lines_dropped_total{by="host"}': "10x20" },
  },
  MusterUnitsFailed: {
    fires: { [`muster_host_failed_units${host}`]: "1x20" },
    silent: { [`muster_host_failed_units${host}`]: "0x20" },
  },
  MusterHostMissing: {
    fires: { [`muster_host_missing${host}`]: "1x20" },
    silent: { [`muster_host_missing${host}`]: "0x20" },
  },
};

type RuleFile = { groups: { rules: { alert: string; expr: string; annotations: { command: string } }[] }[] };

suite("ctl prometheus", (test) => {
  const example = new URL("../../../inventory", import.meta.url).pathname;
  let directory = "";
  let text = "";
  let rules: RuleFile["groups"][number]["rules"] = [];
  test.before(async () => {
    directory = await mkdtemp(join(tmpdir(), "muster-rules-"));
    const ran = await ctl(["prometheus", "rules"], { home: directory, cwd: example });
    assert.is(ran.code, 0, ran.err);
    text = ran.out;
    const json = await ctl(["prometheus", "rules", "--json"], { home: directory, cwd: example });
    rules = (JSON.parse(json.out) as RuleFile).groups.flatMap((group) => group.rules);
    await writeFile(join(directory, "rules.yml"), text);
  });
  test.after(() => rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));

  test("promtool takes the file; every rule says what to type next", async () => {
    const { stdout } = await execute("promtool", ["check", "rules", join(directory, "rules.yml")]);
    assert.match(stdout, `SUCCESS: ${rules.length} rules found`);
    for (const rule of rules) assert.match(rule.annotations.command, /^(ctl|systemctl) /, rule.alert);
  });

  test("each rule fires on what is wrong, and is silent on what is not", async () => {
    assert.equal(Object.keys(EXAMPLES).sort(), [...new Set(rules.map(({ alert }) => alert))].sort());
    const tests = Object.entries(EXAMPLES).flatMap(([alert, { fires, silent }]) =>
      [fires, silent].map((series, at) => ({
        name: `${alert} ${at === 0 ? "fires" : "is silent"}`,
        interval: "1m",
        input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
        promql_expr_test: [
          {
            expr: `count(ALERTS{alertname="${alert}", alertstate="firing", host=~"|ixp1"})`,
            eval_time: "15m",
            exp_samples: at === 0 ? [{ labels: "{}", value: 1 }] : [],
          },
        ],
      })),
    );
    // JSON is YAML too.
    const file = join(directory, "tests.yml");
    await writeFile(file, JSON.stringify({ rule_files: ["rules.yml"], evaluation_interval: "1m", tests }));
    const ran = await execute("promtool", ["test", "rules", file]).catch((error) => error);
    assert.match(ran.stdout, "SUCCESS", ran.stderr);
  });

  test("dashboards: a file each with every declared host to choose, and nothing written that is as it was", async () => {
    const out = join(directory, "grafana");
    const at = { home: directory, cwd: example };
    const first = await ctl(["prometheus", "dashboards", "--out", out, "--json"], at);
    assert.is(first.code, 0, first.err);
    assert.equal(JSON.parse(first.out).written, [
      "muster-fleet.json",
      "muster-host.json",
      "muster-bgp.json",
      "muster-services.json",
    ]);
    const again = await ctl(["prometheus", "dashboards", "--out", out], at);
    assert.match(again.out, /0 files written, 4 as they were/);
    for (const name of await readdir(out)) {
      const file = JSON.parse(await readFile(join(out, name), "utf8"));
      const host = file.templating.list.find((one: { name: string }) => one.name === "host");
      assert.is(host.query, "core1,ixp1,probe1", name);
      const places = file.panels.map(
        ({ gridPos: { x, y } }: { gridPos: { x: number; y: number } }) => `${x} ${y}`,
      );
      assert.is(new Set(places).size, places.length, `${name}: panels on top of each other`);
    }
  });

  test("says what there is for other words, and where to say what is missing", async () => {
    const ran = await ctl(["prometheus", "alerts"], { home: directory });
    assert.is(ran.code, 2);
    assert.match(ran.err, /there are rules, dashboards and targets/);
    const nowhere = await ctl(["prometheus", "dashboards"], { home: directory });
    assert.is(nowhere.code, 2);
    assert.match(nowhere.err, /--out DIR/);
  });
});
