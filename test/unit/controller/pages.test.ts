/** Hosts page by page: a page fits into one message whatever hosts tell, and none of them hides another. */
import type { HostView } from "@muster/protocol/record";
import * as assert from "uvu/assert";
import { hostsPage } from "../../../packages/controller/src/telemetry/pages.ts";
import { suite } from "../../kit/suite.ts";

const NOW = 1_800_000_000_000;
const MESSAGE_BYTES = 1024 * 1024;

/** What a host tells of each kind, as so much text. */
type Told = { readonly [K in "convergence" | "bgp" | "checks" | "health"]?: string };

function pagesOf(told: Readonly<Record<string, Told>>, faults: HostView["faults"] = []) {
  const names = Object.keys(told);
  const records = { names: (after: string | null) => names.filter((name) => after === null || name > after) };
  const last = { view: (name: string) => ({ record: { name }, heard_at: NOW, faults, ...told[name] }) };
  const pages: HostView[][] = [];
  for (let after: string | null = null; ; ) {
    const reply = hostsPage({ after, limit: 500 }, records as never, last as never, NOW);
    assert.ok(Buffer.byteLength(JSON.stringify(reply)) < MESSAGE_BYTES, "it does not fit into one message");
    pages.push(reply.hosts);
    assert.ok(pages.length < 10, "it does not end");
    if (reply.next === null) return pages;
    after = reply.next;
  }
}

const namesIn = (pages: readonly (readonly HostView[])[]) =>
  pages.map((page) => page.map(({ record }) => record.name));

suite("hosts page by page", (test) => {
  test("what does not fit behind the others begins the next page, and is counted in bytes", () => {
    const large = { bgp: "x".repeat(490_000), convergence: "x".repeat(400_000) };
    assert.equal(namesIn(pagesOf({ core1: { bgp: "x".repeat(300_000) }, core2: large, core3: {} })), [
      ["core1"],
      ["core2"],
      ["core3"],
    ]);
    // Of letters that take two bytes 245,000 fill more than a page.
    const letters = { bgp: "ё".repeat(245_000) };
    assert.equal(namesIn(pagesOf({ core1: letters, core2: letters, core3: letters })), [
      ["core1"],
      ["core2"],
      ["core3"],
    ]);
  });

  test("a host that alone tells too much is there with less of it, which is said", () => {
    const all = {
      ...{ convergence: "c".repeat(490_000), bgp: "b".repeat(490_000) },
      ...{ checks: "k".repeat(400_000), health: "h".repeat(1_000) },
    };
    const fault = { colour: "red", about: null, ref: null, since: null, what: "f".repeat(500) } as const;
    const faults = ["containers", "services"].map((kind) => ({
      ...{ kind, heard_at: NOW },
      faults: Array.from({ length: kind === "services" ? 1 : 500 }, () => fault),
    }));
    const pages = pagesOf({ core1: {}, core2: all, core3: {} }, faults);
    assert.equal(namesIn(pages).flat(), ["core1", "core2", "core3"]);
    const seen = pages.flat().find(({ record }) => record.name === "core2");
    assert.equal(
      [seen?.convergence, seen?.bgp, seen?.checks, seen?.health],
      [all.convergence, null, all.checks, all.health],
    );
    assert.equal(
      seen?.faults?.map(({ kind, faults: [first] }) => [kind, /^it tells more than/.test(first?.what ?? "")]),
      [
        ["containers", true],
        ["services", false],
        ["bgp", true],
      ],
    );
  });
});
