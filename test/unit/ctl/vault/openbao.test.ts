// limit: 180 s
/** What a fleet has at Vault, made at a real OpenBao and compared there: the same, but for the audit log, which OpenBao takes from its configuration. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { pki } from "@muster/ports/pki";
import { openVault } from "@muster/ports/vault";
import * as assert from "uvu/assert";
import { z } from "zod";
import { setUpVault } from "../../../../packages/ctl/src/fleet/vault-setup.ts";
import { examine } from "../../../../packages/ctl/src/vault/examine.ts";
import { readServer, writeLayout } from "../../../../packages/ctl/src/vault/layout.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { eventually } from "../../../kit/eventually.ts";
import { measured } from "../../../kit/figures.ts";
import { openBao } from "../../../kit/openbao.ts";
import { suite } from "../../../kit/suite.ts";
import { startVault } from "../../../kit/vault.ts";
import { loopbackHosts, vaultNodes } from "../../../kit/vault-nodes.ts";

const Init = z.object({ keys_base64: z.array(z.string()), root_token: z.string() });
const Sealed = z.object({ sealed: z.boolean() });
const Configuration = z.object({ config: z.object({ servers: z.array(z.object({ voter: z.boolean() })) }) });

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

    test("three servers from the layout of ctl: what was made is there when the leader was killed, and nobody names the next", async ({
      signal,
    }) => {
      const place = await temporaryDirectory("openbao-servers");
      const hosts = loopbackHosts(["a", "b", "c"]);
      const names = Object.keys(hosts);
      const directory = join(place.path, "vault-servers");
      await writeLayout(
        directory,
        names.map((name) => readServer(`${name}=${hosts[name]}`)),
        Date.now(),
      );
      const nodes = vaultNodes(found.path, directory, hosts, signal);
      try {
        const ca_pem = await readFile(join(directory, "ca.crt"), "utf8");
        const at = (...some: string[]) => openVault({ addresses: some.map(nodes.address), ca_pem }, signal);
        await nodes.start("a");
        const init = await at("a").write("sys/init", { secret_shares: 1, secret_threshold: 1 }, Init);
        // A server that has not been let in yet is asked again.
        const open = async (name: string) => {
          const { sealed } = await at(name).write("sys/unseal", { key: init.keys_base64[0] }, Sealed);
          assert.is(sealed, false, nodes.output(name).slice(-500));
        };
        await eventually(() => open("a"), 30_000);
        await Promise.all(["b", "c"].map((name) => nodes.start(name)));
        await Promise.all(["b", "c"].map((name) => eventually(() => open(name), 30_000)));
        const all = at(...names).withToken(init.root_token);
        const voters = async () => {
          const { config } = await all.read("sys/storage/raft/configuration", Configuration);
          assert.is(config.servers.filter(({ voter }) => voter).length, 3, JSON.stringify(config));
        };
        await all.write("sys/storage/raft/autopilot/configuration", { server_stabilization_time: "1s" });
        await eventually(voters, 40_000);
        const options = { networks: ["10.0.0.0/8"], audit_file: join(place.path, "audit.log") };
        await setUpVault(all, "lab", options, { made: [], warnings: [] });

        const leading = () =>
          names.filter((_, at) => {
            const health = seen[at]?.health;
            return health !== undefined && "standby" in health && !health.standby && !health.sealed;
          });
        let seen = await all.nodes();
        const [leader = ""] = leading();
        await nodes.stop(leader, "SIGKILL");
        const csr = await makeCsr(makeKey("p256").private_pem, { common_name: "ixp1" });
        const began = performance.now();
        const signed = await pki(all).signCsr("services", "host", csr, { common_name: "ixp1" });
        assert.match(signed.certificate_pem, /BEGIN CERTIFICATE/);
        // A signature that is kept nowhere any of its servers gives; what is written waits for the next leader.
        await all.write("kv/data/hosts/ixp1/x", { data: { word: "kept" } });
        measured(
          "OpenBao writes again after its leader was killed",
          `${Math.round(performance.now() - began)} ms`,
        );
        seen = await all.nodes();
        const next = leading();
        assert.is(next.length, 1, JSON.stringify(seen));
        assert.is.not(next[0], leader);
        const again = { made: [] as string[], warnings: [] as string[] };
        await setUpVault(all, "lab", options, again);
        assert.equal(again.made, []);
      } finally {
        await nodes.stopAll();
        await place.release();
      }
    });
  },
  { limit_ms: 90_000 },
);
