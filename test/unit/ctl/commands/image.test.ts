/** `ctl image update` against a real registry that wants tokens: what moves images.lock, and what must not. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as assert from "uvu/assert";
import { referenceOf } from "../../../../packages/ctl/src/images/reference.ts";
import { startRegistry, type TestRegistry } from "../../../kit/registry.ts";
import { suite } from "../../../kit/suite.ts";
import { ctl } from "../terminal.ts";

suite("image update", (test) => {
  let directory = "";
  let registry: TestRegistry;
  const write = async (file: string, text: string) => {
    await mkdir(dirname(join(directory, file)), { recursive: true });
    await writeFile(join(directory, file), text);
  };
  const containers = (images: Readonly<Record<string, string>>) =>
    write(
      "resources/core1.yml",
      `container:\n${Object.entries(images)
        .map(([name, image]) => `  ${name}: { image: "${image}" }\n`)
        .join("")}`,
    );
  const run = (words: string) => ctl(words.split(" "), { home: join(directory, "home"), cwd: directory });
  const lock = () => readFile(join(directory, "images.lock"), "utf8");
  const logIn = (password: string) =>
    write(
      "docker/config.json",
      JSON.stringify({
        auths: {
          [registry.address]: { auth: Buffer.from(`${registry.user}:${password}`).toString("base64") },
        },
      }),
    );
  const before = process.env.DOCKER_CONFIG;

  test.before(async () => {
    directory = await mkdtemp(join(tmpdir(), "muster-image-"));
    process.env.DOCKER_CONFIG = join(directory, "docker");
    registry = await startRegistry();
    await write("muster.yml", "fleet: lab\n");
    await write("hosts.yml", "core: { hosts: { core1: {} } }\n");
  });
  test.after(async () => {
    if (before === undefined) delete process.env.DOCKER_CONFIG;
    else process.env.DOCKER_CONFIG = before;
    await registry.stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  });

  test("an image without a line is a mistake that says what to type", async () => {
    await containers({ web: `${registry.address}/public/web:1.0` });
    const ran = await run("render core1");
    assert.is(ran.code, 2);
    assert.match(
      ran.err,
      `resources/core1.yml:2:17: images.lock has no line for ${registry.address}/public/web:1.0 (container/web on core1)`,
    );
    assert.match(ran.err, `ctl image update ${registry.address}/public/web:1.0`);
  });

  test("pins what the registry has, and only a request moves it", async () => {
    const first = await registry.push("public/web", "1.0");
    const ran = await run("image update");
    assert.is(ran.code, 0, ran.out + ran.err);
    assert.match(ran.out, `images.lock  ${registry.address}/public/web  new → 1.0@${first.slice(7, 11)}`);
    assert.match(await lock(), `\n${registry.address}/public/web:1.0 ${first}\n`);
    const second = await registry.push("public/web", "1.0");
    assert.not.equal(first, second);
    const rendered = JSON.parse((await run("render core1 --json")).out);
    assert.equal(rendered[0].resources[0].spec.pin, { digest: first });
    const moved = await run("image update web");
    assert.match(moved.out, `1.0@${first.slice(7, 11)} → 1.0@${second.slice(7, 11)}`);
    assert.match((await run("image update web")).out, `1.0@${second.slice(7, 11)}, as it was`);
  });

  test("another tag in the folder takes the line of the one before; lines of others stay", async () => {
    const other = await registry.push("public/db", "15");
    await containers({ web: `${registry.address}/public/web:1.0`, db: `${registry.address}/public/db:15` });
    assert.is((await run("image update db")).code, 0);
    const third = await registry.push("public/web", "1.1");
    await containers({ web: `${registry.address}/public/web:1.1`, db: `${registry.address}/public/db:15` });
    const ran = await run("image update container/web");
    assert.match(ran.out, /public\/web {2}1\.0@[0-9a-f]{4} → 1\.1@/);
    assert.equal((await lock()).split("\n").slice(1, -1), [
      `${registry.address}/public/db:15 ${other}`,
      `${registry.address}/public/web:1.1 ${third}`,
    ]);
  });

  test("a private repository needs the log-in of docker login; one that fails leaves the rest", async () => {
    await registry.push("private/db", "1");
    await containers({
      web: `${registry.address}/public/web:1.1`,
      db: `${registry.address}/private/db:1`,
      gone: `${registry.address}/public/gone:1`,
    });
    const before_it = await lock();
    const ran = await run("image update db");
    assert.is(ran.code, 1, ran.out + ran.err);
    assert.match(ran.out, /the image registry refused: .*the log-in is not taken, or may not read it/);
    assert.is(await lock(), before_it);
    await logIn("wrong");
    const wrong = await run("image update db");
    assert.is(wrong.code, 1);
    assert.match(wrong.out, /the log-in for private\/db at 127\.0\.0\.1:\d+: the log-in is not taken/);
    assert.not.match(wrong.out + wrong.err, "wrong");
    await logIn(registry.password);
    const some = await run("image update");
    assert.is(some.code, 4, some.out + some.err);
    assert.match(some.out, /private\/db {2}new → 1@/);
    assert.match(
      some.out,
      /public\/gone:1 {2}there is no such thing: .* one that only a host has: --on HOST/,
    );
    assert.match(await lock(), "/private/db:1 sha256:");
  });

  test("words that mean nothing, and a registry that is not there", async () => {
    const typo = await run("image update wbe");
    assert.is(typo.code, 2);
    assert.match(typo.err, /did you mean `web`/);
    await containers({ web: "127.0.0.1:1/web:1" });
    const ran = await run("image update");
    assert.is(ran.code, 5, ran.out + ran.err);
    assert.match(ran.out, /the image registry cannot be reached: 127\.0\.0\.1:1/);
  });

  test("names point where Docker's do", () => {
    const of = (image: string) => {
      const { base, repository, tag } = referenceOf(image);
      return `${base} ${repository} ${tag}`;
    };
    assert.is(of("nginx"), "https://registry-1.docker.io library/nginx latest");
    assert.is(of("prom/prometheus:v3.12.0"), "https://registry-1.docker.io prom/prometheus v3.12.0");
    assert.is(of("docker.io/library/nginx:1"), "https://registry-1.docker.io library/nginx 1");
    assert.is(of("ghcr.io/a/b:2"), "https://ghcr.io a/b 2");
    assert.is(of("localhost:5000/x:1"), "http://localhost:5000 x 1");
    assert.is(of("registry.example:5000/x"), "https://registry.example:5000 x latest");
  });
});
