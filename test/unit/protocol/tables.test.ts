/** The tables agree with each other: what a row says a viewer may call, the broker lets a viewer call, and nothing more. */
import * as assert from "uvu/assert";
import { controlRow } from "../../../packages/protocol/src/control/row.ts";
import {
  CONTROL,
  CONTROL_METHODS,
  KIND_NAMES,
  KINDS,
  PAGE,
  PAGE_METHODS,
  Reply,
  RPC,
  RPC_METHODS,
  VIEWER_CTL,
  VIEWER_RPC,
} from "../../../packages/protocol/src/index.ts";
import { rpcRow } from "../../../packages/protocol/src/rpc/row.ts";
import { suite } from "../../kit/suite.ts";

const openTo = (table: Record<string, { authority: string }>) =>
  Object.entries(table)
    .filter(([, { authority }]) => authority === "none" || authority === "viewer")
    .map(([name]) => name)
    .sort();

suite("tables", (test) => {
  test("a viewer's rights on the bus are those of the rows", () => {
    assert.equal([...VIEWER_RPC].sort(), openTo(RPC));
    assert.equal([...VIEWER_CTL].sort(), openTo(CONTROL));
  });

  test("a web page is answered what a viewer may read, and an operator's the audit besides; nothing there acts", () => {
    assert.equal(Object.keys(PAGE), [...PAGE_METHODS]);
    for (const method of PAGE_METHODS) {
      const { authority } = CONTROL[method];
      assert.is(PAGE[method].authority, authority === "viewer" ? "none" : authority, method);
      assert.is.not(PAGE[method].audited, "acts", method);
    }
    const more = PAGE_METHODS.filter((method) => CONTROL[method].authority !== "viewer");
    assert.equal(more, ["audit"]);
  });

  test("a row that is loaded alone is that of the table", async () => {
    assert.equal(RPC_METHODS, Object.keys(RPC));
    for (const method of RPC_METHODS) assert.is(await rpcRow(method), RPC[method], method);
    for (const method of CONTROL_METHODS) assert.is(await controlRow(method), CONTROL[method], method);
  });

  test("a reply holds any JSON, and holds some", () => {
    for (const ok of [null, 0, "", [], { deep: [{ er: null }] }]) assert.equal(Reply.parse({ ok }), { ok });
    for (const none of [{}, { ok: undefined }, { error: {} }, null])
      assert.not.ok(Reply.safeParse(none).success, JSON.stringify(none));
  });

  test("only ping is answered without a signature", () => {
    const unsigned = [...Object.entries(RPC), ...Object.entries(CONTROL)].filter(
      ([, row]) => row.authority === "none",
    );
    assert.equal(
      unsigned.map(([name]) => name),
      ["ping"],
    );
  });

  test("what can cut a host off is not put back by itself", () => {
    for (const kind of KIND_NAMES) if (KINDS[kind].guarded) assert.is(KINDS[kind].on_drift, "report", kind);
  });
});
