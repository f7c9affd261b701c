/** What prune tells and removes: only what is not declared, what Muster brought, what is named; and never while a change comes in. */
import type { Ports } from "@muster/agent/ports/index";
import type { RpcDoor } from "@muster/agent/rpc/door";
import { prune } from "@muster/agent/rpc/prune";
import type { Call } from "@muster/ports/dispatch";
import { FleetError } from "@muster/protocol/errors";
import { Resource } from "@muster/protocol/resources/index";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const volume = (name: string) => Resource.parse({ kind: "volume", name, spec: {}, needs: [] });
const pack = (name: string) => Resource.parse({ kind: "package", name, spec: {}, needs: [] });
const IN_FORCE = { generation: 7, content_hash: "a", admitted: true };

function ground(more: { accepted?: object; held?: string } = {}) {
  const there = new Map([
    ["data", { driver: "local", labels: { "muster.resource": "volume/data" } }],
    ["busy", { driver: "local", labels: { "muster.resource": "volume/busy" } }],
    ["theirs", { driver: "local", labels: {} }],
    ["kept", { driver: "local", labels: { "muster.resource": "volume/kept" } }],
  ]);
  const installed = new Map([
    ["htop", "3.2"],
    ["ssh", "9.2"],
  ]);
  const removed: string[] = [];
  const told: string[] = [];
  const entry = (resource: Resource, made = true) => [
    `${resource.kind}/${resource.name}`,
    { resource, made },
  ];
  const door = {
    events: { tell: ({ what, by }: { what: string; by: string }) => told.push(`${by}: ${what}`) },
    reconciler: {
      bell: { ring: () => told.push("bell") },
      holds: async () =>
        more.held === undefined
          ? []
          : [{ ref: more.held, by: "root", why: "mine", until: null, local: true }],
    },
    ledger: {
      state: {
        in_force: IN_FORCE,
        accepted: more.accepted ?? IN_FORCE,
        returned_to: null,
        resources: Object.fromEntries([
          ...["data", "busy", "theirs", "kept", "gone"].map((name) => entry(volume(name))),
          entry(pack("htop")),
          entry(pack("ssh"), false),
          entry(Resource.parse({ kind: "file", name: "/etc/motd", spec: { content: "" }, needs: [] })),
        ]),
      },
      manifest: async () => ({ content: { resources: [volume("kept")] } }),
    },
    ports: {
      confined: null,
      docker: {
        present: async () => true,
        volume: async (name: string) => there.get(name) ?? null,
        removeVolume: async (name: string) => {
          if (name === "busy")
            throw new FleetError("DOCKER_REFUSED", "docker volume rm busy: volume is in use");
          there.delete(name);
          removed.push(`volume/${name}`);
        },
      },
      files: { facts: async () => null },
      packages: {
        available: async () => true,
        facts: async (names: string[]) =>
          new Map(
            names.map((name) => [name, { version: installed.get(name) ?? null, held: false, broken: null }]),
          ),
        change: async ({ remove }: { remove: string[] }) => {
          removed.push(...remove.map((name) => `package/${name}`));
          return new Map();
        },
      },
    } as unknown as Ports,
  } as unknown as RpcDoor;
  const call = { principal: { name: "alice" }, signal: new AbortController().signal } as unknown as Call;
  return { ask: (...refs: string[]) => prune(door)({ refs }, call), removed, told };
}

suite("prune", (test) => {
  test("without names it tells, and removes nothing", async () => {
    const { ask, removed, told } = ground();
    const { kept } = await ask();
    assert.equal(
      kept.map(({ ref, removable }) => [ref, removable]),
      [
        ["volume/data", true],
        ["volume/busy", true],
        ["volume/theirs", false],
        ["package/htop", true],
        ["package/ssh", false],
      ],
    );
    assert.match(kept[2]?.what ?? "", /not made by Muster/);
    assert.match(kept[4]?.what ?? "", /installed before Muster came/);
    assert.equal([removed, told], [[], []]);
  });

  test("what is named goes, each with its own failure; what is declared, foreign or unknown does not", async () => {
    const { ask, removed, told } = ground();
    const refs = [
      "volume/data",
      "volume/busy",
      "package/htop",
      "volume/kept",
      "volume/theirs",
      "package/ssh",
      "file//etc/motd",
    ];
    const done = await ask(...refs);
    assert.equal(removed, ["volume/data", "package/htop"]);
    assert.equal(done.removed, ["volume/data", "package/htop"]);
    assert.equal(done.failed.map(({ ref, error }) => [ref, error.code]).sort(), [
      ["file//etc/motd", "NOT_FOUND"],
      ["package/ssh", "NOT_FOUND"],
      ["volume/busy", "DOCKER_REFUSED"],
      ["volume/kept", "NOT_FOUND"],
      ["volume/theirs", "NOT_FOUND"],
    ]);
    assert.equal(told, [
      "alice: volume/data was removed for good",
      "alice: package/htop was removed for good",
      "bell",
    ]);
  });

  test("not while a change comes in, and not what is held", async () => {
    const coming = ground({ accepted: { generation: 8, content_hash: "b", admitted: false } });
    await coming.ask("volume/data").then(
      () => assert.unreachable(),
      (error: unknown) => assert.is(error instanceof FleetError && error.code, "CONFLICT"),
    );
    const held = ground({ held: "volume/data" });
    const { failed } = await held.ask("volume/data");
    assert.match(failed[0]?.error.detail ?? "", /mine/);
    assert.equal([coming.removed, held.removed], [[], []]);
  });
});
