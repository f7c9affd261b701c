/**
 * The agent's own directories and units against resources that get there by a detour: links, bind mounts of them, of what is in them and of what is above
 * them, and directories that change places while a file is written. On a real file system, as root.
 */
import { execFile } from "node:child_process";
import { mkdir, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { createFiles, type Files } from "@muster/agent/ports/files";
import { aliasesIn, aliasesUnder, mountsIn } from "@muster/agent/ports/files-held";
import { refuseOwn, refuseProtected } from "@muster/agent/resources/protected";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../kit/child.ts";
import { suite } from "../kit/suite.ts";

const run = promisify(execFile);
const ROOT = { owner: "root", group: "root", mode: "0644" };
const OWN = "/var/lib/muster-agent";

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    if (error instanceof FleetError) return error.code;
    throw error;
  }
}

suite(
  "the agent's own paths, attacked",
  (test) => {
    let prefix: string;
    let release: () => Promise<void>;
    let files: Files;
    const mounted: string[] = [];
    const at = (path: string) => join(prefix, path);
    const bind = async (from: string, to: string, how = "--bind") => {
      await mkdir(at(to), { recursive: true });
      await run("mount", [how, at(from), at(to)]);
      mounted.push(at(to));
    };
    const inside = async () => (await readdir(at(OWN))).sort();

    test.before(async () => {
      const made = await temporaryDirectory("own-paths");
      prefix = made.path;
      release = made.release;
      for (const path of ["etc/passwd", "etc/group"]) {
        await mkdir(at("etc"), { recursive: true });
        await writeFile(at(path), path.endsWith("passwd") ? "root:x:0:0::/root:/bin/sh\n" : "root:x:0:\n");
      }
      for (const path of [`${OWN}/manifests`, "srv", "etc/systemd/system", "etc/muster"])
        await mkdir(at(path), { recursive: true });
      await writeFile(at(`${OWN}/keys.json`), "secret");
      files = createFiles(prefix, (paths) => refuseOwn(paths));
      await symlink(at(OWN), at("srv/link"));
      await symlink(at("srv/link"), at("srv/link-to-link"));
      await symlink(at("etc/systemd/system"), at("srv/units"));
    });
    test.after(async () => {
      for (const path of mounted.reverse()) await run("umount", ["-R", path]);
      await release();
    });

    const everyWay = async (path: string, why: string) => {
      const file = `${path}/keys.json`;
      assert.is(await code(refuseProtected(file, files)), "PROTECTED_PATH", `${why}: observed`);
      assert.is(await code(files.replace(file, Buffer.from("x"), ROOT)), "PROTECTED_PATH", `${why}: written`);
      const failed = await files.replaceAll([{ path: file, content: Buffer.from("x"), attributes: ROOT }]);
      assert.is(failed.get(file)?.code, "PROTECTED_PATH", `${why}: written with others`);
      assert.is(await code(files.setAttributes(file, ROOT)), "PROTECTED_PATH", `${why}: opened to all`);
      assert.is(await code(files.remove(file)), "PROTECTED_PATH", `${why}: removed`);
      assert.is(await code(files.makeDirectory(`${path}/d`, ROOT)), "PROTECTED_PATH", `${why}: made`);
      await writeFile(at("srv/bait"), "bait");
      assert.is(
        await code(files.rename("/srv/bait", `${path}/keys.json`)),
        "PROTECTED_PATH",
        `${why}: renamed`,
      );
      assert.is(await code(files.rename(file, "/srv/loot")), "PROTECTED_PATH", `${why}: taken away`);
      assert.equal(await inside(), ["keys.json", "manifests"], why);
    };

    test("by their name and through links", async () => {
      await everyWay(OWN, "its name");
      await everyWay("/srv/link", "a link");
      await everyWay("/srv/link-to-link", "a link to a link");
      const unit = "/srv/units/muster-agent.service";
      assert.is(await code(files.replace(unit, Buffer.from("x"), ROOT)), "PROTECTED_PATH");
      assert.is(await code(files.replace("/srv/units/other.service", Buffer.from("x"), ROOT)), "done");
    });

    test("through bind mounts of them, of what is in them, and of what is above them", async () => {
      await bind(OWN, "srv/bound");
      await everyWay("/srv/bound", "a bind mount");
      await bind("var/lib", "srv/above");
      await everyWay("/srv/above/muster-agent", "a bind mount of the directory above");
      await bind(`${OWN}/manifests`, "srv/within");
      assert.is(await code(files.replace("/srv/within/x", Buffer.from("x"), ROOT)), "PROTECTED_PATH");
      assert.is(await code(refuseProtected("/srv/within/x", files)), "PROTECTED_PATH");
      await bind("srv", "mnt/again", "--rbind");
      await everyWay("/mnt/again/bound", "a bind mount in a bind mount");
      assert.is(
        await code(files.setAttributes("/srv/above", ROOT)),
        "PROTECTED_PATH",
        "the directory above itself",
      );
      assert.is(await code(files.replace("/srv/free", Buffer.from("x"), ROOT)), "done");
    });

    test("as what a container or a volume mounts: there the last link counts too", async () => {
      for (const source of [
        OWN,
        "/srv/link",
        "/srv/link-to-link",
        "/srv/bound",
        "/srv/within",
        "/var/lib",
        "/var",
        "/",
      ])
        assert.is(await code(refuseProtected(source, files, "follow")), "PROTECTED_PATH", source);
      assert.is(
        await code(refuseProtected("/srv/units", files, "follow")),
        "PROTECTED_PATH",
        "holds the units",
      );
      await mkdir(at("srv/data"));
      assert.is(await code(refuseProtected("/srv/data", files, "follow")), "done");
    });

    test("a directory that becomes a link while a file is written into it", async () => {
      const swap = async (port: Files): Promise<boolean> => {
        await mkdir(at("srv/swap"), { recursive: true });
        await rm(at("srv/trap"), { force: true });
        await symlink(at(OWN), at("srv/trap"));
        let going = true;
        const swapping = (async () => {
          while (going) {
            await rename(at("srv/swap"), at("srv/held"));
            await rename(at("srv/trap"), at("srv/swap"));
            await rename(at("srv/swap"), at("srv/trap"));
            await rename(at("srv/held"), at("srv/swap"));
          }
        })();
        for (let tries = 0; tries < 400 && !(await inside()).includes("evil"); tries++)
          await port.replace("/srv/swap/evil", Buffer.from("x"), ROOT).catch((error: unknown) => {
            if (!(error instanceof FleetError)) throw error;
          });
        going = false;
        await swapping;
        const there = (await inside()).some((name) => name === "evil" || name.endsWith(".new"));
        await rm(at(`${OWN}/evil`), { force: true });
        return there;
      };
      assert.is(await swap(files), false, "it was written among the agent's own");
      assert.is(
        await swap(createFiles(prefix)),
        true,
        "without the check nothing gets there either: this proves nothing",
      );
    });

    test("mounts as the kernel tells them", () => {
      const mounts = mountsIn(
        [
          "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
          "2 1 8:1 /var/lib/muster-agent /mnt/with\\040space rw - ext4 /dev/sda1 rw",
          "3 1 8:2 /@home /home rw - btrfs /dev/sda2 rw",
          "4 1 0:30 / /tmp rw - tmpfs none rw",
          "5 1 8:2 / /mnt/disk rw - btrfs /dev/sda2 rw",
        ].join("\n"),
      );
      assert.equal(aliasesIn(mounts, "/mnt/with space/keys.json"), [
        "/mnt/with space/keys.json",
        "/var/lib/muster-agent/keys.json",
      ]);
      assert.equal(aliasesIn(mounts, "/var/lib/muster-agent"), ["/var/lib/muster-agent", "/mnt/with space"]);
      assert.equal(aliasesIn(mounts, "/home/bob"), ["/home/bob", "/mnt/disk/@home/bob"]);
      assert.equal(aliasesIn(mounts, "/tmp/x"), ["/tmp/x"]);
      assert.equal(aliasesIn(mounts, "/etc"), ["/etc"]);
      for (const directory of [
        "/",
        "/etc",
        "/var",
        "/var/lib",
        "/mnt",
        "/mnt/with space",
        "/home",
        "/home/bob",
        "/mnt/disk/@home",
      ])
        for (const name of ["x", "lib", "muster-agent", "with space", "home", "@home", "disk"]) {
          const path = directory === "/" ? `/${name}` : `${directory}/${name}`;
          assert.equal(aliasesUnder(mounts, directory)(name), aliasesIn(mounts, path), path);
        }
    });
  },
  { limit_ms: 20_000 },
);
