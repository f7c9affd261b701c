/** What FRR says beside its sessions, as recorded: BFD, RPKI caches, neighbours in OSPF and Babel, memory. */
import { readFileSync } from "node:fs";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { frrBfd, frrRpki, unwatched } from "../../../../packages/agent/src/frr/beside.ts";
import { babelNeighbors, ospf6Neighbors, ospfNeighbors } from "../../../../packages/agent/src/frr/inner.ts";
import { frrMemory } from "../../../../packages/agent/src/frr/memory.ts";
import { frrSessions } from "../../../../packages/agent/src/frr/neighbors.ts";
import { suite } from "../../../kit/suite.ts";

const recorded = (name: string) =>
  readFileSync(new URL(`../../../transcripts/frr/8.4.4/${name}`, import.meta.url), "utf8");

suite("frr beside its sessions", (test) => {
  test("8.4.4, recorded: BFD up, down and shut down; a neighbour of which bfdd says nothing", () => {
    const now_ms = Date.parse("2026-11-26T05:22:45.200Z");
    const told = frrBfd(recorded("bfd-peers.json"), now_ms);
    assert.equal(
      told.map(({ address, state, since, interval_s, timeout_s }) => [
        ...[address, state, since.at, interval_s, timeout_s],
      ]),
      [
        ["10.99.0.2", "up", "2026-11-26T05:22:32.000Z", 0.3, 0.9],
        ["10.99.0.8", "admindown", null, 1, 0],
        ["10.99.0.9", "down", "2026-11-26T05:22:31.000Z", 1, 0],
      ],
    );
    const { sessions } = frrSessions(recorded("neighbors.json"), now_ms);
    assert.equal(
      unwatched(sessions.slice(0, 1), told).map(({ address, state }) => [address, state]),
      [["127.78.0.2", "unknown"]],
    );
    const heard = unwatched([{ ...sessions[0], neighbor_address: "10.99.0.2" } as never], told);
    assert.equal(heard, []);
  });

  test("8.4.4, recorded: an RPKI cache that is connected, is not any more, or never was", () => {
    const cache = { mode: "tcp", host: "127.0.0.1", port: "21999", preference: 1 };
    const servers = JSON.stringify({ servers: [cache] });
    const state = (word: string) =>
      JSON.stringify({ connectedGroup: 1, connections: [{ ...cache, state: word }] });
    const heard = new Map<string, number>();
    const at = (connections: string, now_ms: number) =>
      frrRpki(servers, connections, heard, now_ms).map((each) => [each.state, each.last_update_s]);
    assert.equal(at("{}", 1_000), [["disconnected", null]]);
    assert.equal(at(state("connected"), 2_000), [["established", 0]]);
    assert.equal(at(state("disconnected"), 9_000), [["disconnected", 7]]);
    assert.equal(frrRpki("{}", "{}", heard, 0), []);
  });

  test("8.4.4, recorded: neighbours in OSPF of both versions and in Babel, against BIRD; memory", () => {
    const rest = { metric: null, routes: null };
    assert.equal(ospfNeighbors(recorded("ospf-neighbors.json")), [
      {
        ...{ protocol: "ospfd", kind: "ospf", id: "10.0.0.2", address: "10.99.0.2", interface: "va" },
        ...{ state: "Full/-", ...rest, expires_s: 3.018 },
      },
    ]);
    assert.equal(ospf6Neighbors(recorded("ospf6-neighbors.json"), recorded("ospf6-neighbors-detail.json")), [
      {
        ...{ protocol: "ospf6d", kind: "ospf", id: "10.0.0.2", interface: "va" },
        ...{ address: "fe80::d43d:4dff:fea2:bf0", state: "Full/PointToPoint", ...rest, expires_s: 3 },
      },
    ]);
    const babel = recorded("babel-neighbors.txt");
    const link = {
      protocol: "babeld",
      kind: "babel",
      id: null,
      state: null,
      routes: null,
      expires_s: null,
    };
    const address = "fe80::d43d:4dff:fea2:bf0";
    assert.equal(babelNeighbors(babel), [{ ...link, address, interface: "va", metric: 96 }]);
    assert.is(babelNeighbors(babel.replace("rxcost 96", "rxcost 65535"))[0]?.metric, 65_535);
    // Of a daemon that runs and is not configured.
    assert.equal([ospfNeighbors("{\n}\n"), ospf6Neighbors("", ""), babelNeighbors("\n")], [[], [], []]);
    assert.is(frrMemory(recorded("memory.txt")), (6_688 + 3_552) * 1_024);
    assert.is(frrMemory("--- qmem libfrr ---"), null);
    for (const read of [
      () => ospfNeighbors('{"default":{"neighbors":{"10.0.0.2":[{}]}}}'),
      () => ospf6Neighbors('{"neighbors":[{}]}', "{}"),
      () => babelNeighbors("% unlucky"),
    ])
      assert.throws(read, (error: unknown) => error instanceof FleetError && error.code === "FRR_REPLY");
  });
});
