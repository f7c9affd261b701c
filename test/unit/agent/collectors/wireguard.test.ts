/** Tunnels: what `wg show all dump` prints (recorded of wireguard-tools 1.0.20210914), joined with what wg-quick declares. The real tool runs in the lab (test/e2e). */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createWireguardCollector } from "@muster/agent/collectors/wireguard";
import { createFiles } from "@muster/agent/ports/files";
import { createWireguard, peersOf, readDump } from "@muster/agent/ports/wireguard";
import { FleetError } from "@muster/protocol/errors";
import { WireguardSample } from "@muster/protocol/telemetry/wireguard";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";

const NOW = 1_764_121_000_000;
const [own, one, two, three] = ["OWN", "ONE", "TWO", "THREE"].map(
  (name) => `${name}${"=".padStart(44 - name.length, "x")}`,
);
const SECRET = "SECRETpriv0123456789abcdefghijklmnopqrstuvwx=";
const handshake = (ago_s: number) => NOW / 1_000 - ago_s;
const DUMP = [
  ["wg0", SECRET, own, "51820", "off"],
  [
    "wg0",
    one,
    SECRET,
    "198.51.100.7:51820",
    "2001:db8::2/128,10.0.0.2/32",
    handshake(40),
    "1200",
    "3400",
    "25",
  ],
  ["wg0", two, "(none)", "[2001:db8::7]:51820", "(none)", handshake(400), "1", "2", "25"],
  ["wg0", three, "(none)", "(none)", "10.0.0.9/32", "0", "0", "0", "off"],
  ["wg1", "(none)", "(none)", "0", "off"],
]
  .map((fields) => `${fields.join("\t")}\n`)
  .join("");
const FILE = `[Interface]
PrivateKey = ${SECRET}
ListenPort = 51820
[Peer]
# the hub
PublicKey = ${one}
PresharedKey = ${SECRET}
Endpoint = hub.example:51820 # by name
AllowedIPs = 10.0.0.2/32
PersistentKeepalive = 25

[Peer]
PublicKey=${"GONE".padEnd(43, "x")}=
`;
const { signal } = new AbortController();

suite("wireguard", (test) => {
  test("a dump becomes tunnels and peers, without a secret in it", () => {
    const found = readDump(DUMP);
    assert.equal([...found.keys()], ["wg0", "wg1"]);
    assert.is(found.get("wg0")?.public_key, own);
    assert.is(found.get("wg1")?.listen_port, null);
    assert.equal(found.get("wg0")?.peers[0], {
      public_key: one,
      endpoint: "198.51.100.7:51820",
      allowed_ips: ["2001:db8::2/128", "10.0.0.2/32"],
      handshake_at: NOW - 40_000,
      rx_bytes: 1_200,
      tx_bytes: 3_400,
      keepalive_s: 25,
    });
    assert.not.match(JSON.stringify([...found]), /SECRET/);
    assert.equal(peersOf(FILE), [
      { public_key: one, endpoint: "hub.example:51820" },
      { public_key: `${"GONE".padEnd(43, "x")}=`, endpoint: null },
    ]);
  });

  /** A host with these interfaces (what the kernel shows of them in /sys), and wg printing this. */
  const host = async (there: readonly string[], dump: string | FleetError) => {
    const root = await temporaryDirectory("wireguard");
    const at = (path: string) => join(root.path, path);
    for (const path of ["etc/wireguard", "etc/systemd/system/multi-user.target.wants", "sys"])
      mkdirSync(at(path), { recursive: true });
    writeFileSync(at("etc/wireguard/wg0.conf"), FILE);
    writeFileSync(at("etc/systemd/system/multi-user.target.wants/wg-quick@wg0.service"), "");
    writeFileSync(at("etc/wireguard/wg9.conf"), "[Interface]\n");
    mkdirSync(at("sys/eth0"));
    writeFileSync(at("sys/eth0/uevent"), "INTERFACE=eth0\n");
    for (const name of there) {
      mkdirSync(at(`sys/${name}`));
      writeFileSync(at(`sys/${name}/uevent`), `DEVTYPE=wireguard\nINTERFACE=${name}\n`);
      writeFileSync(at(`sys/${name}/flags`), "0x1091\n");
    }
    let runs = 0;
    const port = createWireguard(
      createFiles(root.path),
      async () => {
        runs += 1;
        if (dump instanceof FleetError) throw dump;
        return { code: 0, stdout: dump, stderr: "" };
      },
      at("sys"),
    );
    const collector = createWireguardCollector(port, () => NOW);
    return {
      look: async () => WireguardSample.parse(await collector.look(signal)),
      runs: () => runs,
      release: root.release,
    };
  };

  test("a peer that should answer and does not is red at the second look, one without keepalive is idle, one of the file alone is missing", async () => {
    const { look, release } = await host(["wg0", "wg1"], DUMP);
    assert.equal((await look()).faults, [], "a handshake takes a moment");
    const { interfaces, faults, error } = await look();
    assert.is(error, null);
    assert.equal(
      interfaces.map(({ name, state, expected, peers }) => [
        name,
        state,
        expected,
        peers.map(({ verdict }) => verdict),
      ]),
      [
        ["wg0", "up", true, ["ok", "stale", "idle", "missing"]],
        ["wg1", "up", false, []],
      ],
    );
    assert.equal(
      faults.map(({ what, since }) => [what, since]),
      [
        [`wg0: peer ${two?.slice(0, 10)}… does not answer any more`, NOW - 400_000],
        ["wg0: peer GONExxxxxx… stands in wg0.conf and not in the tunnel", null],
      ],
    );
    await release();
  });

  test("a tunnel that starts at boot and is not there is red, and no process is started for it", async () => {
    const { look, runs, release } = await host([], DUMP);
    await look();
    const { present, interfaces, faults } = await look();
    assert.ok(present);
    assert.is(interfaces[0]?.state, "missing");
    assert.equal(
      interfaces[0]?.peers.map(({ verdict }) => verdict),
      ["unknown", "unknown"],
    );
    assert.match(faults[0]?.what ?? "", "tunnel wg0 starts at boot");
    assert.is(runs(), 0);
    await release();
  });

  test("without wg nothing is known, and that is red; the error does not carry what was printed", async () => {
    const cause = { stdout: SECRET };
    const { look, release } = await host(
      ["wg0"],
      new FleetError("COMMAND_FAILED", "wg: took longer than 10000 ms", { cause }),
    );
    await look();
    const { error, interfaces, faults } = await look();
    assert.match(error ?? "", "took longer");
    assert.is(interfaces[0]?.state, "unknown");
    assert.match(faults[0]?.what ?? "", "nothing is known of its WireGuard peers");
    await release();
  });
});
