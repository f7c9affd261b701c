/** File contents through a real controller and a real stream: handed over in chunks, proved, given to hosts, and room made when the stream is full. */
import { randomBytes } from "node:crypto";
import type { Bus } from "@muster/ports/bus";
import { type Caller, callController } from "@muster/ports/call";
import {
  BLOB_CHUNK_BYTES,
  type BlobRef,
  chunksOf,
  FLEET_BLOBS,
  FleetError,
  hashOfContent,
  type ManifestContent,
  seal,
  sha256,
  storeEnvelope,
  subjects,
  verifierOf,
} from "@muster/protocol";
import * as assert from "uvu/assert";
import { BlobStore } from "../../../../packages/controller/src/blobs/store.ts";
import { sweepBlobs } from "../../../../packages/controller/src/blobs/sweep.ts";
import { startController, type TestController } from "../../../kit/controller.ts";
import { startFleet, type TestFleet } from "../../../kit/fleet.ts";
import type { Person } from "../../../kit/people.ts";
import { makeHost, randomHex, type TestHost } from "../../../kit/rollout.ts";
import { suite } from "../../../kit/suite.ts";

const HOUR_MS = 3_600_000;

suite(
  "blobs",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let own: Bus;
    let alice: Person;
    let caller: Caller;
    let host: TestHost;

    const blobOf = (bytes: Uint8Array): BlobRef => ({ sha256: sha256(bytes), size_bytes: bytes.length });
    const hand = async (bytes: Uint8Array, ref = blobOf(bytes), chunks = chunksOf(ref)) => {
      for (let chunk = 0; chunk < chunks; chunk++) {
        const data = Buffer.from(bytes.subarray(chunk * BLOB_CHUNK_BYTES, (chunk + 1) * BLOB_CHUNK_BYTES));
        await callController(caller, "blob", { blob: ref, chunk, data: data.toString("base64") });
      }
      return ref;
    };
    const missing = async (ref: BlobRef) =>
      (await callController(caller, "blobs", { blobs: [ref] })).missing.length === 1;
    const contentWith = (...blobs: BlobRef[]): ManifestContent => ({
      groups: [],
      labels: {},
      resources: blobs.map((blob, at) => ({
        kind: "file",
        name: `/srv/${at}`,
        spec: { blob, owner: "root", group: "root", mode: "0644" },
        needs: [],
      })),
      switches: [],
    });
    const signed = (content: ManifestContent) => {
      const rollout = randomHex();
      const manifest = {
        v: 1,
        fleet: fleet.name,
        host: "core1",
        id: host.id,
        generation: 1,
        release: { id: rollout, return_to: null, not_after: Date.now() + HOUR_MS },
        content,
        content_hash: hashOfContent(content),
        intent: { message: "", plan_index: null, overwrite: [], force: false, within_ms: null },
        rolled_back: {},
      };
      const envelope = seal(
        subjects.desired(host.id),
        Buffer.from(JSON.stringify(manifest)),
        alice,
        Date.now(),
      );
      return { rollout, envelope };
    };
    const stage = (...blobs: BlobRef[]) => {
      const { rollout, envelope } = signed(contentWith(...blobs));
      return callController(caller, "stage", { rollout, id: host.id, manifest: storeEnvelope(envelope) });
    };
    const refused = async (work: () => Promise<unknown>): Promise<string> => {
      try {
        await work();
      } catch (error) {
        if (error instanceof FleetError) return error.message;
        throw error;
      }
      return "taken";
    };
    /** What the host itself may fetch, put together. */
    const fetched = async (ref: BlobRef): Promise<Buffer | null> => {
      const parts: Uint8Array[] = [];
      for (let n = 0; n < chunksOf(ref); n++) {
        const part = await host.bus.directGet("BLOB", subjects.blob(host.id, ref.sha256, n));
        if (part === null) return null;
        parts.push(part.body);
      }
      return Buffer.concat(parts);
    };

    test.before(async () => {
      fleet = await startFleet();
      controller = await startController(fleet);
      alice = await fleet.person("alice");
      own = (await fleet.connect("controller", "own", life.signal)).bus;
      const operator = await fleet.connect("operator", "alice", life.signal);
      caller = { bus: operator.bus, signer: alice, now: Date.now };
      host = await makeHost(fleet, "core1", own, verifierOf(fleet.bundle), life.signal);
    });
    test.after(async () => {
      life.abort();
      await controller.stop();
      await fleet.stop();
    });

    test("what is handed over is proved, and stored for the host whose manifest names it", async () => {
      const bytes = randomBytes(BLOB_CHUNK_BYTES + 200_000);
      const ref = blobOf(bytes);
      assert.ok(await missing(ref));
      assert.match(await refused(() => stage(ref)), /there is no such thing: content .* was not handed over/);
      await hand(bytes, ref, 1);
      assert.ok(await missing(ref), "one chunk of two is not the whole");
      await hand(bytes);
      assert.not.ok(await missing(ref));
      assert.is(await fetched(ref), null, "the fleet's copy is nobody's to fetch");
      await Promise.all([stage(ref), stage(ref), stage(ref), stage(ref)]);
      assert.equal(await fetched(ref), bytes);
    });

    test("bytes that do not fit their hash never count, and are mended by handing them over again", async () => {
      const bytes = randomBytes(100_000);
      const ref = blobOf(bytes);
      await hand(randomBytes(100_000), ref);
      assert.ok(await missing(ref));
      assert.match(await refused(() => stage(ref)), /was not handed over/);
      assert.is(await fetched(ref), null);
      await hand(bytes, ref);
      await stage(ref);
      assert.equal(await fetched(ref), bytes);
      const short = await refused(() =>
        callController(caller, "blob", { blob: blobOf(randomBytes(9)), chunk: 0, data: "AAAA" }),
      );
      assert.match(short, /chunk 0 of .* has 3 bytes/);
      // What counts is not written over.
      await hand(randomBytes(100_000), ref);
      assert.not.ok(await missing(ref));
    });

    test("what the broker lost, or somebody wrote over, is mended by the next staging", async () => {
      const bytes = randomBytes(BLOB_CHUNK_BYTES + 9);
      const ref = await hand(bytes);
      await stage(ref);
      await own.publishStored(subjects.blob(host.id, ref.sha256, 1), Buffer.from("123456789"));
      assert.not.equal(await fetched(ref), bytes);
      await stage(ref);
      assert.equal(await fetched(ref), bytes);
      for (const owner of [host.id, FLEET_BLOBS])
        await own.publishStored(subjects.blob(owner, ref.sha256, 1), Buffer.from("123456789"));
      assert.match(await refused(() => stage(ref)), /was not handed over/);
      assert.ok(await missing(ref));
      await hand(bytes);
      await stage(ref);
      assert.equal(await fetched(ref), bytes);
    });

    test("a full stream refuses what is new, loses nothing, and a sweep takes only what nobody needs", async () => {
      let now_ms = Date.now();
      const swept: number[] = [];
      const store = new BlobStore({
        bus: own,
        now: () => now_ms,
        async sweep() {
          swept.push(await sweepBlobs({ bus: own, now: () => now_ms, enrolled: (id) => id === host.id }));
          return swept.at(-1) ?? 0;
        },
      });
      const give = async (bytes: Uint8Array) => {
        const ref = blobOf(bytes);
        for (let n = 0; n < chunksOf(ref); n++)
          await store.take(ref, n, bytes.subarray(n * BLOB_CHUNK_BYTES, (n + 1) * BLOB_CHUNK_BYTES));
        await store.give(host.id, [ref]);
        return ref;
      };
      // The test's stream holds 64 MiB: each of these stands there twice.
      const big = () => randomBytes(10 * 1024 * 1024);
      const needed = big();
      const needed_ref = await give(needed);
      const { envelope } = signed(contentWith(needed_ref));
      await own.publishStored(subjects.desired(host.id), envelope.body, { headers: envelope.headers });
      const old = [await give(big()), await give(big())];
      assert.match(await refused(() => give(big())), /is full with what hosts have in force/);
      assert.equal(swept, [0], "all of it is younger than a day");
      now_ms += 25 * HOUR_MS;
      const newest = big();
      const newest_ref = await give(newest);
      assert.ok((swept.at(-1) ?? 0) >= 2 * 10 * 1024 * 1024, String(swept));
      assert.equal(await fetched(needed_ref), needed, "what is in force is there");
      assert.equal(await fetched(newest_ref), newest);
      const gone = await Promise.all(old.map((ref) => store.missing([ref])));
      assert.ok(gone.every((each) => each.length === 1));
      assert.is((await own.kv("blobs").entries(`${FLEET_BLOBS}.${needed_ref.sha256}`)).length, 1);
    });
  },
  { limit_ms: 30_000 },
);
