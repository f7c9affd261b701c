// limit: 240 s
/**
 * The example's containers on a real engine, and large files end to end: a change of one container's files touches that container alone, an image
 * that is rolled back stays away until the folder differs, and 700 KB go to a server by their hash and come back with no network.
 */
import { randomBytes } from "node:crypto";
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, openFleet } from "./kit.ts";

const NAMES = ["status", "beacon", "legacy"] as const;
const KIB = 1_024;

suite(
  "containers and large files",
  (test) => {
    let fleet: Fleet;
    test.before(async () => {
      fleet = await openFleet();
      await fleet.reset();
    });
    test.after(() => fleet.reset());

    const core1 = (script: string) => fleet.on("core1").sh(script);
    const page = (port: number) => core1(`printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 127.0.0.1 ${port}`);
    /** What is printed or served comes a moment after the engine calls a container started. */
    const says = (what: RegExp, look: () => Promise<string>) =>
      fleet.until(
        String(what),
        async () => {
          const text = await look();
          if (what.test(text)) return true;
          throw new Error(text);
        },
        10_000,
      );
    const beacon = () => core1("docker logs beacon");
    /** Of each container: its id, when it was started, and its image. */
    const running = async () => {
      const told = await core1(
        `docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}} {{.Image}}' ${NAMES.join(" ")}`,
      );
      return new Map(
        told
          .trim()
          .split("\n")
          .map((line) => {
            const [name = "", id = "", started = "", image = ""] = line.slice(1).split(" ");
            return [name, { id, started, image }] as const;
          }),
      );
    };

    test("all three answer, each on its networks, and the fleet is green", async () => {
      await says(/<h1>AS64500, core1<\/h1>/, () => page(8080));
      await says(/"host": "core1"/, () => page(8081));
      await says(/AS64500 core1 is here/, beacon);
      const row = (await fleet.status()).get("core1");
      assert.is(row?.state, "converged");
      assert.equal(row?.troubles, []);
      await fleet.ctl(["plan"], { expect: 0 });
    });

    test("a change of files: one is signalled and runs on, one is restarted, the third is left alone", async () => {
      const before = await running();
      fleet.edit("templates/status/www/index.html.j2", (text) => text.replace("</h1>", ", changed</h1>"));
      fleet.edit("templates/beacon/beacon.conf.j2", (text) => text.replace("is here", "is here, changed"));
      const planned = await fleet.ctl(["plan", "core1"], { expect: 3 });
      assert.match(planned.stdout, /container\/status/);
      assert.not.match(planned.stdout, /container\/legacy/);
      await fleet.ctl(["apply", "core1", "-y"], { expect: 0 });
      await says(/core1, changed<\/h1>/, () => page(8080));
      await says(/is here, changed/, beacon);
      const after = await running();
      assert.equal(after.get("status"), before.get("status"), "the same container, never stopped");
      assert.equal(after.get("legacy"), before.get("legacy"));
      assert.not.equal(after.get("beacon")?.started, before.get("beacon")?.started);
    });

    test("another image, pinned as the server has it; rolled back by name, and held until the folder differs", async () => {
      const before = await running();
      await core1(
        `set -e; root=$(mktemp -d); docker export legacy | tar -x -C $root; echo two >$root/version
         tar -C $root -c . | docker import - lab/busybox:2 >/dev/null; rm -r $root`,
      );
      fleet.edit("resources/core1.yml", (text) =>
        text.replace("image: lab/busybox:1 #", "image: lab/busybox:2 #"),
      );
      const unpinned = await fleet.ctl(["plan", "core1"], { expect: 2 });
      assert.match(
        unpinned.stdout + unpinned.stderr,
        /resources\/core1\.yml:13:\d+: images\.lock has no line for lab\/busybox:2.*\n +ctl image update lab\/busybox:2/,
      );
      const updated = await fleet.ctl(["image", "update", "status", "--on", "core1"], { expect: 0 });
      assert.match(updated.stdout, /images\.lock {2}lab\/busybox {2}(new|1@[0-9a-f]{4}) → 2@[0-9a-f]{4}/);
      await fleet.ctl(["apply", "core1", "--only", "container/status", "-y"], { expect: 0 });
      const changed = await running();
      assert.not.equal(changed.get("status")?.image, before.get("status")?.image);
      assert.equal(changed.get("legacy"), before.get("legacy"));

      await fleet.ctl(["rollback", "core1", "--only", "container/status", "-y"], { expect: 0 });
      const back = await running();
      assert.is(back.get("status")?.image, before.get("status")?.image);
      await says(/core1, changed<\/h1>/, () => page(8080));
      const held = await fleet.ctl(["plan", "core1"], { expect: 0 });
      assert.match(held.stdout, /container\/status.*held until the folder differs from what failed/);
    });

    test("700 KB by hash: shown, applied, put back without a network, rolled back", async () => {
      const dashboard = () => `{"panels": "${randomBytes(350 * KIB).toString("hex")}"}`;
      const [first, second] = [dashboard(), dashboard()];
      fleet.edit("files/dashboard.json", () => first);
      fleet.edit(
        "resources/probe1.yml",
        (text) => `${text}file:\n  /srv/dashboard.json: { source: dashboard.json }\n`,
      );
      await fleet.ctl(["apply", "probe1", "-y"], { expect: 0 });
      const probe1 = fleet.on("probe1");
      const there = () => probe1.read("/srv/dashboard.json");
      assert.is(await there(), first);
      fleet.edit("files/dashboard.json", () => second);
      const planned = await fleet.ctl(["plan", "probe1"], { expect: 3 });
      assert.match(planned.stdout, /dashboard\.json differs \(716814 bytes, now 716814\)/);
      await fleet.ctl(["apply", "probe1", "-y"], { expect: 0 });
      assert.is(await there(), second);

      await probe1.cut();
      try {
        await probe1.write("/srv/dashboard.json", "by hand\n");
        await probe1.sh("systemctl restart muster-agent");
        await fleet.until("put back with no network", async () => (await there()) === second, 30_000);
      } finally {
        await probe1.mend();
      }
      await fleet.converged();
      fleet.edit("files/dashboard.json", () => "elsewhere by now");
      await fleet.ctl(["rollback", "probe1", "-y"], { expect: 0 });
      assert.is(await there(), first);
    });
  },
  { limit_ms: 90_000 },
);
