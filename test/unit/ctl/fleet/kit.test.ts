/** The recovery kit's file: opens with its passphrase, and with nothing else; addresses and files beside it. */
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { writeChanged, writeText } from "../../../../packages/ctl/src/fleet/disk.ts";
import { type Kit, openKit, sealKit } from "../../../../packages/ctl/src/fleet/kit.ts";
import {
  brokerAddress,
  checkedNetwork,
  hostOf,
  networkOf,
} from "../../../../packages/ctl/src/fleet/networks.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";

const CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDNzXbEk1Pqt5AyEd4kx8pKmVx0xnkHpgLOyGqHbRcA";
const pair = { certificate_pem: CERTIFICATE, private_pem: "secret key" };
const kit: Kit = {
  v: 1,
  fleet: "lab",
  made_at: 1,
  seeds: { operator: "SO", system: "SA1", fleet: "SA2", enrol: "SA3", access: "SA4" },
  broker_ca: pair,
  admin_key: "secret admin key",
  authority: pair,
  profile: {
    v: 1,
    fleet: "lab",
    brokers: ["[::1]:4222"],
    anchor: "A",
    broker_ca: CERTIFICATE,
    person: "alice",
    bundle: {
      v: 1,
      fleet: "lab",
      version: 1,
      issued_at: 1,
      operators_ca: [CERTIFICATE],
      admin_keys: [Buffer.alloc(32).toString("base64")],
      broker_ca: [CERTIFICATE],
      controllers_ca: [CERTIFICATE],
      services_ca: [CERTIFICATE],
      identity_ca: [],
      vault_ca: [],
      vault: [],
      brokers: ["[::1]:4222"],
      ssh_host_ca: [SSH],
      ssh_user_ca: [],
      voided: [],
      ssh_krl: null,
      policy: { controller_may: ["ping"], operators: {} },
    },
  },
};

async function refusal(answer: Promise<unknown>): Promise<string> {
  return answer.then(
    () => {
      throw new Error("it was not refused");
    },
    (error: unknown) => String(error),
  );
}

// Each opening is meant to be dear: half a second and 128 MiB on a free machine.
suite(
  "ctl: the recovery kit",
  (test) => {
    test("opens with its passphrase however the letters were composed", async () => {
      const text = await sealKit(kit, "Schl\u00fcssel am Haken");
      assert.not.match(text, /secret|SA1|Haken/);
      assert.equal(await openKit(text, "Schlu\u0308ssel am Haken"), kit);
    });

    test("does not open with another, nor altered, nor as another fleet's", async () => {
      const text = await sealKit(kit, "long enough, I think");
      assert.match(await refusal(openKit(text, "long enough, I thing")), /does not open/);
      const file = JSON.parse(text);
      const flip = (value: string) => `${value.startsWith("A") ? "B" : "A"}${value.slice(1)}`;
      for (const altered of [
        { ...file, data: flip(file.data) },
        { ...file, fleet: "other" },
        { ...file, tag: flip(file.tag) },
      ]) {
        assert.match(
          await refusal(openKit(JSON.stringify(altered), "long enough, I think")),
          /does not open/,
        );
      }
      const dear = { ...file, kdf: { ...file.kdf, n: 1 << 24 } };
      assert.match(await refusal(openKit(JSON.stringify(dear), "long enough, I think")), /kdf.n/);
      assert.match(await refusal(openKit("{}", "x")), /recovery kit/);
    });

    test("takes no short passphrase", async () => {
      assert.match(await refusal(sealKit(kit, "short")), /12 characters/);
    });
  },
  { limit_ms: 40_000 },
);

suite("ctl: files and addresses", (test) => {
  test("writes for the person only, whole, and says whether anything changed", async () => {
    const { path, release } = await temporaryDirectory("disk");
    const file = join(path, "a/b/secret");
    await writeText(file, "one");
    assert.is((await stat(file)).mode & 0o777, 0o600);
    assert.is((await stat(join(path, "a"))).mode & 0o777, 0o700);
    assert.is(await writeChanged(file, "one"), false);
    assert.is(await writeChanged(file, "two"), true);
    await mkdir(join(path, "taken"));
    await refusal(writeText(join(path, "taken"), "x"));
    assert.equal((await readdir(path)).sort(), ["a", "taken"], "nothing is left beside it");
    await release();
  });

  test("writes addresses as brokers' lists have them", () => {
    assert.is(brokerAddress("core1.example"), "core1.example:4222");
    assert.is(brokerAddress("core1.example:4333"), "core1.example:4333");
    assert.is(brokerAddress("198.51.100.1"), "198.51.100.1:4222");
    assert.is(brokerAddress("2001:db8::1"), "[2001:db8::1]:4222");
    assert.is(brokerAddress("[2001:db8::1]"), "[2001:db8::1]:4222");
    assert.is(brokerAddress("[2001:db8::1]:4333"), "[2001:db8::1]:4333");
    for (const text of ["core1.example", "198.51.100.1", "2001:db8::1"])
      assert.is(hostOf(brokerAddress(text)), text);
  });

  test("knows what lies in what", () => {
    assert.is(networkOf("2001:db8:5000::1", ["192.0.2.0/24", "2001:db8:5000::/36"]), "2001:db8:5000::/36");
    assert.is(networkOf("198.51.100.1", ["192.0.2.0/24", "::/0"]), null);
    assert.is(checkedNetwork("192.0.2.0/24"), "192.0.2.0/24");
    for (const odd of ["192.0.2.0", "192.0.2.0/33", "x/24", "::/129", "1.2.3.4/24/1", "1.2.3.4/"]) {
      assert.throws(() => checkedNetwork(odd), /must be a network/);
    }
  });
});
