// limit: 180 s
/** What a fleet has at Vault, made at a real OpenBao and compared there: the same, but for the audit log, which OpenBao takes from its configuration. */
import { join } from "node:path";
import * as assert from "uvu/assert";
import { setUpVault } from "../../../../packages/ctl/src/fleet/vault-setup.ts";
import { examine } from "../../../../packages/ctl/src/vault/examine.ts";
import { openBao } from "../../../kit/openbao.ts";
import { suite } from "../../../kit/suite.ts";
import { startVault } from "../../../kit/vault.ts";

const found = await openBao();

suite(
  "a fleet at OpenBao",
  (test) => {
    if ("missing" in found) {
      test.skip("made and compared", found.missing);
      return;
    }
    test("is made, a second time changes nothing, and check says what is left to its owner", async ({
      signal,
    }) => {
      const bao = await startVault(signal, { program: found.path });
      try {
        const options = { networks: ["10.0.0.0/8"], audit_file: join(bao.directory, "audit.log") };
        const first = { made: [] as string[], warnings: [] as string[] };
        await setUpVault(bao.root, "lab", options, first);
        assert.ok(first.made.includes("operators CA"), first.made.join());
        assert.match(first.warnings.join(), /OpenBao takes it from its configuration only/);
        const second = { made: [] as string[], warnings: [] as string[] };
        await setUpVault(bao.root, "lab", options, second);
        assert.equal(second.made, []);
        const access = {
          fleet: "lab",
          person: "alice",
          vault: bao.root,
          addresses: [bao.address],
          ca_pem: bao.ca_pem,
        };
        const wanted = { ...options, bootstrap: "ctl vault bootstrap lab" };
        const { findings, differences } = await examine(access, wanted, Date.now(), signal);
        assert.equal(differences, []);
        assert.equal(
          findings.map(({ level, where }) => `${level} ${where}`),
          ["red audit log"],
        );
        assert.match(findings[0]?.next ?? "", /audit "file" "file"/);
      } finally {
        await bao.stop();
      }
    });
  },
  { limit_ms: 60_000 },
);
