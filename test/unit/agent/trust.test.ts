/** The trust bundle of a host: of two that come at once the newer one stays, in memory and on disk. */
import { join } from "node:path";
import { Trust } from "@muster/agent/trust";
import { openLog } from "@muster/ports/log";
import { anchoredKeysHash, anchorOf, createNkey, rawPublic, seal, TrustBundle } from "@muster/protocol";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
import { PeopleCa } from "../../kit/people.ts";
import { suite } from "../../kit/suite.ts";

suite("trust of a host", (test) => {
  let place: Awaited<ReturnType<typeof temporaryDirectory>>;
  test.before(async () => {
    place = await temporaryDirectory("trust");
  });
  test.after(() => place.release());

  test("two at once: the newer one stays, whichever came last", async () => {
    const admin = createNkey("user");
    const admin_key = rawPublic(admin.key).toString("base64");
    const keys = { operators_ca: [(await PeopleCa.make("operators")).pem], admin_keys: [admin_key] };
    const broker = await PeopleCa.make("broker", anchoredKeysHash(keys));
    const bundle = (version: number) => {
      const body = TrustBundle.parse({
        v: 1,
        fleet: "lab",
        version,
        issued_at: 1,
        ...keys,
        broker_ca: [broker.pem],
        controllers_ca: [broker.pem],
        services_ca: [broker.pem],
        identity_ca: [],
        vault_ca: [],
        vault: [],
        brokers: ["core1:4222"],
        ssh_host_ca: [`ssh-ed25519 ${"A".repeat(68)}`],
        ssh_user_ca: [],
        voided: [],
        ssh_krl: null,
        policy: {},
      });
      return seal("trust", Buffer.from(JSON.stringify(body)), { admin_key, key: admin.key }, Date.now());
    };
    const log = openLog({ name: "test", level: "silent" });
    const file = join(place.path, "trust.json");
    const trust = await Trust.open(file, log);
    await trust.first(bundle(1), anchorOf(broker.pem), broker.pem);
    const taken = await Promise.all([3, 2, 5, 4].map((version) => trust.next(bundle(version))));
    assert.equal(taken, [true, false, true, false]);
    assert.is(trust.bundle?.version, 5);
    assert.is((await Trust.open(file, log)).bundle?.version, 5);
  });
});
