/** The order of a host's resources: packages first, an account before what is its own, and nothing before what it needs. */
import { orderResources } from "@muster/ctl/inventory/order";
import { Resource } from "@muster/protocol/resources/index";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const at = { file: "resources/core.yml", line: 1, column: 1 };
const item = (kind: string, name: string, spec: object = {}, needs: readonly string[] = []) => ({
  resource: Resource.parse({ kind, name, spec, needs: [] }),
  at,
  needs: needs.map((ref) => ({ ref, at })),
});
const refs = (items: Parameters<typeof orderResources>[0]) =>
  orderResources(items).resources.map(({ kind, name }) => `${kind}/${name}`);

suite("order of resources", (test) => {
  test("packages come first, with what they need before them", () => {
    const items = [
      item("service", "caddy"),
      item("package", "caddy", {}, ["file//etc/apt/sources.list.d/x.list"]),
      item("file", "/etc/apt/sources.list.d/x.list", { content: "" }),
      item("package", "bird2"),
    ];
    const expected = [
      "file//etc/apt/sources.list.d/x.list",
      "package/caddy",
      "package/bird2",
      "service/caddy",
    ];
    assert.equal(refs(items), expected);
  });

  test("an account comes before its files, directories and timers, which need it", () => {
    const items = [
      item("timer", "report", { every: "1h", command: "true", user: "noc" }),
      item("file", "/srv/noc/list", { content: "", group: "noc" }),
      item("directory", "/srv/noc", { owner: "noc" }),
      item("user", "noc"),
    ];
    const { resources } = orderResources(items);
    assert.is(resources[0]?.kind, "user");
    for (const { kind, needs } of resources.slice(1)) assert.ok(needs.includes("user/noc"), kind);
  });
});
