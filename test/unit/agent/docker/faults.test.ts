// limit: 240 s
/** Docker's faults: the engine dead, mute, back; an image that is not at the registry; a container that falls again and again. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineMemory } from "@muster/agent/ports/docker-memory";
import { createDocker } from "@muster/agent/ports/index";
import * as assert from "uvu/assert";
import { noEngine } from "../../../kit/engine.ts";
import { eventually } from "../../../kit/eventually.ts";
import { startRegistry, type TestRegistry } from "../../../kit/registry.ts";
import { suite } from "../../../kit/suite.ts";
import { until } from "../resources/private-bird.ts";
import { errorOf, type Ground, ground } from "./ground.ts";

suite("an engine that breaks off", (test) => {
  // The real one cannot be made to stop in the middle of an answer.
  test("its answer ends with the limit, not never", async () => {
    const directory = await mkdtemp(join(tmpdir(), "muster-engine-"));
    const server = createServer((request, response) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
      response.write('{"Id":');
      setTimeout(() => request.socket.destroy(), 50);
    });
    const socket = join(directory, "engine.sock");
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    try {
      const docker = createDocker(socket, 500);
      const error = await errorOf(docker.container("web", new AbortController().signal));
      assert.match(error.message, "no answer within 0.5 s");
    } finally {
      server.close();
      await rm(directory, { recursive: true, maxRetries: 10, retryDelay: 100 });
    }
  });
});

suite(
  "Docker's faults",
  (test) => {
    const without = noEngine();
    if (without !== null) {
      test.skip("all of them", without);
      return;
    }
    const lifetime = new AbortController();
    const { signal } = lifetime;
    let at: Ground;
    let registry: TestRegistry;
    test.before(async () => {
      [at, registry] = await Promise.all([ground(signal), startRegistry()]);
    });
    test.after(async () => {
      lifetime.abort();
      await registry?.stop();
      await at?.release();
    });

    test("images are fetched by their digest alone; the one before stays for going back, older ones go", async () => {
      await at.engine.dockerBeside("login", "-u", registry.user, "-p", registry.password, registry.address);
      const digests: { id: string; digest: string }[] = [];
      for (const version of ["1", "2", "3"]) {
        const image = `${registry.address}/public/web:x`;
        const id = at.engine.image(image, `r${version}`, "exec sleep 1000");
        const pushed = await at.engine.dockerBeside("push", image);
        at.engine.docker("rmi", image);
        digests.push({ id, digest: /digest: (sha256:[0-9a-f]{64})/.exec(pushed)?.[1] ?? "" });
      }
      const web = (digest: string) =>
        at.resource("container", "web", {
          image: `${registry.address}/public/web:1`,
          pin: { digest },
          ready: { command: ["true"] },
          stop_grace_period: "1s",
        });
      const here = () => at.engine.docker("images", "-aq", "--no-trunc");
      assert.not.match(here(), new RegExp(digests.map(({ id }) => id).join("|")));
      for (const [index, { digest }] of digests.entries()) {
        const [pull, take] = await at.apply([web(digest)]);
        assert.equal(
          [pull, take],
          ["container/web pull", `container/web ${index === 0 ? "create" : "replace"}`],
        );
        assert.equal((await at.plan([web(digest)])).steps, []);
      }
      const [first, second, third] = digests.map(({ id }) => id);
      assert.not.match(here(), new RegExp(`${first}`));
      assert.match(here(), new RegExp(`${second}`));
      assert.match(here(), new RegExp(`${third}`));
      await registry.stop();
      assert.equal(await at.apply([web(digests[1]?.digest ?? "")]), ["container/web replace"]);
      const absent = await errorOf(at.apply([web(`sha256:${"4".repeat(64)}`)]));
      assert.is(absent.code, "DOCKER_REFUSED");
      assert.match(
        absent.detail,
        /docker pull 127\.0\.0\.1:\d+\/public\/web@sha256:4+: .*connection refused/,
      );
      registry = await startRegistry();
      const unknown = at.resource("container", "web", {
        image: `${registry.address}/public/web:1`,
        pin: { digest: `sha256:${"4".repeat(64)}` },
      });
      assert.match((await errorOf(at.apply([unknown]))).detail, /manifest.* unknown|not found/);
      assert.is(at.engine.docker("inspect", "-f", "{{.State.Status}}", "web"), "running");
      await at.apply([], [web("sha256:".padEnd(71, "1"))]);
      assert.not.match(here(), new RegExp(digests.map(({ id }) => id).join("|")));
    });

    test("a registry that wants a log-in: said so, with what can be done; not asked again before its time, but for another image", async () => {
      const digest = await registry.push("private/web", "1");
      const wanted = (image: string, pin = digest) =>
        at.resource("container", "web", { image: `${registry.address}/${image}`, pin: { digest: pin } });
      const error = await errorOf(at.apply([wanted("private/web:1")]));
      assert.is(error.code, "DOCKER_REFUSED");
      assert.match(
        error.detail,
        /^the registry 127\.0\.0\.1:\d+ wants a log-in for .*private\/web, and hosts have none yet .*docker login .* Docker says: .*; next try \d{4}-\d\d-\d\d \d\d:\d\d UTC$/,
      );
      await registry.stop();
      const again = await errorOf(at.apply([wanted("private/web:1")]));
      assert.is(again.detail, error.detail, "the registry was asked");
      const other = await errorOf(at.apply([wanted("private/web:1", `sha256:${"5".repeat(64)}`)]));
      assert.match(other.detail, /connection refused; next try/);
      registry = await startRegistry();
    });

    test("one that falls again and again is red with its last words, is not made anew, and is well once it stays up", async () => {
      const falls = at.container("falls", at.images.broken, { stop_grace_period: "1s" });
      const error = await errorOf(at.apply([falls]));
      assert.is(error.code, "FAILED");
      assert.match(
        error.detail,
        /does not stay up: it ended with code 3; its log ends: .*no such option: --turbo/,
      );
      // Between two falls it runs, and nobody knows its code.
      await until("between two starts, its code", 30_000, async () => {
        const { steps, unwell } = await at.plan([falls]);
        assert.equal(steps, []);
        const { why = "" } = unwell[0] ?? {};
        assert.match(why, /does not stay up: .*--turbo/);
        return why.includes("it ended with code 3");
      });
      await at.apply([], [falls]);
    });

    test("the engine dead: said so in its words; back: its containers are there, and nothing is made anew", async () => {
      const web = at.container("web", at.images.v1, {
        ready: { command: ["true"] },
        stop_grace_period: "1s",
      });
      await at.apply([web]);
      let rung = 0;
      at.ports.docker.follow(new Set(["web"]), () => rung++, signal);
      const id = at.engine.docker("inspect", "-f", "{{.Id}}", "web");
      await until("events are followed", 5_000, async () => {
        at.engine.docker("kill", "-s", "HUP", "web");
        return rung > 0;
      });
      rung = 0;
      await at.engine.kill();
      assert.match(
        (await at.plan([web])).waiting[0]?.why ?? "",
        /^Docker does not answer: .*docker\.sock: .*ECONNREFUSED/,
      );
      await until("it is told that the engine is gone", 20_000, async () => rung > 0);
      const before = rung;
      await at.engine.start();
      await until("it is told that the engine is back", 30_000, async () => rung > before);
      // An engine that was killed does not start its containers again: they are started, not made anew.
      await until("nothing is left to do", 20_000, async () => {
        await at.apply([web]);
        const { steps, waiting, unwell } = await at.plan([web]);
        return steps.length + waiting.length + unwell.length === 0;
      });
      assert.is(at.engine.docker("inspect", "-f", "{{.Id}}", "web"), id);
    });

    test("the engine mute: a question ends after its limit, and works once it speaks again", async () => {
      const docker = createDocker(at.engine.socket, 2_000);
      await at.engine.freeze();
      try {
        const error = await errorOf(docker.container("web", signal));
        assert.is(error.code, "DOCKER_UNREACHABLE");
        assert.match(error.detail, /inspect web: no answer within 2 s/);
      } finally {
        at.engine.signal("SIGCONT");
      }
      // An engine that stood still has to catch up first.
      await eventually(
        async () => assert.is((await docker.container("web", signal))?.status, "running"),
        10_000,
      );
    });

    test("what it told is remembered while nothing happens; an event shows, an act of our own, and an engine that goes mute", async () => {
      const docker = createDocker(at.engine.socket, 2_000, new EngineMemory(100));
      const web = () => docker.container("web", signal);
      const same = async () => new Set([await web(), await web()]).size === 1;
      assert.not(await same(), "without the engine's events nothing is remembered");
      docker.follow(new Set(["web"]), () => undefined, signal);
      await until("it is remembered", 10_000, same);
      // The kernel cannot freeze a process that starts another one at that moment: runc then says so, and gives up.
      await until("web is paused", 20_000, async () => {
        try {
          at.engine.docker("pause", "web");
          return true;
        } catch (error) {
          if (/unable to freeze/.test(String(error))) return false;
          throw error;
        }
      });
      await until("a pause by hand shows", 5_000, async () => (await web())?.status === "paused");
      await until("it is remembered", 10_000, same);
      await docker.unpause("web", signal);
      assert.is((await web())?.status, "running");
      await until("it is remembered", 10_000, same);
      await at.engine.freeze();
      try {
        await until("a mute engine shows", 10_000, () =>
          web().then(
            () => false,
            (error) => /no answer within 2 s/.test(String(error)),
          ),
        );
      } finally {
        at.engine.signal("SIGCONT");
      }
    });
  },
  { limit_ms: 40_000 },
);
