/** When a credential is renewed, and when somebody is told: one rule for all lives. And what is held when a file of them is damaged, or was taken away. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CredentialStore } from "@muster/agent/credentials";
import { dueAt, isAlarming } from "@muster/agent/renewal";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
import { suite } from "../../kit/suite.ts";

const DAY = 86_400_000;

suite("credentials", (test) => {
  test("a JWT of seven days is renewed after one, certificates of thirty after ten", () => {
    const week = { from: 0, to: 7 * DAY };
    const month = { from: 0, to: 30 * DAY };
    assert.is(dueAt("bus", week, 1), DAY);
    assert.is(dueAt("bus", week, 1.1), 1.1 * DAY);
    assert.is(dueAt("identity", { from: 0, to: 14 * DAY }, 1), DAY);
    assert.is(dueAt("service", month, 1), 10 * DAY);
    assert.is(dueAt("ssh", month, 0.9), 9 * DAY);
  });
  test("the alarm comes with a third of the life left", () => {
    assert.is(isAlarming({ from: 0, to: 30 * DAY }, 19 * DAY), false);
    assert.is(isAlarming({ from: 0, to: 30 * DAY }, 21 * DAY), true);
  });

  test("of a damaged file the version before counts, of one that a person took away nothing: the host is to ask anew", async () => {
    const pem = (what: string) => `-----BEGIN ${what}-----\nAAAA\n-----END ${what}-----\n`;
    const kept = {
      host: "core1",
      credentials: {
        user_jwt: "x.y.z",
        service_certificate: pem("CERTIFICATE"),
        ssh_certificate: "ssh-ed25519-cert-v01@openssh.com AAAA",
      },
      spans: { bus: { from: 0, to: 1 }, service: { from: 0, to: 1 }, ssh: { from: 0, to: 1 } },
    };
    const place = await temporaryDirectory("credentials");
    try {
      const file = join(place.path, "credentials.json");
      await writeFile(file, "{");
      await writeFile(`${file}.previous`, JSON.stringify(kept));
      assert.is((await CredentialStore.open(file)).kept?.host, "core1");
      await rm(file);
      assert.is((await CredentialStore.open(file)).kept, null);
    } finally {
      await place.release();
    }
  });
});
