// limit: 300 s
// lane: last
/**
 * A change on its way: the plan names what differs and why, the apply makes it so, a second plan has nothing left; a scope leaves the rest alone and
 * says so. And the figures: twenty files on all hosts, and a ping, each with all that a person waits for.
 */
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, HOSTS, measured, median, openFleet, slowness } from "./kit.ts";

const FILES = 20;
const ROUNDS = 5;
const APPLY_LIMIT_MS = 1_500;
const AGENT_LIMIT_MS = 300;
const PINGS = 9;
const PING_LIMIT_MS = 200;

type Step = { ref: string; action: string; why: string; diff?: string };
type Plans = {
  plans: { host: string; changed: boolean; plan: { steps: Step[] } }[];
  pending: { name: string; count: number }[];
};

suite(
  "a change",
  (test) => {
    let fleet: Fleet;
    test.before(async () => {
      fleet = await openFleet();
      await fleet.reset();
    });
    test.after(() => fleet.reset());

    /** `host ref` of every step. */
    const stepsOf = ({ plans }: Plans) =>
      plans.flatMap(({ host, plan }) => plan.steps.map((step) => `${host} ${step.ref}`));

    test("one variable: plan (3) names exactly what differs and why, apply (0), plan (0)", async () => {
      await fleet.ctl(["plan"], { expect: 0 });
      fleet.edit("group_vars/core.yml", () => 'nameserver: "2001:db8:5000:10::54"\n');
      const planned = await fleet.ctl(["plan", "--json"], { expect: 3 });
      const plans: Plans = planned.json();
      assert.equal(
        plans.plans.map(({ host, changed }) => [host, changed]),
        [
          ["core1", true],
          ["ixp1", false],
          ["probe1", false],
        ],
      );
      assert.equal([...new Set(stepsOf(plans))], ["core1 file//etc/netinfo/resolv.conf"]);
      const [step] = plans.plans[0]?.plan.steps ?? [];
      assert.match(step?.diff ?? "", /^-nameserver 2001:db8:5000:10::53$/m);
      assert.match(step?.diff ?? "", /^\+nameserver 2001:db8:5000:10::54$/m);
      assert.is.not(step?.why, "");

      const shown = await fleet.ctl(["plan"], { expect: 3 });
      assert.match(shown.stdout, /^core1 ~ file\/\/etc\/netinfo\/resolv\.conf {2}\S/m);
      assert.not.match(shown.stdout, /^(ixp1|probe1) [~+-]/m);
      const before = await fleet.on("core1").read("/etc/netinfo/resolv.conf");
      assert.not.match(before, /::54/, "a plan changes nothing");

      const applied = await fleet.ctl(["apply", "-y", "-m", "another resolver"], { expect: 0 });
      assert.match(applied.stdout, /^core1 {2}converged/m);
      assert.match(
        await fleet.on("core1").read("/etc/netinfo/resolv.conf"),
        /^nameserver 2001:db8:5000:10::54$/m,
      );
      assert.match((await fleet.ctl(["plan"], { expect: 0 })).stdout, /folder and servers agree/);
      assert.match((await fleet.ctl(["apply", "-y"], { expect: 0 })).stdout, /nothing to do/);
    });

    test("without a terminal and without -y nothing is applied", async () => {
      fleet.edit("group_vars/core.yml", () => 'nameserver: "2001:db8:5000:10::55"\n');
      const asked = await fleet.ctl(["apply"], { expect: 2 });
      assert.match(asked.stderr, /-y/);
      assert.not.match(await fleet.on("core1").read("/etc/netinfo/resolv.conf"), /::55/);
      await fleet.reset();
    });

    test("a scope: the rest keeps its signed content and is named as pending", async () => {
      fleet.edit("templates/motd.j2", (text) => `${text}Scope was here.\n`);
      fleet.edit("templates/netinfo/sessions.j2", (text) => `# Sessions of this host.\n${text}`);
      const plan: Plans = (await fleet.ctl(["plan", "ixp1", "--json"], { expect: 3 })).json();
      assert.equal([...new Set(stepsOf(plan))].sort(), [
        "ixp1 file//etc/motd",
        "ixp1 file//etc/netinfo/sessions",
      ]);
      assert.equal(plan.pending.map(({ name }) => name).sort(), ["core1", "probe1"]);

      const one = await fleet.ctl(["apply", "ixp1", "--only", "file//etc/motd", "-y"], { expect: 0 });
      assert.match(one.stdout, /also pending: .*core1 \(2\)/);
      assert.match(one.stdout, /also pending: .*ixp1 \(1\)/);
      assert.match(await fleet.on("ixp1").read("/etc/motd"), /Scope was here/);
      assert.not.match(await fleet.on("ixp1").read("/etc/netinfo/sessions"), /Sessions of this host/);
      assert.not.match(await fleet.on("core1").read("/etc/motd"), /Scope was here/);

      const rest = await fleet.ctl(["plan", "--json"], { expect: 3 });
      assert.equal([...new Set(stepsOf(rest.json()))].sort(), [
        "core1 file//etc/motd",
        "core1 file//etc/netinfo/sessions",
        "ixp1 file//etc/netinfo/sessions",
        "probe1 file//etc/motd",
        "probe1 file//etc/netinfo/sessions",
      ]);
      await fleet.reset();
    });

    test("rolled back: the content before, and held there until the folder differs from what was taken back", async () => {
      const RESOLVER = "/etc/netinfo/resolv.conf";
      const ixp1 = fleet.on("ixp1");
      const before = await ixp1.sh(`stat -c '%a %U %G' ${RESOLVER}; cat ${RESOLVER}`);
      fleet.edit("group_vars/ixp.yml", () => 'nameserver: "2001:db8:5000:10::56"\n');
      await fleet.ctl(["apply", "-y", "-m", "a resolver that fails"], { expect: 0 });
      assert.match(await ixp1.read(RESOLVER), /::56/);

      const back = await fleet.ctl(["rollback", "ixp1", "-y"], { expect: 0 });
      assert.match(back.stdout, /^ixp1 {2}back to generation \d+ by alice/m);
      assert.is(await ixp1.sh(`stat -c '%a %U %G' ${RESOLVER}; cat ${RESOLVER}`), before);
      const held = await fleet.ctl(["plan"], { expect: 0 });
      assert.match(
        held.stdout,
        /held {5}file\/\/etc\/netinfo\/resolv\.conf: rolled back; held until the folder differs from what failed/,
      );
      await fleet.ctl(["apply", "-y"], { expect: 0 });
      assert.not.match(await ixp1.read(RESOLVER), /::56/, "an apply does not bring it again");

      fleet.edit("group_vars/ixp.yml", () => null);
      const agreed = await fleet.ctl(["plan"], { expect: 0 });
      assert.match(agreed.stdout, /folder and servers agree/);
      assert.not.match(agreed.stdout, /held/);
      fleet.edit("group_vars/ixp.yml", () => 'nameserver: "2001:db8:5000:10::57"\n');
      await fleet.ctl(["apply", "-y"], { expect: 0 });
      assert.match(await ixp1.read(RESOLVER), /::57/);
      await fleet.reset();
    });

    test("a file with a check of its own: refused in the program's words and nothing is touched; a good one is told to the service", async () => {
      const SSHD = "/etc/ssh/sshd_config.d/60-local.conf";
      const ixp1 = fleet.on("ixp1");
      const content = (text: string) =>
        fleet.edit("resources/routers.yml", (yaml) =>
          yaml.replace(/content: "PermitRootLogin .*"/, `content: "PermitRootLogin ${text}"`),
        );
      const before = await ixp1.sh(`ls -A /etc/ssh/sshd_config.d; stat -c '%i %Y' ${SSHD}; cat ${SSHD}`);
      const sshd =
        "systemctl show ssh --property=MainPID --value; journalctl -u ssh -o cat | grep -c '^Reloaded '";
      const [pid, reloads] = (await ixp1.sh(sshd)).split("\n");

      content("perhaps\\n");
      const refused = await fleet.ctl(["apply", "ixp1", "-y"], { expect: 1 });
      assert.match(refused.stdout, /60-local\.conf line 1: unsupported option "perhaps"/);
      assert.is(await ixp1.sh(`ls -A /etc/ssh/sshd_config.d; stat -c '%i %Y' ${SSHD}; cat ${SSHD}`), before);
      assert.equal((await ixp1.sh(sshd)).split("\n").slice(0, 2), [pid, reloads], "sshd was left alone");
      const told = await fleet.ctl(["status"], { expect: 1 });
      assert.match(
        told.stdout,
        /^ixp1 {2}file\/\/etc\/ssh\/sshd_config\.d\/60-local\.conf FAILED .*perhaps/m,
      );

      assert.match(await ixp1.sh("sshd -T"), /^x11forwarding yes$/m);
      content("prohibit-password\\nX11Forwarding no\\n");
      await fleet.ctl(["apply", "ixp1", "-y"], { expect: 0 });
      assert.match(await ixp1.sh("sshd -T"), /^x11forwarding no$/m);
      const [same, more] = (await ixp1.sh(sshd)).split("\n");
      assert.is(same, pid, "reloaded, not restarted");
      assert.is(Number(more), Number(reloads) + 1);
      await fleet.reset();
    });

    test(
      `${FILES} files on all hosts, from Enter to reported: at most ${APPLY_LIMIT_MS} ms`,
      async () => {
        const files = Array.from(
          { length: FILES },
          (_, at) => `  /etc/netinfo/bench-${at}: { template: bench.j2 }\n`,
        );
        fleet.edit("resources/routers.yml", (text) => text.replace(/^file:\n/m, `file:\n${files.join("")}`));
        fleet.edit("templates/bench.j2", () => "round {{ round }} on {{ inventory_hostname }}\n".repeat(20));
        const round = async (name: string) => {
          fleet.edit("group_vars/routers.yml", () => `round: ${name}\n`);
          const { ms } = await fleet.ctl(["apply", "-y"], { expect: 0 });
          for (const host of HOSTS)
            assert.match(
              await fleet.on(host).read(`/etc/netinfo/bench-${FILES - 1}`),
              `round ${name} on ${host}`,
            );
          const own = [...(await fleet.status()).values()].map((row) => row.last_apply_ms ?? Number.NaN);
          return { ms, agent_ms: Math.max(...own) };
        };
        const before = slowness();
        await round("none");
        const rounds = [];
        for (let at = 0; at < ROUNDS; at++) rounds.push(await round(`r${at}`));
        const whole_ms = median(rounds.map(({ ms }) => ms));
        const agent_ms = median(rounds.map((each) => each.agent_ms));
        measured(
          `${FILES} files on ${HOSTS.length} hosts`,
          `${whole_ms.toFixed(0)} ms from Enter (median of ${rounds.map(({ ms }) => ms.toFixed(0)).join(", ")}), slowest agent ${agent_ms} ms`,
        );
        const factor = Math.max(before, slowness());
        const again: Plans = (await fleet.ctl(["plan", "--json"], { expect: 0 })).json();
        assert.equal(stepsOf(again), []);
        await fleet.reset();
        for (const host of HOSTS)
          assert.is((await fleet.on(host).sh("ls /etc/netinfo | grep -c bench || true")).trim(), "0");
        assert.ok(whole_ms <= APPLY_LIMIT_MS * factor, `${whole_ms} ms`);
        assert.ok(agent_ms <= AGENT_LIMIT_MS * factor, `the agent's own part took ${agent_ms} ms`);
      },
      { limit_ms: 150_000 },
    );

    test(`ctl rpc ping: at most ${PING_LIMIT_MS} ms with the start of ctl`, async () => {
      const before = slowness();
      const took: number[] = [];
      for (let at = 0; at < PINGS; at++) {
        const { ms, stdout } = await fleet.ctl(["rpc", "ping"], { expect: 0 });
        assert.is(stdout.trim().split("\n").length, HOSTS.length, stdout);
        took.push(ms);
      }
      measured(
        "ctl rpc ping",
        `best ${Math.min(...took).toFixed(0)} ms, median ${median(took).toFixed(0)} ms (${took.map((ms) => ms.toFixed(0)).join(", ")})`,
      );
      assert.ok(median(took) <= PING_LIMIT_MS * Math.max(before, slowness()), `${median(took)} ms`);
    });
  },
  { limit_ms: 90_000 },
);
