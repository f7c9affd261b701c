/** Where an agent looks for its brokers: the signed list, and in need what a person wrote beside it, under the same anchor and under no other. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeCa } from "@muster/ports/csr";
import { anchorOf, writeFleetString } from "@muster/protocol";
import * as assert from "uvu/assert";
import { brokersOf } from "../../../packages/agent/src/brokers.ts";
import { temporaryDirectory } from "../../kit/child.ts";
import { suite } from "../../kit/suite.ts";

suite("agent: where its brokers are", (test) => {
  test("what a person wrote is tried beside the signed list; another fleet's, or no fleet string, is told and left", async () => {
    const { path, release } = await temporaryDirectory("brokers");
    const [own, other] = await Promise.all(
      ["own", "other"].map((common_name) => makeCa({ common_name, not_after: Date.now() + 3_600_000 })),
    );
    const warned: string[] = [];
    const door = {
      root_ca_file: join(path, "root-ca.pem"),
      fleet_file: join(path, "fleet"),
      log: { warn: (_fields: object, text?: string) => void warned.push(text ?? "") },
    };
    const bundle = { brokers: ["core1.example:4222"], broker_ca: [own?.certificate_pem ?? ""] };
    assert.equal(brokersOf(bundle, door), bundle.brokers);
    const addresses = ["198.51.100.2", "[2001:db8::2]", "core1.example"];
    const write = (ca: typeof own) =>
      writeFile(
        door.fleet_file,
        `${writeFleetString({ addresses, anchor: anchorOf(ca?.certificate_pem ?? "") })}\n`,
      );
    await write(own);
    const found = ["core1.example:4222", "198.51.100.2:4222", "[2001:db8::2]:4222"];
    assert.equal(brokersOf(bundle, door), found);
    assert.equal(warned, []);
    await write(other);
    assert.equal(brokersOf(bundle, door), bundle.brokers);
    assert.match(warned.at(-1) ?? "", /fleet is not used: .*it names/);
    await writeFile(door.fleet_file, "198.51.100.2\n");
    assert.equal(brokersOf(bundle, door), bundle.brokers);
    assert.is(warned.length, 2);
    await rm(door.fleet_file);
    assert.equal(brokersOf(bundle, door), bundle.brokers);
    await release();
  });
});
