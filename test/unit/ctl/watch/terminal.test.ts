/** `ctl watch` as a person runs it, in a real pseudo-terminal over a real broker and controller: live, given back at the end. Hosts are played. */
import { fileURLToPath } from "node:url";
import type { Manifest } from "@muster/protocol";
import * as assert from "uvu/assert";
import { eventually } from "../../../kit/eventually.ts";
import { assertWithin } from "../../../kit/figures.ts";
import { suite } from "../../../kit/suite.ts";
import { openTty, type Tty } from "../../../kit/tty.ts";
import { converge, type Ground, type PlayedHost, startGround, writeSmallFolder } from "../ground.ts";

const CTL = fileURLToPath(new URL("../../../../dist/ctl/ctl.cjs", import.meta.url));
/** The cursor is seen again, on the screen of before. */
const GIVEN_BACK = "\u001b[?25h\u001b[?1049l";

suite(
  "ctl watch in a terminal",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    test.before(async () => {
      ground = await startGround(["core1", "ixp1"], life.signal);
      await writeSmallFolder(ground);
    });
    const opened: Tty[] = [];
    let talking: NodeJS.Timeout | undefined;
    test.after(async () => {
      clearInterval(talking);
      for (const tty of opened) tty.close();
      life.abort();
      await ground.stop();
    });
    const open = (...more: string[]) => {
      const tty = openTty([process.execPath, CTL, "watch", ...more], {
        cwd: ground.folder,
        env: { MUSTER_HOME: ground.home, HOME: ground.home },
        rows: 24,
        columns: 100,
      });
      opened.push(tty);
      return tty;
    };

    test("what a host tells is on the screen at once, and q gives the terminal back", async () => {
      const tty = open();
      await tty.until(
        "the hosts",
        (text) => /core1 .*watched/.test(text) && /probe1 .*not enrolled/.test(text),
      );
      ground.hosts.core1?.say({ state: "failed", detail: "no space left on device" });
      const began = Date.now();
      const text = await tty.until("what failed", (screen) => /▸ core1 .*failed/.test(screen), 2_000);
      assertWithin(Date.now() - began, 1_000);
      assert.match(text, /3 hosts, 2 red/);
      tty.type("\r");
      await tty.until("the host", (screen) => /^state +failed/m.test(screen));
      tty.type("\u001b/ixp\r");
      await tty.until("the filter", (screen) => / {3}\/ixp 1 row/.test(screen) && !/core1/.test(screen));
      const before = tty.raw().length;
      tty.type("?");
      await tty.until("the help", (screen) => /Nothing is asked again/.test(screen));
      tty.type("x");
      await tty.until("the hosts again", (screen) => /▸ ixp1/.test(screen));
      assert.ok(tty.raw().length - before < 6_000, "more was written than what changed");
      await tty.resize(10, 60);
      await tty.until("a smaller frame", (screen) => {
        const lines = screen.split("\n");
        return lines.length === 10 && lines.every((line) => line.length <= 60) && /\[hosts/.test(screen);
      });
      tty.type("q");
      assert.is(await tty.ended, 0);
      assert.ok(tty.raw().trimEnd().endsWith(GIVEN_BACK));
    });

    test("^C and a signal give it back too; one group is watched alone", async () => {
      const tty = open("ixp");
      await tty.until("one host", (text) => /\[hosts 1\][\s\S]*▸ ixp1/.test(text));
      tty.type("\u0003");
      assert.is(await tty.ended, 0);
      assert.ok(tty.raw().trimEnd().endsWith(GIVEN_BACK));
      const other = open();
      await other.until("the hosts", (text) => /\[hosts 3\]/.test(text));
      await other.kill("SIGTERM");
      assert.is(await other.ended, 0);
      assert.ok(other.raw().trimEnd().endsWith(GIVEN_BACK));
    });

    test("where nobody looks it is a table, with the exit code of the fleet", async () => {
      const ran = await ground.run("watch");
      assert.match(ran.out, /^HOST .*\ncore1 .*failed/);
      assert.is(ran.code, 1);
    });

    test("how far each host of a rollout is follows what it tells; a viewer is told in short", async () => {
      await ground.write("muster.yml", "fleet: as64500\nlabels: [site]\nrollout: { waves: [routers] }\n");
      const came = new Map<PlayedHost, Manifest>();
      for (const host of Object.values(ground.hosts)) {
        host.at_manifest = (manifest, self) => void came.set(self, manifest);
        host.say();
      }
      // As real ones do: nobody is silent however long it takes, and the pane has a reason to ask again after the controller has heard it.
      talking = setInterval(() => {
        for (const host of Object.values(ground.hosts)) host.say();
      }, 1_000);
      const applied = ground.run("apply core1,ixp1 -y", { more: ["-m", "no bogons"] });
      await eventually(() => assert.is(came.size, 2), 20_000);
      // The pane that alice opens is hers, whoever logs in after that.
      const operator = open();
      operator.type("4");
      await operator.until("the rollout", (text) =>
        /by alice: running .* no bogons[\s\S]*1 +core1 +published[\s\S]*1 +ixp1 +published/.test(text),
      );
      await ground.logIn("vera", "viewer");
      const viewer = open();
      viewer.type("4");
      await viewer.until("the rollout", (text) =>
        /by alice: running .* no bogons[\s\S]*1 +core1 +published[\s\S]*1 +ixp1 +published/.test(text),
      );
      const goesOn = ([host, manifest]: [PlayedHost, Manifest]) => converge(host, manifest);
      const [first, second] = [...came];
      assert.ok(first && second);
      const [name, other] = first[0] === ground.hosts.core1 ? ["core1", "ixp1"] : ["ixp1", "core1"];
      goesOn(first);
      const fits = (...words: string[]) => {
        const rows = words.map((word) => new RegExp(word, "m"));
        return (text: string) => /: running/.test(text) && rows.every((row) => row.test(text));
      };
      await operator.until("one is done", fits(`1 +${name} +converged`, `1 +${other} +published`));
      await viewer.until("one is done", fits("1 +1 more host +converged", `1 +${other} +published`));
      goesOn(second);
      for (const tty of [operator, viewer]) {
        await tty.until("its end", (text) => /by alice: done/.test(text));
        tty.type("q");
        assert.is(await tty.ended, 0);
      }
      assert.is((await applied).code, 0);
    });
  },
  { limit_ms: 60_000 },
);
