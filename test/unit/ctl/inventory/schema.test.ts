/**
 * The JSON Schema of the folder's files, held by a real validator: it takes the example and every form that `ctl` takes, and refuses the broken folder
 * where it is broken.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import * as assert from "uvu/assert";
import { parse } from "yaml";
import { musterSchema, resourcesSchema } from "../../../../packages/ctl/src/inventory/schema.ts";
import { suite } from "../../../kit/suite.ts";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const ajv = new Ajv2020({ allErrors: true, strict: false, validateFormats: false });
const resources = ajv.compile(resourcesSchema());
const muster = ajv.compile(musterSchema());

const yaml = (path: string): unknown => parse(readFileSync(root + path, "utf8"), { uniqueKeys: false });
/** Where it is wrong; templates and null are choices everywhere, and their refusal says nothing. */
const faults = (check: typeof resources, value: unknown): string[] => {
  check(value);
  const where = (check.errors ?? []).map(
    ({ instancePath, params }) =>
      instancePath +
      (params.additionalProperty === undefined ? "" : `/${params.additionalProperty}`) +
      (params.propertyName === undefined ? "" : `/${params.propertyName}`),
  );
  return [...new Set(where)].filter((path) => !where.some((other) => other.startsWith(`${path}/`)));
};

suite("the folder's JSON Schema", (test) => {
  test("takes the example as it is", () => {
    assert.equal(faults(muster, yaml("inventory/muster.yml")), []);
    for (const file of readdirSync(`${root}inventory/resources`))
      assert.equal(faults(resources, yaml(`inventory/resources/${file}`)), [], file);
  });

  test("the example names its schemas", () => {
    for (const file of [
      "muster.yml",
      ...readdirSync(`${root}inventory/resources`).map((name) => `resources/${name}`),
    ]) {
      const [first = ""] = readFileSync(`${root}inventory/${file}`, "utf8").split("\n");
      const path = /^# yaml-language-server: \$schema=(\S+)$/.exec(first)?.[1] ?? "no schema named";
      assert.ok(
        new URL(path, `file://${root}inventory/${file}`).pathname.startsWith(`${root}inventory/.schema/`),
        file,
      );
      assert.type(
        JSON.parse(readFileSync(new URL(path, `file://${root}inventory/${file}`), "utf8")),
        "object",
      );
    }
  });

  test("refuses the broken folder, at the places that are broken", () => {
    const found = faults(resources, yaml("test/golden/inventory/broken/resources/core.yml"));
    for (const path of [
      "/services",
      "/firewall",
      "/service/bird/enabled",
      "/service/bird/stat",
      "/service/ssh/needs/1",
      "/sysctl/net.ipv6.conf.all.forwarding",
      "/file/~1etc~1two/on_change/relod",
      "/file/~1etc~1list",
      "/file/~1etc~1nothing",
      "/bird/main/expect/up/import_min",
      "/bird/main/expect/up/exports",
    ])
      assert.ok(found.includes(path), `${path} is not refused; refused are ${found.join(" ")}`);
    assert.ok(faults(resources, { file: { relative: { content: "x" } } }).includes("/file/relative"));
    assert.equal(faults(muster, yaml("test/golden/inventory/broken/muster.yml")), ["/label", "/fleet"]);
  });

  test("takes the folder's own forms", () => {
    const good = {
      sysctl: {
        "net.ipv4.ip_forward": 1,
        "kernel.hostname": "{{ inventory_hostname }}",
        "vm.swappiness": { value: 10 },
      },
      service: {
        bird: { state: "{{ wanted }}", needs: ["package/bird2"], on_drift: "report" },
        old: { absent: true },
      },
      file: {
        "/etc/a": { template: "a.j2", validate: "sshd -t -f %s", mode: "0600", owner: null },
        "/etc/b": { source: "b", validate: ["sshd", "-t", "-f", "%s"] },
        "/etc/c": { content: "x\n", on_change: { restart: "service/bird" } },
        "/etc/d": { mode: "0444" },
      },
      bird: { main: { config: "bird.conf.j2", expect: "{{ expected }}" } },
      container: {
        prometheus: { image: "prom/prometheus:v3.12.0", files: { "/etc/prometheus": "prometheus/" } },
      },
    };
    assert.equal(faults(resources, good), []);
  });

  test("refuses what a person gets wrong most", () => {
    const wrong: [unknown, string][] = [
      [{ file: { "/etc/a": { content: "x", mode: 644 } } }, "/file/~1etc~1a/mode"],
      [{ file: { "/etc/a": { content: "x", template: "y" } } }, "/file/~1etc~1a"],
      [{ service: { bird: { state: "started" } } }, "/service/bird/state"],
      [{ service: { bird: null } }, "/service/bird"],
      [{ container: { x: { image: "x:1", pin: { id: "sha256:0" } } } }, "/container/x/pin"],
      [{ bird: { other: {} } }, "/bird/other"],
    ];
    for (const [value, path] of wrong)
      assert.ok(faults(resources, value).includes(path), `${path}: ${faults(resources, value).join(" ")}`);
  });
});
