/**
 * Every kind by the same rules: observe changes nothing, plan is pure, applying leads to where there is nothing left to do, each step may be
 * done twice, removal takes away what Muster made, and all of it stays below the prefix. `bird` has its own file besides, with real neighbours.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createFiles, createSystemd, type Ports } from "@muster/agent/ports/index";
import { birdGuard } from "@muster/agent/resources/bird-guard";
import { kindOf, RESOURCE_KINDS } from "@muster/agent/resources/index";
import type { ApplyContext, PlanContext } from "@muster/agent/resources/kind";
import type { Kind, Resource, Step } from "@muster/protocol";
import { canonicalize } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { Step as StepSchema } from "@muster/protocol/plan";
import { Resource as ResourceSchema } from "@muster/protocol/resources/index";
import * as assert from "uvu/assert";
import { addToRepository } from "../../../kit/apt.ts";
import { type Child, freePort } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { type FakeSystemctl, fakeSystemctl } from "../ports/fake-systemctl.ts";
import { config, hostPrefix, type Prefix, portsBelow, startBird, until } from "./private-bird.ts";

const FRESH: PlanContext = { applied: null, made: false, coming: new Set(), going: new Set() };
const DOCKER_KINDS: readonly Kind[] = ["network", "volume", "container"];
const resource = (kind: Kind, name: string, spec: object): Resource =>
  ResourceSchema.parse({ kind, name, spec, needs: [] });

suite(
  "conformance of resource kinds",
  (test) => {
    let prefix: Prefix;
    let ports: Ports;
    let systemctl: FakeSystemctl;
    let daemon: Child;
    const lifetime = new AbortController();
    const { signal } = lifetime;
    /** One of each kind, each with something to do; bird's is set when its port is known. */
    const samples: Record<Kind, Resource> = {
      directory: resource("directory", "/srv/made", { mode: "0750" }),
      file: resource("file", "/srv/motd", {
        content: "hello\n",
        mode: "0640",
        validate: ["grep", "-q", "hello", "%s"],
      }),
      service: resource("service", "caddy", {}),
      sysctl: resource("sysctl", "net.ipv6.conf.all.forwarding", { value: "1" }),
      network: resource("network", "made", { subnets: ["10.77.1.0/24"] }),
      volume: resource("volume", "made", {}),
      container: resource("container", "made", {
        image: "lab/busybox:1",
        pin: { id: `sha256:${"0".repeat(64)}` },
      }),
      package: resource("package", "tiny", { version: "1.0", hold: true }),
      timer: resource("timer", "nightly", { every: "6h", command: "echo 100% $HOME" }),
      user: resource("user", "alice", {
        groups: ["bird"],
        authorized_keys: ['restrict,command="/bin/true" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 alice@laptop'],
      }),
      bird: resource("bird", "main", { config: "" }),
      check: resource("check", "web", { tcp: "[::1]:443" }),
      certificate: resource("certificate", "web", { file: "/etc/ssl/web.pem" }),
      log: resource("log", "routing", { units: ["bird"], containers: ["grafana"] }),
    };
    /** Kinds whose programs insist on root, below a prefix too. */
    const root_only: readonly Kind[] = process.getuid?.() === 0 ? [] : ["package", "user"];

    /** What is nowhere but in the ledger: applied is as declared. */
    const remembered: readonly Kind[] = ["check", "certificate", "log"];
    const planFor = async (sample: Resource, context = FRESH) => {
      const kind = kindOf(sample);
      return kind.plan(sample, await kind.observe(sample, ports, signal), context);
    };
    const contextOf = (sample: Resource | null): ApplyContext<Kind> => ({
      resource: sample,
      generation: 7,
      window_ms: 5_000,
    });
    const state = () => {
      const tree = execFileSync(
        "find",
        [".", "-path", "./run", "-prune", "-o", "-type", "f", "-exec", "sha256sum", "{}", "+"],
        { cwd: prefix.path },
      );
      const modes = execFileSync(
        "find",
        [".", "-path", "./run", "-prune", "-o", "-printf", "%p %m %U:%G\n"],
        { cwd: prefix.path },
      );
      return (
        [tree.toString(), modes.toString()].map((text) => text.split("\n").sort().join("\n")).join() +
        canonicalize([...systemctl.units])
      );
    };

    test.before(async () => {
      prefix = await hostPrefix();
      systemctl = fakeSystemctl();
      systemctl.units.set("caddy.service", {
        active: "inactive",
        file_state: "disabled",
        reload: true,
        fragment: "/lib/systemd/system/caddy.service",
      });
      for (const unit of ["nightly.timer", "nightly.service"])
        systemctl.units.set(unit, {
          active: "inactive",
          file_state: "disabled",
          reload: false,
          fragment: `/etc/systemd/system/${unit}`,
        });
      addToRepository(join(prefix.path, "srv/repository"), [{ name: "tiny", version: "1.0" }]);
      writeFileSync(
        join(prefix.path, "etc/apt/sources.list"),
        `deb [trusted=yes] file:${prefix.path}/srv/repository ./\n`,
      );
      const real = portsBelow(prefix.path, signal);
      execFileSync("mkdir", ["-p", join(prefix.path, "run/systemd/system")]);
      ports = {
        ...real,
        systemd: createSystemd(systemctl.run, { marker: join(prefix.path, "run/systemd/system") }),
      };
      const port = await freePort("127.77.0.1");
      writeFileSync(join(prefix.path, "etc/bird/bird.conf"), config(port, []));
      samples.bird = resource("bird", "main", { config: config(port, [], "reject;") });
      daemon = startBird(prefix.path);
      await until("BIRD answers", 5_000, () => ports.routing.running(signal));
    });
    test.after(async () => {
      lifetime.abort();
      await daemon.stop();
      await prefix.release();
    });

    test("every kind has a sample here", () => {
      assert.equal(Object.keys(samples).sort(), Object.keys(RESOURCE_KINDS).sort());
    });

    test("without Docker its kinds wait, and say so", async () => {
      for (const name of DOCKER_KINDS)
        assert.match((await planFor(samples[name])).unsupported ?? "", /Docker/);
    });

    for (const name of root_only) test.skip(name, "useradd and dpkg want root");
    const kinds = Object.keys(RESOURCE_KINDS) as Kind[];
    for (const name of kinds.filter((each) => ![...DOCKER_KINDS, ...root_only].includes(each))) {
      test(`${name}: observe changes nothing, plan is pure and its steps are of the protocol`, async () => {
        const sample = samples[name];
        const kind = kindOf(sample);
        const before = state();
        const observed = await kind.observe(sample, ports, signal);
        assert.is(state(), before);
        assert.equal(JSON.parse(JSON.stringify(observed)), observed);
        const plan = kind.plan(sample, observed, FRESH);
        assert.ok(plan.steps.length > 0);
        assert.is(
          canonicalize(kind.plan(sample, JSON.parse(JSON.stringify(observed)), FRESH).steps),
          canonicalize(plan.steps),
        );
        for (const step of plan.steps) {
          assert.equal(StepSchema.parse(step), step);
          assert.is(step.ref, `${name}/${sample.name}`);
        }
        assert.ok(kind.edit(sample, observed).what.length > 0);
        for (const path of kind.watch(sample)) assert.match(path, /^\//);
      });

      test(`${name}: applied, also twice, it is as declared and there is nothing left to do`, async () => {
        const sample = samples[name];
        const kind = kindOf(sample);
        const observed = await kind.observe(sample, ports, signal);
        const { steps } = kind.plan(sample, observed, FRESH);
        const managed = canonicalize(kind.managed(observed));
        const snapshot =
          name === "bird"
            ? await kind.guard?.snapshot(sample, observed, "/", ports, signal, contextOf(sample))
            : null;
        await applyAll(steps, sample);
        const once = state();
        await applyAll(steps, sample);
        assert.is(state(), once);
        if (snapshot !== null) await birdGuard.confirm(snapshot, ports, signal);
        const known = remembered.includes(name) ? { ...FRESH, applied: sample.spec } : FRESH;
        assert.equal(await planFor(sample, known), { steps: [], notes: [] });
        if (remembered.includes(name)) return;
        assert.is.not(canonicalize(kind.managed(await kind.observe(sample, ports, signal))), managed);
      });

      test(`${name}: a step that the kind does not have, or another content than planned, is refused`, async () => {
        const sample = samples[name];
        const step: Step = {
          ref: `${name}/${sample.name}`,
          action: "explode",
          args: { path: "/srv/x", key: "a.b" },
          why: "",
          reversible: false,
        };
        assert.match(
          await codeOf(kindOf(sample).apply(step, ports, signal, contextOf(sample))),
          /INVALID|ALTERED/,
        );
        for (const action of ["write", "configure"]) {
          const altered = {
            ...step,
            action,
            args: { path: "/srv/x", content_sha256: "0".repeat(64), key: "a.b" },
          };
          assert.match(
            await codeOf(kindOf(sample).apply(altered, ports, signal, contextOf(sample))),
            /ALTERED|INVALID/,
          );
        }
      });

      test(`${name}: removal takes away what Muster made, twice without harm, and leaves the rest and says so`, async () => {
        const sample = samples[name];
        const kind = kindOf(sample);
        const observed = await kind.observe(sample, ports, signal);
        const made = kind.removal(sample, observed, { ...FRESH, made: true });
        const kept = name === "bird" || name === "service" || name === "package";
        assert.is("left" in made, kept);
        if (["file", "directory", "timer", "user"].includes(name))
          assert.ok("left" in kind.removal(sample, observed, FRESH));
        if (!("steps" in made)) return;
        await applyAll(made.steps, null);
        await applyAll(made.steps, null);
        const after = kind.removal(sample, await kind.observe(sample, ports, signal), {
          ...FRESH,
          made: true,
        });
        assert.equal("steps" in after ? after.steps : null, []);
      });
    }

    test("what the file's own command refuses stays as it was", async () => {
      writeFileSync(join(prefix.path, "srv/checked"), "old");
      const sample = resource("file", "/srv/checked", {
        content: "bye\n",
        validate: ["grep", "hello", "%s"],
      });
      const { steps } = await planFor(sample);
      assert.match(
        await codeOf(applyAll(steps, sample)),
        /^COMMAND_FAILED .*srv\/checked is as before: grep hello %s ended with 1/,
      );
      assert.is(readFileSync(join(prefix.path, "srv/checked"), "utf8"), "old");
    });

    test("a sysctl that the kernel lacks waits; one that leads elsewhere is refused", async () => {
      assert.match(
        (await planFor(resource("sysctl", "net.nothing.here", { value: "1" }))).unsupported ?? "",
        /no net\.nothing\.here/,
      );
      assert.match(await codeOf(planFor(resource("sysctl", "net.//.//.etc", { value: "1" }))), /^INVALID/);
    });

    test("a directory that holds more than Muster's is left, and said so", async () => {
      const sample = resource("directory", "/srv", {});
      const kind = kindOf(sample);
      const observed = await kind.observe(sample, ports, signal);
      assert.match(
        JSON.stringify(kind.removal(sample, observed, { ...FRESH, made: true })),
        /not empty: it holds/,
      );
    });

    test("no kind touches the agent's own, not through a link either", async () => {
      execFileSync(
        "sh",
        ["-c", "mkdir -p etc/muster srv && ln -s ../etc/muster srv/door && ln -s ../etc srv/etc"],
        { cwd: prefix.path },
      );
      for (const path of [
        "/etc/muster/agent.json",
        "/srv/door/agent.json",
        "/srv/etc/muster/x",
        "/etc/systemd/system/muster-agent.service.d/x.conf",
        "/etc/ssh/muster-revoked.krl",
        "/srv/etc/ssh/sshd_config.d/51-muster-revoked.conf",
      ]) {
        assert.match(await codeOf(planFor(resource("file", path, { content: "" }))), /^PROTECTED_PATH/, path);
      }
      assert.match(await codeOf(planFor(resource("directory", "/var/lib", {}))), /^PROTECTED_PATH/);
      assert.match(
        await codeOf(planFor(resource("service", "muster-agent", { state: "stopped" }))),
        /^PROTECTED_PATH/,
      );
      for (const name of ["muster", "muster-agent"])
        assert.match(
          await codeOf(planFor(resource("package", name, { state: "absent" }))),
          /^PROTECTED_PATH/,
        );
      const alias = { active: "active", file_state: "alias", reload: false };
      systemctl.units.set("door.service", {
        ...alias,
        fragment: "/usr/lib/systemd/system/muster-agent.service",
      });
      const stop: Step = { ref: "service/door", action: "stop", args: {}, why: "", reversible: true };
      assert.match(
        await codeOf(planFor(resource("service", "door", { state: "stopped" }))),
        /^PROTECTED_PATH/,
      );
      assert.match(await codeOf(applyAll([stop], null)), /^PROTECTED_PATH/);
      const step: Step = {
        ref: "file//srv/door/x",
        action: "remove",
        args: { path: "/srv/door/x" },
        why: "",
        reversible: false,
      };
      assert.match(await codeOf(applyAll([step], samples.file)), /^PROTECTED_PATH/);
    });

    test("a service whose unit file came a moment ago is read by systemd first; one that cannot reload says so", async () => {
      systemctl.units.set("fresh.service", {
        active: "inactive",
        file_state: "disabled",
        reload: false,
        fragment: "/etc/systemd/system/fresh.service",
        stale: true,
      });
      systemctl.done.length = 0;
      const sample = resource("service", "fresh", {});
      const { steps } = await planFor(sample);
      await applyAll(steps, sample);
      assert.equal(systemctl.done, [
        "systemctl daemon-reload",
        "systemctl enable fresh.service",
        "systemctl start fresh.service",
      ]);
      const reload: Step = { ref: "service/fresh", action: "reload", args: {}, why: "", reversible: false };
      assert.match(await codeOf(applyAll([reload], null)), /^UNSUPPORTED .*restart: service\/fresh/);
    });

    test("nothing outside of the prefix was touched", async () => {
      const outside = createFiles("");
      for (const path of [
        "/srv/made",
        "/srv/motd",
        "/etc/sysctl.d/99-zz-muster-net.ipv6.conf.all.forwarding.conf",
      ])
        assert.is(await outside.facts(path), null);
    });

    async function applyAll(steps: readonly Step[], sample: Resource | null): Promise<void> {
      for (const step of steps) {
        const kind = step.ref.slice(0, step.ref.indexOf("/")) as Kind;
        await kindOf({ kind }).apply(step, ports, signal, contextOf(sample));
      }
    }
  },
  { limit_ms: 15_000 },
);

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FleetError) return `${error.code} ${error.detail}`;
    throw error;
  }
  return "no error";
}
