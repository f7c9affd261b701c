// limit: 240 s
/**
 * Containers on a core server: two on `backend` and `dmz`, one on `dmz-ipv4`, made in one apply; a changed template reaches just the container that
 * has it; hand edits are put back; an image that does not work gives way to the one before; Docker down is red in its own words, and heals.
 */
import * as assert from "uvu/assert";
import { suite } from "../kit/suite.ts";
import { type Fleet, measured, openFleet, slowness } from "./kit.ts";

const BACK_LIMIT_MS = 2_000;
const MEMORY_MIB = 90;

/** Serves its version and what `/conf/page` says, read again at HUP. */
const SERVER = `#!/bin/sh
cat /version > /www/version
load() { cat /conf/page > /www/page; }
load; trap load HUP; trap 'exit 0' TERM
httpd -p 8080 -h /www
while :; do sleep 0.1; done`;
const BROKEN = `#!/bin/sh
echo 'no such option: --turbo'; exit 3`;

const RESOURCES = `network:
  backend: { subnets: [172.29.0.0/16, "2001:db8:5000:10::/80"] }
  dmz: { subnets: [172.28.0.0/16, "2001:db8:5000:100::/80"], public: true }
  dmz-ipv4: { subnets: [172.27.0.0/16], public: true }
volume: { data: {} }
container:
  web:
    image: lab/web:1
    networks: { backend: { ipv4_address: 172.29.0.5, ipv6_address: "2001:db8:5000:10::5" }, dmz: { ipv6_address: "2001:db8:5000:100::3" } }
    ports: ["8443:8080"]
    volumes: [data:/data]
    files: { /conf: web/ }
    on_change: { signal: HUP }
    ready: { http: ":8080/version", within: 20s }
    stop_grace_period: 2s
  api:
    image: lab/web:1
    networks: { backend: { ipv4_address: 172.29.0.6 }, dmz: {} }
    files: { /conf: api/ }
    ready: { http: ":8080/page", within: 20s }
    stop_grace_period: 2s
  legacy:
    image: lab/web:1
    networks: { dmz-ipv4: { ipv4_address: 172.27.0.5 } }
    files: { /conf: api/ }
    on_change: none
    stop_grace_period: 2s
`;

suite(
  "containers",
  (test) => {
    let fleet: Fleet;
    const core1 = (script: string) => fleet.on("core1").sh(script);
    /** The body that `host port` gives for a path. */
    const page = (at: string, path: string) =>
      core1(`printf 'GET /${path} HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${at} | sed '1,/^\\r*$/d'`);
    const idOf = async (name: string) => (await core1(`docker inspect -f '{{.Id}}' ${name}`)).trim();

    /** An image out of busybox alone, as an operator without a registry makes one; gives its id. */
    const image = async (tag: string, version: string, script: string): Promise<string> => {
      const make = `set -e; r=$(mktemp -d); mkdir -p $r/bin $r/www; cp /bin/busybox $r/bin/
        for each in sh sleep httpd cat; do ln -s busybox $r/bin/$each; done
        echo ${version} >$r/version; cat >$r/run; chmod +x $r/run
        tar -C $r -c . | docker import -c 'CMD ["/run"]' - ${tag}`;
      return (await fleet.on("core1").sh(make, { input: script })).trim();
    };

    /** The example's containers have the same networks and addresses: first those go that are there. */
    const empty = async (): Promise<void> => {
      fleet.edit("resources/core1.yml", () => "");
      await fleet.ctl(["apply", "core1", "-y", "--force", "-m", "no containers"], { expect: 0 });
    };

    test.before(async () => {
      fleet = await openFleet();
      await fleet.reset();
      await empty();
      await core1("systemctl enable --now docker");
      const ids = {
        "lab/web:1": await image("lab/web:1", "1", SERVER),
        "lab/web:2": await image("lab/web:2", "2", SERVER),
        "lab/web:3": await image("lab/web:3", "3", BROKEN),
      };
      const lines = Object.entries(ids).map(([name, id]) => `${name} id=${id}\n`);
      fleet.edit("images.lock", (text) => text + lines.join(""));
      fleet.edit("resources/core1.yml", () => RESOURCES);
      fleet.edit("templates/web/page.j2", () => "hello from {{ inventory_hostname }}\n");
      fleet.edit("templates/api/page", () => "api one\n");
    });
    test.after(async () => {
      await empty();
      fleet.edit("images.lock", (text) => text.replace(/^lab\/web:.*\n/gm, ""));
      await core1("docker rm -f guest; docker volume rm -f data");
      await fleet.reset();
    });

    test("one apply makes networks, volume and three containers; addresses are as declared", async () => {
      const plan = await fleet.ctl(["plan", "core1"], { expect: 3 });
      assert.match(plan.stdout, /container\/web/);
      const { ms } = await fleet.ctl(["apply", "core1", "-y", "-m", "containers"], { expect: 0 });
      measured("three containers on three networks, apply to ready", `${(ms / 1_000).toFixed(1)} s`);
      assert.is(await page("172.29.0.5 8080", "page"), "hello from core1\n");
      assert.is(await page("2001:db8:5000:100::3 8080", "version"), "1\n");
      // Nothing says of this one when it is ready.
      await fleet.until(
        "the third serves too",
        async () => (await page("172.27.0.5 8080", "page")) === "api one\n",
        10_000,
      );
      assert.is(await page("127.0.0.1 8443", "version"), "1\n");
      await fleet.ctl(["plan", "core1"], { expect: 0 });
    });

    test("a changed template is told by its signal, or restarts just the container that has it", async () => {
      const before = await Promise.all(["web", "api", "legacy"].map(idOf));
      fleet.edit("templates/web/page.j2", () => "second {{ inventory_hostname }}\n");
      await fleet.ctl(["apply", "core1", "-y"], { expect: 0 });
      await fleet.until(
        "the page is new",
        async () => /second/.test(await page("172.29.0.5 8080", "page")),
        5_000,
      );
      assert.equal(await Promise.all(["web", "api", "legacy"].map(idOf)), before);
      fleet.edit("templates/api/page", () => "api two\n");
      await fleet.ctl(["apply", "core1", "-y"], { expect: 0 });
      assert.is(await page("172.29.0.6 8080", "page"), "api two\n");
      const after = await Promise.all(["web", "api", "legacy"].map(idOf));
      assert.equal([after[0], after[2]], [before[0], before[2]]);
      assert.is.not(after[1], before[1]);
    });

    test("stopped, removed, off its network by hand: back within 2 s, with an event", async () => {
      const since_ms = Date.now();
      const runs =
        "docker inspect -f '{{.State.Running}}{{range $k, $v := .NetworkSettings.Networks}} {{$k}}{{end}}' web 2>/dev/null";
      let put_back = 0;
      for (const change of [
        "docker stop -t 1 web",
        "docker network disconnect dmz web",
        "docker rm -f web",
      ]) {
        const script = `was=$(${runs}); ${change} >/dev/null; began=$(date +%s%3N)
          for i in $(seq 200); do [ "$(${runs})" = "$was" ] && { echo $(($(date +%s%3N) - began)); exit; }; sleep 0.05; done; echo never`;
        const took = (await core1(script)).trim();
        measured(`${change}, until it is back`, `${took} ms`);
        assert.ok(Number(took) <= BACK_LIMIT_MS * slowness(), `${change}: ${took} ms`);
        // The correction is over, and its event written, before the next edit.
        const { value } = await fleet.event(
          (event) =>
            event.ref === "container/web" &&
            /put back/.test(event.what) &&
            event.at > Math.max(put_back, since_ms),
          since_ms,
        );
        put_back = value.at;
        await fleet.converged({ sessions: false, limit_ms: 20_000 });
      }
    });

    test("an image that does not work gives way to the one before, in the container's own words", async () => {
      fleet.edit("resources/core1.yml", (text) => text.replace("image: lab/web:1", "image: lab/web:3"));
      const failed = await fleet.ctl(["apply", "core1", "-y"], { expect: 1 });
      assert.match(failed.stdout, /no such option: --turbo/);
      assert.match(failed.stdout, /back to lab\/web:1@/);
      await fleet.until(
        "the old one serves",
        async () => (await page("172.29.0.5 8080", "version")) === "1\n",
        10_000,
      );
      fleet.edit("resources/core1.yml", (text) => text.replace("image: lab/web:3", "image: lab/web:2"));
      await fleet.ctl(["apply", "core1", "-y"], { expect: 0 });
      assert.is(await page("172.29.0.5 8080", "version"), "2\n");
      await fleet.converged({ sessions: false, limit_ms: 20_000 });
    });

    test("Docker stopped: red in its own words; started again: all is back by itself, in an agent within its memory", async () => {
      await core1("systemctl stop docker.socket docker");
      await fleet.until(
        "core1 is red",
        async () => {
          const row = (await fleet.status()).get("core1");
          return (
            row?.colour === "red" &&
            row.troubles.some(({ what }) => /Docker does not (answer|run here)/.test(what))
          );
        },
        40_000,
      );
      await core1("systemctl start docker");
      const { ms } = await fleet.until(
        "core1 is green",
        async () => {
          const row = (await fleet.status()).get("core1");
          if (row?.colour === "green") return true;
          throw new Error(JSON.stringify(row));
        },
        60_000,
      );
      measured("Docker started again, until all is green", `${(ms / 1_000).toFixed(1)} s`);
      assert.is(await page("172.29.0.5 8080", "version"), "2\n");
      const rss = Number(
        await core1("awk '/VmRSS/ { print $2 }' /proc/$(systemctl show -P MainPID muster-agent)/status"),
      );
      measured("an agent with three containers, resident", `${(rss / 1024).toFixed(1)} MiB`);
      assert.ok(rss / 1024 <= MEMORY_MIB, `${rss} KiB`);
    });

    test("no longer declared: containers and networks go, the volume is kept and said so", async () => {
      fleet.edit("resources/core1.yml", () => "service: { ssh: {} }\n");
      const plan = await fleet.ctl(["plan", "core1"], { expect: 3 });
      assert.match(plan.stdout, /volume data is kept/);
      await fleet.ctl(["apply", "core1", "-y", "--force"], { expect: 0 });
      assert.is((await core1("docker ps -aq")).trim(), "");
      assert.not.match(await core1("docker network ls"), /backend|dmz/);
      assert.match(await core1("docker volume ls"), /data/);
    });

    test("host prune: shows what is kept, asks, removes what is named and not in use; exit codes tell", async () => {
      await fleet.ctl(["host", "prune", "core1"], { expect: 2 });
      await core1("docker create --name guest -v data:/data lab/web:1");
      const used = await fleet.ctl(["host", "prune", "core1", "-y", "--only", "volume"], { expect: 1 });
      assert.match(used.stdout, /volume\/data is still there: .*in use/);
      await core1("docker rm guest");
      const other = await fleet.ctl(["host", "prune", "core1", "-y", "--only", "volume/nothing"], {
        expect: 2,
      });
      assert.match(other.stderr, /nothing of that is kept on core1; there are .*volume\/data/);
      const gone = await fleet.ctl(["host", "prune", "core1", "-y"], { expect: 0 });
      assert.match(gone.stdout, /^core1 - the volume data with all that is in it$/m);
      assert.match(gone.stdout, /^core1 {2}volume\/data is gone$/m);
      assert.not.match(await core1("docker volume ls"), /data/);
      await fleet.until(
        "the plan no longer speaks of it",
        async () => !/volume data is kept/.test((await fleet.ctl(["plan", "core1"])).stdout),
        10_000,
      );
      assert.match((await fleet.ctl(["host", "prune", "core1"], { expect: 0 })).stdout, /nothing to remove/);
    });
  },
  { limit_ms: 120_000 },
);
