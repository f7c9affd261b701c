/** Which sessions go down with which, by the events that are kept. */
import type { HostEvent } from "@muster/view/model";
import { together } from "@muster/view/together";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const NOW = 1_800_000_000_000;

const down = (at_s: number, host: string, session: string, more: object = {}): HostEvent => ({
  host,
  event: {
    at: NOW + at_s * 1_000,
    kind: "session",
    severity: "error",
    what: `session ${session} (AS64501) went down, active`,
    session,
    ...more,
  },
});
const names = ({ host, session }: { host: string; session: string }) => `${host} ${session}`;

suite("sessions that go down together", (test) => {
  test("what falls within seconds is one fall, whoever told it first and however often", () => {
    const events = [
      down(8, "core1", "ixp1"),
      down(0, "ixp1", "upstream"),
      down(9, "ixp1", "upstream"),
      down(300, "probe1", "core1"),
    ];
    const { falls, pairs, counts } = together([...events, ...events]);
    assert.equal(
      falls.map(({ at, sessions }) => [at, sessions.map(names)]),
      [[NOW, ["ixp1 upstream", "core1 ixp1"]]],
    );
    assert.equal(pairs, [], "once is no sign");
    assert.equal(
      counts.map(({ times }) => times),
      [1, 1, 1],
    );
  });

  test("a fall is told by the state where there is one, by the words where an older agent tells none", () => {
    const { falls } = together([
      down(0, "ixp1", "upstream", { what: "in other words", state: "active" }),
      down(1, "core1", "ixp1"),
      down(2, "core2", "ixp1", { what: "session ixp1: went over its limit" }),
    ]);
    assert.equal(
      falls.map(({ sessions }) => sessions.map(names)),
      [["ixp1 upstream", "core1 ixp1"]],
    );
  });

  test("who falls together again and again is told with how often, the surest first", () => {
    const events = [0, 600, 1_200, 1_800].flatMap((at, index) => [
      down(at, "ixp1", "upstream"),
      ...(index < 3 ? [down(at + 5, "ixp1", "locix_rs1")] : []),
      ...(index > 1 ? [down(at + 6, "core1", "ixp1")] : []),
    ]);
    const { pairs, counts } = together(events);
    assert.equal(
      pairs.map(({ one, other, times, of }) => [names(one), names(other), times, of]),
      [
        ["ixp1 locix_rs1", "ixp1 upstream", 3, 3],
        ["core1 ixp1", "ixp1 upstream", 2, 2],
      ],
    );
    assert.equal(names(counts[0] ?? { host: "", session: "" }), "ixp1 upstream");
  });

  test("what came up, or is of no session, is no fall; and everything at once makes no pairs", () => {
    const many = [0, 600].flatMap((at) =>
      Array.from({ length: 41 }, (_, index) => down(at, `host${index}`, "upstream")),
    );
    const { falls, pairs } = together([
      ...many,
      down(2_000, "ixp1", "upstream", { severity: "info" }),
      down(2_001, "ixp1", "upstream", { session: undefined }),
      // What is told of a session that stands, or stood so before.
      down(3_000, "ixp1", "upstream", { what: "session upstream: imported 12 of 10 allowed" }),
      down(3_001, "core1", "upstream", { what: "session upstream is new: active" }),
      down(3_002, "core2", "upstream", { what: "session upstream is established", state: "established" }),
    ]);
    assert.equal([falls.length, falls[0]?.sessions.length, pairs.length], [2, 41, 0]);
  });
});
