// limit: 120 s
/** Kinds network, volume and container against a real engine: made, changed, replaced with the old one kept, put back, removed. */
import { createServer } from "node:net";
import { join } from "node:path";
import { applyRound } from "@muster/agent/apply";
import { Ledger } from "@muster/agent/ledger";
import { kindOf } from "@muster/agent/resources/index";
import { look } from "@muster/agent/round";
import { contentHash } from "@muster/protocol/canonical";
import * as assert from "uvu/assert";
import { freePort } from "../../../kit/child.ts";
import { noEngine } from "../../../kit/engine.ts";
import { suite } from "../../../kit/suite.ts";
import { until } from "../resources/private-bird.ts";
import { errorOf, type Ground, ground } from "./ground.ts";

const READY = { ready: { http: ":8080/ready", within: "10s" }, stop_grace_period: "2s" };

suite(
  "containers",
  (test) => {
    const without = noEngine();
    if (without !== null) {
      test.skip("all of them", without);
      return;
    }
    const lifetime = new AbortController();
    let at: Ground;
    let [port, taken] = [0, 0];
    const networks = (host: number) => ({
      backend: {
        ipv4_address: `10.77.${at.engine.number}.${host}`,
        ipv6_address: `fd77:${at.engine.number}::${host}`,
      },
      dmz: {},
    });
    const base = () => [
      at.resource("network", "backend", {
        subnets: [`10.77.${at.engine.number}.0/24`, `fd77:${at.engine.number}::/64`],
      }),
      at.resource("network", "dmz", { subnets: [`10.78.${at.engine.number}.0/24`], public: true }),
      at.resource("volume", "data", {}),
    ];
    const web = (image: string, more: object = {}) =>
      at.container("web", image, {
        networks: networks(5),
        volumes: ["data:/data"],
        ports: [`127.0.0.1:${port}:8080`],
        files: { "/conf": { page: { content: "one\n" } } },
        on_change: { signal: "HUP" },
        ...READY,
        ...more,
      });
    const page = async (path: string) => {
      const answer = await fetch(`http://10.77.${at.engine.number}.5:8080/${path}`, {
        signal: AbortSignal.timeout(10_000),
      });
      return (await answer.text()).trim();
    };
    const idOf = (name: string) => at.engine.docker("inspect", "-f", "{{.Id}}", name);

    test.before(async () => {
      [port, taken] = [await freePort(), await freePort()];
      at = await ground(lifetime.signal);
    });
    test.after(async () => {
      lifetime.abort();
      await at?.release();
    });

    test("what a container says comes line by line, of the past and as it is written, until it ends", async () => {
      const said =
        'n=0; while [ $n -lt 5 ]; do n=$((n+1)); echo "line $n"; echo "bad $n" >&2; sleep 0.2; done';
      at.engine.docker(
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "talker",
        at.images.v1,
        "/bin/busybox",
        "sh",
        "-c",
        said,
      );
      const read = async (wish: { follow: boolean; last: number }, signal = lifetime.signal) => {
        const lines: string[] = [];
        const began = Date.now();
        await at.ports.docker.logs(
          "talker",
          { since: null, ...wish },
          async ({ at: at_ms, text }) => {
            assert.ok(Math.abs(at_ms - began) < 60_000, "the engine's time");
            lines.push(text);
          },
          signal,
        );
        return lines;
      };
      const both = Array.from({ length: 5 }, (_, n) => [`line ${n + 1}`, `bad ${n + 1}`]).flat();
      assert.equal((await read({ follow: true, last: 100 })).sort(), both.sort());
      assert.is((await read({ follow: false, last: 3 })).length, 3);
      assert.is(
        (
          await errorOf(
            at.ports.docker.logs(
              "nobody",
              { follow: false, since: null, last: 1 },
              async () => {},
              lifetime.signal,
            ),
          )
        )?.code,
        "DOCKER_REFUSED",
      );
      at.engine.docker("rm", "-f", "talker");
      at.engine.docker(
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "talker",
        at.images.v1,
        "/bin/busybox",
        "sleep",
        "60",
      );
      const stop = AbortSignal.timeout(300);
      assert.is((await errorOf(read({ follow: true, last: 1 }, stop))).code, "CANCELLED");
      at.engine.docker("rm", "-f", "talker");
    });

    test("networks, volume and container are made in one go, and there is nothing left to do", async () => {
      const all = [...base(), web(at.images.v1)];
      assert.equal(await at.apply(all), [
        "network/backend create",
        "network/dmz create",
        "volume/data create",
        "container/web create",
      ]);
      assert.equal((await at.plan(all)).steps, []);
      assert.is(await page("version"), "1");
      assert.is(await page("page"), "one");
      const [log] = JSON.parse(at.engine.docker("inspect", "web"));
      assert.equal(log.HostConfig.LogConfig, {
        Type: "json-file",
        Config: { "max-size": "10m", "max-file": "3" },
      });
      assert.is(log.NetworkSettings.Networks.backend.GlobalIPv6Address, `fd77:${at.engine.number}::5`);
      assert.is(log.HostConfig.RestartPolicy.Name, "unless-stopped");
    });

    test("a changed file is told by the signal: the same container, the new content", async () => {
      const id = idOf("web");
      const all = [...base(), web(at.images.v1, { files: { "/conf": { page: { content: "two\n" } } } })];
      assert.equal(await at.apply(all), ["container/web reload"]);
      await until("the new page", 3_000, async () => (await page("page")) === "two");
      assert.is(idOf("web"), id);
      assert.equal((await at.plan(all)).steps, []);
    });

    test("another image takes over, and the old container is gone only then", async () => {
      const all = [...base(), web(at.images.v2)];
      const { steps } = await at.plan(all);
      assert.equal(
        steps.map(({ action }) => action),
        ["replace"],
      );
      assert.match(steps[0]?.effect ?? "", /kept until the new one answers on :8080\/ready/);
      await at.apply(all);
      assert.is(await page("version"), "2");
      assert.equal((await at.plan(all)).steps, []);
      assert.is(at.engine.docker("ps", "-a", "--format", "{{.Names}}"), "web");
      assert.match(at.engine.docker("images", "muster-previous"), /web/);
    });

    test("one that does not come up gives way to the old one, with its own last words", async () => {
      const error = await errorOf(at.apply([...base(), web(at.images.broken)]));
      assert.is(error.code, "UNDONE");
      assert.match(
        error.detail,
        /ended with code 3.*no such option: --turbo.*back to lab\/web:1@/,
        error.detail,
      );
      await until("the old one serves", 10_000, async () => (await page("version").catch(() => "")) === "2");
      assert.is(at.engine.docker("ps", "-a", "--format", "{{.Names}}"), "web");
      assert.equal((await at.plan([...base(), web(at.images.v2)])).steps, []);
    });

    test("an agent that dies in the middle goes on where it was", async () => {
      for (const cut of ["before the new one has the name", "while the new one starts"]) {
        at.engine.docker("stop", "-t", "1", "web");
        at.engine.docker("rename", "web", "web.before");
        if (cut.startsWith("while")) {
          at.engine.docker("rename", "web.before", "web");
          await at.apply([...base(), web(at.images.v2)]);
          const [kept] = [idOf("web")];
          at.engine.docker("commit", kept, "lab/kept:1");
          const label = [
            "--label",
            "muster.resource=container/web",
            "--label",
            "muster.restart=unless-stopped",
          ];
          at.engine.docker("create", "--name", "web.before", ...label, "lab/kept:1");
        }
        const all = [...base(), web(at.images.v2)];
        assert.is((await at.plan(all)).steps.length, 1, cut);
        await at.apply(all);
        assert.is(await page("version"), "2", cut);
        assert.is(at.engine.docker("ps", "-a", "--format", "{{.Names}}"), "web", cut);
        assert.equal((await at.plan(all)).steps, [], cut);
      }
    });

    test("hand edits: stopped, off its network, other limits, a changed file, removed: all put back", async () => {
      const all = [...base(), web(at.images.v2)];
      const edits: [string[], string][] = [
        [["stop", "-t", "1", "web"], "start"],
        [["network", "disconnect", "dmz", "web"], "attach"],
        [["update", "--pids-limit", "77", "web"], "replace"],
        [["rm", "-f", "web"], "create"],
      ];
      for (const [command, action] of edits) {
        at.engine.docker(...command);
        assert.equal(await at.apply(all), [`container/web ${action}`], command.join(" "));
        assert.equal((await at.plan(all)).steps, [], command.join(" "));
        assert.is(await page("version"), "2");
      }
    });

    test("a changed network is made anew, and the plan says who is off it", async () => {
      const [backend, dmz, volume] = base();
      const wider = at.resource("network", "backend", {
        subnets: [`10.77.${at.engine.number}.0/25`, `fd77:${at.engine.number}::/64`],
      });
      assert.ok(backend && dmz && volume);
      const all = [wider, dmz, volume, web(at.images.v2)];
      const { steps } = await at.plan(all);
      assert.equal(
        steps.map(({ ref, action }) => `${ref} ${action}`),
        ["network/backend recreate"],
      );
      assert.is(steps[0]?.effect, "web is off it for a moment");
      await at.apply(all);
      assert.equal((await at.plan(all)).steps, []);
      assert.is(await page("version"), "2");
      await at.apply([backend, dmz, volume, web(at.images.v2)]);
    });

    test("ports need a public network; an image that is not here waits; somebody else's container is left", async () => {
      const closed = at.container("web2", at.images.v1, {
        networks: { backend: {} },
        ports: [`${taken}:8080`],
      });
      const planned = await at.plan([...base(), closed]);
      assert.match(
        planned.refused[0]?.error.detail ?? "",
        /publishes ports, and none of its networks \(backend\)/,
      );
      const absent = at.container("web2", `sha256:${"5".repeat(64)}`, {});
      assert.match(
        (await at.plan([absent])).waiting[0]?.why ?? "",
        /lab\/web:1@555555555555 is not on this host/,
      );
      at.engine.docker("create", "--name", "foreign", "lab/web:1");
      const foreign = at.container("foreign", at.images.v1, {});
      assert.match((await at.plan([foreign])).waiting[0]?.why ?? "", /that Muster did not make/);
      const unknown = at.container("web2", at.images.v1, { networks: { nowhere: {} } });
      const { waiting } = await at.plan([{ ...unknown, needs: [] }]);
      assert.match(waiting[0]?.why ?? "", /no network nowhere here/);
    });

    test("a port that is taken is told before the old one is touched, and works once it is free", async () => {
      const server = createServer().listen(taken, "0.0.0.0");
      const id = idOf("web");
      const all = [...base(), web(at.images.v2, { ports: [`${taken}:8080`] })];
      const error = await errorOf(at.apply(all));
      assert.is(error.code, "FAILED");
      assert.match(error.detail, new RegExp(`port ${taken} cannot be published: .*EADDRINUSE`));
      assert.is(idOf("web"), id);
      assert.is(at.engine.docker("inspect", "-f", "{{.State.Status}}", "web"), "running");
      server.close();
      await at.apply(all);
      assert.equal((await at.plan(all)).steps, []);
    });

    test("what is no longer declared makes room before what takes its address and port is made", async () => {
      await at.apply([...base(), web(at.images.v2)]);
      const successor = at.container("site", at.images.v2, {
        networks: networks(5),
        ports: [`127.0.0.1:${port}:8080`],
        ...READY,
      });
      assert.equal(await at.apply([...base(), successor], [web(at.images.v2)]), [
        "container/web remove",
        "container/site create",
      ]);
      assert.is(await page("version"), "2");
      // What cannot be fetched takes nobody's place.
      const pin = { digest: `sha256:${"4".repeat(64)}` };
      const away = at.resource("container", "away", { ...successor.spec, image: "127.0.0.1:1/x:1", pin });
      const state = join(at.prefix, "state");
      const ledger = await Ledger.open(join(state, "ledger.json"), join(state, "manifests"));
      const entry = {
        spec_hash: "",
        managed_hash: null,
        made: true,
        applied_at: 0,
        corrected: [],
        overwritten: null,
      };
      await ledger.update(
        () => ({ resources: { "container/site": { ...entry, resource: successor } } }) as never,
      );
      const content = { groups: [], labels: {}, resources: [...base(), away], switches: [] };
      const options = { host: "core1", state: ledger.state, holds: [], overwrite: [], also: [] };
      const hashes = { content_hash: contentHash(content), spec_hashes: new WeakMap() };
      const looked = await look(content, { ...options, ...hashes, seen: "all" }, at.ports, lifetime.signal);
      assert.equal(
        looked.plan.steps.map(({ ref, action }) => `${ref} ${action}`),
        ["container/away pull", "container/site remove", "container/away create"],
      );
      const door = { generation: 1, within_ms: null, overwrite: [], ledger, ports: at.ports };
      const { failures } = await applyRound(looked, { ...door, guarded: null as never }, lifetime.signal);
      assert.equal(
        failures.map(({ ref, what }) => [
          ref,
          /connection refused|stays until container\/away can take its place/.test(what),
        ]),
        [
          ["container/away", true],
          ["container/site", true],
        ],
      );
      assert.is(await page("version"), "2");
      await at.apply(base(), [successor]);
    });

    test("volumes without a name go with their container, those with one stay", async () => {
      at.engine.docker("create", "--name", "seed", at.images.v2);
      const image = at.engine.docker("commit", "--change", "VOLUME /anonymous", "seed");
      at.engine.docker("rm", "seed");
      const count = () => at.engine.docker("volume", "ls", "-q").split("\n").filter(Boolean).length;
      const before = count();
      const kept = at.container("keeper", image, {
        volumes: ["data:/data"],
        ready: { command: ["true"] },
        stop_grace_period: "1s",
      });
      await at.apply([...base(), kept]);
      assert.is(count(), before + 1);
      await at.apply([
        ...base(),
        at.container("keeper", image, {
          hostname: "other",
          volumes: ["data:/data"],
          ready: { command: ["true"] },
          stop_grace_period: "1s",
        }),
      ]);
      assert.is(count(), before + 1, "the one before took its own along");
      await at.apply(base(), [kept]);
      assert.is(count(), before);
      at.engine.docker("rmi", image);
    });

    test("removal: container and networks go, the volume is kept and said so, others' are left", async () => {
      const all = [...base(), web(at.images.v2)];
      await at.apply(all);
      const { left } = await at.plan([], all);
      assert.match(left.map(({ why }) => why).join(), /data is kept/);
      assert.equal(await at.apply([], all), [
        "container/web remove",
        "network/dmz remove",
        "network/backend remove",
      ]);
      assert.is(at.engine.docker("ps", "-a", "--format", "{{.Names}}"), "foreign");
      assert.match(at.engine.docker("volume", "ls"), /data/);
      assert.equal((await at.plan([], all)).steps, []);
      // A person's word removes it, once nobody has it.
      at.engine.docker("create", "--name", "guest", "-v", "data:/data", at.images.v2);
      const used = await kindOf({ kind: "volume" }).prune?.apply(["data"], at.ports, lifetime.signal);
      assert.match(used?.get("data")?.detail ?? "", /volume is in use/);
      at.engine.docker("rm", "guest");
      assert.is(
        (await kindOf({ kind: "volume" }).prune?.apply(["data", "never"], at.ports, lifetime.signal))?.size,
        0,
      );
      assert.not.match(at.engine.docker("volume", "ls"), /data/);
    });
  },
  { limit_ms: 30_000 },
);
