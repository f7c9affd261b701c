/** A real agent and files that come by their hash: fetched before they are applied, refused when altered, and held for a time without network. */
import { randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Caller, callOne } from "@muster/ports/call";
import {
  BLOB_CHUNK_BYTES,
  type BlobRef,
  Convergence,
  chunksOf,
  hashOfContent,
  type Manifest,
  type ManifestContent,
  parseJson,
  patterns,
  type Resource,
  seal,
  sha256,
  subjects,
} from "@muster/protocol";
import * as assert from "uvu/assert";
import { joinString, makeAgent, realSshCertificates, type TestAgent } from "../../kit/agent.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { patienceOf } from "../../kit/patience.ts";
import type { Person } from "../../kit/people.ts";
import { randomHex } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";

suite(
  "contents by hash",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let alice: Person;
    let agent: TestAgent;
    let caller: Caller;
    let id = "";
    let generation = 0;
    let last: Convergence | null = null;
    let publish: (
      subject: string,
      body: Uint8Array,
      headers?: Readonly<Record<string, string>>,
    ) => Promise<unknown>;

    const until = async (what: string, ready: () => boolean | Promise<boolean>, limit_ms = 15_000) => {
      const patience = patienceOf(limit_ms);
      while (!(await ready())) {
        if (patience.over())
          throw new Error(
            `${what}: not after ${patience.text()}; ${JSON.stringify(last)}\n${agent.output().slice(-3_000)}`,
          );
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const blobOf = (bytes: Uint8Array): BlobRef => ({ sha256: sha256(bytes), size_bytes: bytes.length });
    const store = async (bytes: Uint8Array, ref = blobOf(bytes)) => {
      for (let n = 0; n < chunksOf(ref); n++)
        await publish(
          subjects.blob(id, ref.sha256, n),
          bytes.subarray(n * BLOB_CHUNK_BYTES, (n + 1) * BLOB_CHUNK_BYTES),
        );
      return ref;
    };
    const file = (name: string, blob: BlobRef): Resource => ({
      kind: "file",
      name,
      spec: { blob, owner: "root", group: "root", mode: "0640" },
      needs: [],
    });
    const content = (...resources: Resource[]): ManifestContent => ({
      groups: [],
      labels: {},
      resources,
      switches: [],
    });
    const send = async (body: ManifestContent, return_to: string | null = null) => {
      const manifest: Manifest = {
        v: 1,
        fleet: fleet.name,
        host: "core1",
        id,
        generation: ++generation,
        release: { id: randomHex(), return_to, not_after: Date.now() + 3_600_000 },
        content: body,
        content_hash: hashOfContent(body),
        intent: { message: "", plan_index: null, overwrite: [], force: false, within_ms: null },
        rolled_back: {},
      };
      const subject = subjects.desired(id);
      const envelope = seal(subject, Buffer.from(JSON.stringify(manifest)), alice, Date.now());
      await publish(subject, envelope.body, envelope.headers);
      return manifest;
    };
    const says = (state: Convergence["state"], error: string | null = null) =>
      until(`generation ${generation} ${state}`, () =>
        Boolean(last?.generation === generation && last.state === state && last.error === error),
      );
    const onDisk = (path: string) => readFile(join(agent.prefix, path)).catch(() => null);
    const kept = async () => (await readdir(join(agent.prefix, "var/lib/muster-agent/contents"))).sort();

    test.before(
      async () => {
        fleet = await startFleet();
        controller = await startController(fleet);
        await realSshCertificates(controller.issuer, fleet.server.directory);
        alice = await fleet.person("alice");
        agent = await makeAgent("core1");
        const operator = await fleet.connect("operator", "alice", life.signal);
        caller = { bus: operator.bus, signer: alice, now: Date.now };
        operator.bus.subscribe(patterns.telemetry("core1", "convergence"), { concurrency: 1 }, (message) => {
          last = parseJson(Convergence, message.body, "convergence");
        });
        const stand_in = await fleet.connect("controller", "stand-in", life.signal);
        publish = (subject, body, headers = {}) => stand_in.bus.publishStored(subject, body, { headers });
        await mkdir(join(agent.prefix, "srv"));
        await agent.write("/etc/muster/join", joinString(fleet, alice, { name: "core1" }));
        agent.start();
        await until("enrolled", () => last?.state === "watched", 25_000);
        id = JSON.parse((await agent.read("/run/muster-agent/status.json")) ?? "{}").id;
        await until("an answer", () =>
          callOne(caller, id, "ping", {}).then(
            () => true,
            () => false,
          ),
        );
      },
      { limit_ms: 40_000 },
    );
    test.after(async () => {
      await agent.remove();
      life.abort();
      await controller.stop();
      await fleet.stop();
    });

    const first = randomBytes(700 * 1024);
    const second = randomBytes(600 * 1024);

    test("a plan needs none of it; nothing is applied before all of it is here", async () => {
      const ref = blobOf(first);
      const body = content(file("/srv/one", ref));
      const plan = await callOne(caller, id, "plan", { content: body, overwrite: [] });
      assert.is(plan.steps.length, 1);
      assert.is(plan.steps[0]?.why, "it is not there");
      await send(body);
      await says("failed", "NOT_FOUND");
      assert.match(last?.detail ?? "", /generation 1 waits: .*the broker has no content/);
      assert.is(await onDisk("/srv/one"), null);
      await store(first);
      await says("converged");
      assert.equal(await onDisk("/srv/one"), first);
      assert.equal((await callOne(caller, id, "plan", { content: body, overwrite: [] })).steps, []);
    });

    test("altered chunks are refused, and what is in force stays and is put back", async () => {
      const bytes = randomBytes(BLOB_CHUNK_BYTES + 5_000);
      const ref = blobOf(bytes);
      const altered = Buffer.from(bytes);
      altered[BLOB_CHUNK_BYTES + 7] = (altered[BLOB_CHUNK_BYTES + 7] ?? 0) ^ 1;
      await store(altered, ref);
      await send(content(file("/srv/one", ref)));
      await says("failed", "ALTERED");
      assert.equal(await onDisk("/srv/one"), first);
      await writeFile(join(agent.prefix, "srv/one"), "by hand\n");
      await until("put back", async () => (await onDisk("/srv/one"))?.equals(first) ?? false);
      const left = [blobOf(first).sha256].join();
      await until("nothing of the altered one stays", async () => (await kept()).join() === left);
      await store(bytes, ref);
      await says("converged");
      assert.equal(await onDisk("/srv/one"), bytes);
    });

    test(
      "restart, drift and return work without a broker",
      async () => {
        const before = last?.content_hash ?? "";
        await store(second);
        const manifest = await send(content(file("/srv/one", blobOf(second))), before);
        await says("converged");
        await fleet.server.halt();
        await agent.stop("SIGKILL");
        await writeFile(join(agent.prefix, "srv/one"), "while it was dead\n");
        agent.start();
        await until("put back", async () => (await onDisk("/srv/one"))?.equals(second) ?? false);
        await fleet.server.start();
        const papers = await fleet.controllers.person("controller", "controller");
        await until("an answer", () =>
          callOne(caller, id, "ping", {}).then(
            () => true,
            () => false,
          ),
        );
        // Of what it returns to nothing is left at the broker.
        const of_old = content(file("/srv/one", blobOf(second)));
        assert.not.equal(hashOfContent(of_old), before);
        await callOne({ ...caller, signer: papers }, id, "return", {
          release: manifest.release.id,
          content_hash: before,
        });
        await until("returned", () => last?.state === "returned");
        assert.is((await onDisk("/srv/one"))?.length, BLOB_CHUNK_BYTES + 5_000);
        await until("contents of the manifests that are kept", async () => (await kept()).length === 3);
      },
      { limit_ms: 40_000 },
    );

    test("what the disk damaged is found as it is read, and fetched anew", async () => {
      const bytes = randomBytes(50_000);
      const ref = await store(bytes);
      await send(content(file("/srv/two", ref)));
      await says("converged");
      const place = join(agent.prefix, "var/lib/muster-agent/contents", ref.sha256);
      await chmod(place, 0o600);
      await writeFile(place, randomBytes(50_000));
      await writeFile(join(agent.prefix, "srv/two"), "by hand\n");
      await until("put back", async () => (await onDisk("/srv/two"))?.equals(bytes) ?? false);
    });
  },
  { limit_ms: 30_000 },
);
