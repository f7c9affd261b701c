/** The certificates of the whole fleet: a date holds, whoever is silent; and what is not known is not well. */
import type { Judged } from "@muster/view/judge";
import * as assert from "uvu/assert";
import { certificateRows } from "../../../packages/dashboard/src/collected/certificate-rows.ts";
import { Samples } from "../../../packages/dashboard/src/samples.ts";
import { suite } from "../../kit/suite.ts";

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;

const host = (name: string, state: string, not_after: number, about: string[] = []) =>
  ({
    ...{ state, troubles: about.map((each) => ({ about: each })) },
    known: { name, certificates: [{ name: "service", not_after }] },
  }) as unknown as Judged;

suite("certificates of the fleet", (test) => {
  test("one that ended is red and on top also of a silent host, whose others are grey", () => {
    const hosts = [
      host("core1", "converged", NOW + 5 * HOUR),
      host("core2", "converged", NOW + HOUR, ["certificate/service"]),
      host("ixp1", "silent", NOW - HOUR, ["silent"]),
      host("ixp2", "silent", NOW + 2 * HOUR, ["silent"]),
      host("ixp3", "silent", NOW, ["silent"]),
    ];
    const samples = new Samples(
      async () => new Map(),
      () => undefined,
    );
    const rows = certificateRows({ hosts, samples, now_ms: NOW });
    assert.equal(
      rows.map(({ host: of, tint, word }) => [of, tint, word]),
      [
        ["ixp1", "red", "ended 1 h ago"],
        ["ixp3", "red", "ended 0 ms ago"],
        ["core2", "red", "1 h"],
        ["ixp2", "grey", "2 h, as it last said"],
        ["core1", "green", "5 h"],
      ],
    );
  });
});
